// Command executor is a small service that makes thumbnails, which is real work for a processor, in
// worker processes: a picture that takes too long, too much memory or the whole process with it
// costs its sender an error, and nobody else anything.
//
//	go run ./examples/standalone/executor
//	curl --data-binary @picture.jpg 'localhost:8080/thumbnail?width=200' > small.png
//	# computes for ever: the worker is killed after 2 s
//	curl -d '' -H 'Content-Type: application/octet-stream' localhost:8080/runaway
//	curl -X POST localhost:8080/kill        # the kill switch: ends every thumbnail under way
//	curl localhost:8080/stats
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	_ "image/gif" // the formats it reads
	_ "image/jpeg"
	"image/png"
	"log"
	"net/http"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/executor"
	"github.com/genropy/genro-asgi-go/problem"
)

// Params say what thumbnail to make of the picture, which comes as the call's input.
type Params struct {
	Width int `json:"width"` // pixels, 1 to 2000
}

// Size is that of the thumbnail, which goes as the call's output.
type Size struct {
	Width  int `json:"width"`
	Height int `json:"height"`
}

var (
	thumbnail = executor.NewFunc("thumbnail", makeThumbnail)
	runaway   = executor.NewFunc("runaway", func(context.Context, []byte) (int, error) {
		for n := 0; ; n++ {
			if n < 0 {
				return n, nil
			}
		}
	})
)

func makeThumbnail(ctx context.Context, p Params) (Size, error) {
	if p.Width < 1 || p.Width > 2000 {
		return Size{}, problem.New(http.StatusUnprocessableEntity,
			"The width must be from 1 to 2000.")
	}
	source, _, err := image.Decode(executor.Input(ctx))
	if err != nil {
		return Size{}, problem.New(http.StatusUnprocessableEntity,
			"This is no picture: "+err.Error())
	}
	small := shrink(source, p.Width)
	if err := png.Encode(executor.Output(ctx), small); err != nil {
		return Size{}, err
	}
	return Size{small.Rect.Dx(), small.Rect.Dy()}, nil
}

// shrink averages the pixels of source that fall into each pixel of the result.
func shrink(source image.Image, width int) *image.RGBA {
	from := source.Bounds()
	width = min(width, from.Dx())
	height := max(from.Dy()*width/max(from.Dx(), 1), 1)
	out := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			var sum [4]uint64
			var n uint64
			for sy := from.Min.Y + y*from.Dy()/height; sy < from.Min.Y+
				max((y+1)*from.Dy()/height, y*from.Dy()/height+1); sy++ {
				for sx := from.Min.X + x*from.Dx()/width; sx < from.Min.X+(x+1)*from.Dx()/
					width; sx++ {
					r, g, b, a := source.At(sx, sy).RGBA()
					for i, v := range [...]uint32{r, g, b, a} {
						sum[i] += uint64(v >> 8)
					}
					n++
				}
			}
			for i := range sum {
				out.Pix[out.PixOffset(x, y)+i] = uint8(sum[i] / max(n, 1))
			}
		}
	}
	return out
}

// server holds the kill switch: a context above those of all thumbnails, replaced when it is
// thrown.
type server struct {
	ex *executor.Executor

	mu   sync.Mutex
	ctx  context.Context
	kill context.CancelCauseFunc
}

var errSwitch = errors.New("the kill switch was thrown")

func newServer(ex *executor.Executor) *server {
	s := &server{ex: ex}
	s.ctx, s.kill = context.WithCancelCause(context.Background())
	return s
}

// throw ends all thumbnails under way.
func (s *server) throw(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kill(errSwitch)
	s.ctx, s.kill = context.WithCancelCause(context.Background())
	w.WriteHeader(http.StatusNoContent)
}

func (s *server) thumbnail(w http.ResponseWriter, r *http.Request) {
	width, _ := strconv.Atoi(r.URL.Query().Get("width")) // 0 is refused below
	ctx, cancel := context.WithTimeoutCause(r.Context(), 10*time.Second, context.DeadlineExceeded)
	defer cancel()
	s.mu.Lock()
	thrown := s.ctx
	s.mu.Unlock()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	defer context.AfterFunc(thrown, func() { stop(errSwitch) })()

	var out bytes.Buffer
	_, err := thumbnail.RunWith(ctx, s.ex, Params{Width: width}, &executor.CallOptions{
		Input: http.MaxBytesReader(w, r.Body, 32<<20), Output: &out,
	})
	switch {
	case err == nil:
		w.Header().Set("Content-Type", "image/png")
		_, _ = out.WriteTo(w) // the client is gone: nobody is left to tell
	case errors.Is(err, errSwitch):
		problem.Write(w, r, problem.Unavailable(0, "The operator has stopped it."))
	default: // what makeThumbnail said to the client reaches it, and nothing else
		problem.Write(w, r, err)
	}
}

func (s *server) stats(w http.ResponseWriter, _ *http.Request) {
	p := s.ex.Stats().Process
	w.Header().Set("Content-Type", "application/json")
	_ = json.MarshalWrite(w, map[string]any{ // as above
		"running": p.Running, "queued": p.Queued, "done": p.Done, "failed": p.Failed,
		"killed":  p.Killed,
		"workers": p.Workers, "restarts": p.Restarts, "p99": fmt.Sprint(p.RunP99),
	})
}

func (s *server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /thumbnail", s.thumbnail)
	mux.Handle("POST /runaway",
		executor.Handler(s.ex, runaway, &executor.HandlerOptions{Timeout: 2 * time.Second}))
	mux.HandleFunc("POST /kill", s.throw)
	mux.HandleFunc("GET /stats", s.stats)
	return mux
}

func main() {
	executor.Main() // in a worker process: serves calls and never returns
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	ex := executor.New(&executor.Options{MemoryLimit: 512 << 20})
	if err := ex.Start(ctx); err != nil {
		return err
	}
	web := &http.Server{
		Addr: "127.0.0.1:8080", Handler: newServer(ex).routes(),
		ReadHeaderTimeout: 5 * time.Second,
	}
	ended := make(chan error, 1)
	go func() { ended <- web.ListenAndServe() }()
	log.Print("listening on ", web.Addr)
	var err error
	select {
	case err = <-ended:
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if failed := web.Shutdown(grace); err == nil {
		err = failed
	}
	return errors.Join(err, ex.Stop(grace))
}
