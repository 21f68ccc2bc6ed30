package main

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/genropy/genro-asgi-go/executor/executortest"
)

func TestMain(m *testing.M) { executortest.Main(m) }

func TestServer_MakesThumbnails(t *testing.T) {
	s := newServer(executortest.New(t, nil))
	picture := image.NewRGBA(image.Rect(0, 0, 640, 480))
	for i := range picture.Pix {
		picture.Pix[i] = 0xff
	}
	picture.Set(0, 0, color.Black)
	var body bytes.Buffer
	if err := jpeg.Encode(&body, picture, nil); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	s.routes().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/thumbnail?width=64", &body))
	small, err := png.Decode(w.Body)
	if w.Code != http.StatusOK || err != nil || small.Bounds().Dx() != 64 ||
		small.Bounds().Dy() != 48 {
		t.Fatalf("%d, %v", w.Code, err)
	}
	if r, _, _, _ := small.At(32, 24).RGBA(); r>>8 < 0xf0 {
		t.Errorf("white became %x", r)
	}
	for path, text := range map[string]string{
		"/thumbnail?width=64": "no picture",
		"/thumbnail":          "width must be",
	} {
		w := httptest.NewRecorder()
		s.routes().ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, strings.NewReader("x")))
		if w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), text) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

func TestServer_KillSwitchAndStats(t *testing.T) {
	s := newServer(executortest.New(t, nil))
	before := s.ctx
	w := httptest.NewRecorder()
	s.routes().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/kill", nil))
	if w.Code != http.StatusNoContent || before.Err() == nil || s.ctx.Err() != nil {
		t.Errorf("%d, %v, %v", w.Code, before.Err(), s.ctx.Err())
	}
	w = httptest.NewRecorder()
	s.routes().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/stats", nil))
	if !strings.Contains(w.Body.String(), `"workers":1`) {
		t.Errorf("%s", w.Body)
	}
}
