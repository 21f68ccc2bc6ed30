package asgi_test

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/asgi"
)

// sseEvent is what a browser makes of an event.
type sseEvent struct {
	id, kind, data, retry string
	dispatched            bool
}

// parseSSE reads an event stream by the letter of the WHATWG HTML standard, section 9.2.6. An event
// without data is kept, as one that is not dispatched.
func parseSSE(stream string) (list []sseEvent) {
	var e sseEvent
	var data strings.Builder
	touched := false
	for len(stream) > 0 {
		end := strings.IndexAny(stream, "\r\n")
		if end < 0 {
			break // a line that is not ended counts for nothing
		}
		line := stream[:end]
		if strings.HasPrefix(stream[end:], "\r\n") {
			end++
		}
		stream = stream[end+1:]
		if line == "" {
			if touched {
				e.data = strings.TrimSuffix(data.String(), "\n")
				e.dispatched = data.Len() > 0
				list = append(list, e)
			}
			e, touched = sseEvent{}, false
			data.Reset()
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "event":
			e.kind, touched = value, true
		case "data":
			data.WriteString(value + "\n")
			touched = true
		case "id":
			if !strings.Contains(value, "\x00") {
				e.id, touched = value, true
			}
		case "retry":
			e.retry, touched = value, true
		}
	}
	return list
}

// FuzzSSE holds the encoder against a parser of its own: what goes in as one event comes out as
// that one event.
func FuzzSSE(f *testing.F) {
	f.Add("1", "tick", "a\nb", int64(1500))
	f.Add("1\n", "x", "", int64(0))
	f.Add("", "a\r", "\r\n\r\ndata: x", int64(-1))
	f.Add(" x", ": y", ":\x00", int64(1))
	f.Fuzz(func(t *testing.T, id, kind, data string, retry int64) {
		retry %= int64(time.Hour)
		sent := asgi.Event{ID: id, Type: kind, Data: data, Retry: time.Duration(retry)}
		w := httptest.NewRecorder()
		err := asgi.SSE(events(sent, asgi.Event{Type: "end", Data: "end"}), nil).WriteResponse(w,
			httptest.NewRequest("GET", "/", nil))
		got := parseSSE(w.Body.String())
		if strings.ContainsAny(id+kind, "\r\n\x00") {
			if err == nil || len(got) != 0 {
				t.Fatalf("%v, %+v for a field with a line break", err, got)
			}
			return
		}
		want := sseEvent{id: id, kind: kind, dispatched: true}
		want.data = strings.ReplaceAll(strings.ReplaceAll(data, "\r\n", "\n"), "\r", "\n")
		if retry > 0 {
			want.retry = strconv.FormatInt(retry/int64(time.Millisecond), 10)
		}
		if err != nil || len(got) != 2 || got[0] != want || got[1].data != "end" {
			t.Fatalf("%v\ngot  %+v\nwant %+v", err, got, want)
		}
	})
}

func FuzzLastEventID(f *testing.F) {
	f.Add("7")
	f.Add("a\nb")
	f.Add("\xff")
	f.Fuzz(func(t *testing.T, id string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["Last-Event-Id"] = []string{id}
		w := httptest.NewRecorder()
		err := asgi.SSE(func(_ context.Context, last string) iter.Seq2[asgi.Event, error] {
			return events(asgi.Event{ID: last, Data: "x"})(nil, "")
		}, nil).WriteResponse(w, r)
		good := len(id) <= 1024 && utf8.ValidString(id) && !strings.ContainsAny(id, "\r\n\x00")
		if got := parseSSE(w.Body.String()); good != (err == nil) || good &&
			(len(got) != 1 || got[0].id != id) {
			t.Fatalf("%v, %+v", err, got)
		}
	})
}

// FuzzBindScalars holds the binder against strconv and time.
func FuzzBindScalars(f *testing.F) {
	for _, s := range []string{
		"1", "-1", "300", "1.5", "NaN", "true", "x", "",
		"2024-01-02T03:04:05Z", "1m", "0x10", "1_0", "+1", "1e400", "on", "off",
		"2024-01-02T3:04:05Z", "2024-01-02T03:04:05,5Z", "2024-01-02T03:04:05+24:00",
	} {
		f.Add(s)
	}
	type in struct {
		I int8          `query:"i"`
		U uint16        `query:"u"`
		F float32       `query:"f"`
		B bool          `query:"b"`
		T time.Time     `query:"t"`
		D time.Duration `query:"d"`
		S string        `query:"s"`
		P *int          `query:"p"`
	}
	f.Fuzz(func(t *testing.T, s string) {
		var want in
		i, errI := strconv.ParseInt(s, 10, 8)
		u, errU := strconv.ParseUint(s, 10, 16)
		fl, errF := strconv.ParseFloat(s, 32)
		if errF == nil && (fl != fl || fl > 1e39 || fl < -1e39) {
			errF = strconv.ErrSyntax
		}
		p, errP := strconv.Atoi(s)
		var errB, errT, errD error
		if want.B, errB = strconv.ParseBool(s); s == "on" || s == "off" {
			want.B, errB = s == "on", nil
		}
		quoted, err := jsontext.AppendQuote(nil, s)
		if errT = err; err == nil {
			errT = json.Unmarshal(quoted, &want.T)
		}
		want.D, errD = time.ParseDuration(s)
		want.I, want.U, want.F, want.S, want.P = int8(i), uint16(u), float32(fl), s, &p
		if s == "" { // left out
			errI, errU, errF, errB, errT, errD, errP, want = nil, nil, nil, nil, nil, nil, nil, in{}
		}
		wrong := map[string]error{
			"i": errI, "u": errU, "f": errF, "b": errB, "t": errT, "d": errD,
			"s": nil, "p": errP,
		}
		for name, wantErr := range wrong {
			var got in
			r := httptest.NewRequest("GET", "/", nil)
			r.URL.RawQuery = url.Values{name: {s}}.Encode()
			w := httptest.NewRecorder()
			asgi.Handle(func(_ context.Context, v in) (struct{}, error) {
				got = v
				return struct{}{}, nil
			})(w, r)
			if (w.Code == 204) != (wantErr == nil) || w.Code != 204 && w.Code != 422 {
				t.Fatalf("%s=%q: status %d, oracle %v", name, s, w.Code, wantErr)
			}
			if wantErr != nil {
				continue
			}
			field := strings.ToUpper(name)
			if a, b := reflect.ValueOf(got).FieldByName(field).Interface(),
				reflect.ValueOf(want).FieldByName(field).Interface(); !reflect.DeepEqual(a, b) {
				t.Fatalf("%s=%q: got %v, want %v", name, s, a, b)
			}
		}
	})
}

// FuzzParseQuery holds the parser against net/url's.
func FuzzParseQuery(f *testing.F) {
	for _, s := range []string{"a=1&b=2&a=3", "a=%zz", "&&=", "a;b", "a+b=%20", "=x&y"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		want, err := url.ParseQuery(raw)
		got := asgi.ParseQuery(raw)
		if (err == nil) != (got.Err() == nil) {
			t.Fatalf("error %v, oracle %v", got.Err(), err)
		}
		if err != nil {
			return
		}
		for name, values := range want {
			if !slices.Equal(got.Values(name), values) || got.Get(name) != values[0] ||
				!got.Has(name) {
				t.Fatalf("%q: got %q, want %q", name, got.Values(name), values)
			}
		}
		for name := range got.All() {
			if !want.Has(name) {
				t.Fatalf("%q is not there", name)
			}
		}
	})
}

// FuzzRedirect looks at a target as a browser does: tabs and line breaks dropped, backslashes as
// slashes.
func FuzzRedirect(f *testing.F) {
	for _, s := range []string{"/", "//h", "/\\h", "/\t/h", "/a?b=//c", "h", "/è", "/..//h"} {
		f.Add(s)
	}
	base, err := url.Parse("https://app.example/here")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, target string) {
		w := httptest.NewRecorder()
		var failed *asgi.HTTPError
		if err := asgi.Redirect(target).WriteResponse(w,
			httptest.NewRequest("GET", "/", nil)); err != nil {
			if !errors.As(err, &failed) || failed.Status != http.StatusBadRequest ||
				w.Header().Get("Location") != "" {
				t.Fatalf("%v", err)
			}
			return
		}
		location := w.Header().Get("Location")
		seen := strings.NewReplacer("\t", "", "\n", "", "\r", "", "\\",
			"/").Replace(strings.Trim(location, " "))
		u, err := base.Parse(seen)
		if err != nil || u.Host != base.Host || u.Scheme != base.Scheme ||
			!bytes.Equal([]byte(seen), []byte(location)) {
			t.Fatalf("%q goes to %v, %v", location, u, err)
		}
	})
}
