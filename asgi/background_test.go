package asgi_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/asgi"
)

func background(opts asgi.BackgroundOptions) *asgi.Background {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	return asgi.NewBackground(&opts)
}

func TestBackground_OneFailureStopsNoOther(t *testing.T) {
	var log bytes.Buffer
	b := asgi.NewBackground(&asgi.BackgroundOptions{
		Workers: 1,
		Logger:  slog.New(slog.NewTextHandler(&log, nil)),
	})
	var ran atomic.Int32
	for _, fn := range []func(context.Context) error{
		func(context.Context) error { panic("boom-1") },
		func(context.Context) error { return errors.New("fail-2") },
		func(context.Context) error { ran.Add(1); return nil },
	} {
		if err := b.Go(t.Context(), fn); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Stop(t.Context()); err != nil || ran.Load() != 1 {
		t.Errorf("%v, %d ran", err, ran.Load())
	}
	if got := log.String(); !strings.Contains(got, "boom-1") || !strings.Contains(got, "fail-2") ||
		strings.Count(got, "\n") != 2 {
		t.Errorf("log %s", got)
	}
}

func TestBackground_IsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := background(asgi.BackgroundOptions{Workers: 2, Queue: 5})
		release := make(chan struct{})
		var running, most atomic.Int32
		work := func(context.Context) error {
			most.Store(max(most.Load(), running.Add(1)))
			<-release
			running.Add(-1)
			return nil
		}
		for range 5 {
			if err := b.Go(t.Context(), work); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Go(t.Context(), work); err != asgi.ErrBackgroundFull {
			t.Errorf("error %v", err)
		}
		synctest.Wait()
		if most.Load() != 2 {
			t.Errorf("%d at a time", most.Load())
		}
		close(release)
		synctest.Wait()
		if err := b.Go(t.Context(), work); err != nil {
			t.Errorf("error %v once there is room", err)
		}
		if err := b.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if most.Load() != 2 {
			t.Errorf("%d at a time", most.Load())
		}
	})
}

func TestBackground_StopIsIdempotentAndRefuses(t *testing.T) {
	b := asgi.NewBackground(nil)
	if err := b.Start(t.Context()); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := b.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
	err := b.Go(t.Context(), func(context.Context) error { return nil })
	if err != asgi.ErrBackgroundStopped {
		t.Errorf("error %v", err)
	}
	if w := writeError(quiet(t.Context()), err); w.Code != 503 || err.Error() == "" {
		t.Errorf("status %d", w.Code)
	}
}

func TestBackground_StopGivesUpAndCancels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := background(asgi.BackgroundOptions{Workers: 1, Timeout: -1})
		causes := make(chan error, 2)
		for range 2 {
			err := b.Go(t.Context(), func(ctx context.Context) error {
				<-ctx.Done()
				causes <- context.Cause(ctx)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := b.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) ||
			!strings.Contains(err.Error(), "2 background") {
			t.Errorf("error %v", err)
		}
		for range 2 {
			if err := <-causes; err != asgi.ErrShutdown {
				t.Errorf("cause %v", err)
			}
		}
		synctest.Wait()
		if err := b.Stop(t.Context()); err != nil {
			t.Errorf("error %v once all is done", err)
		}
	})
}

func TestBackground_ContextHasValuesButNotTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := background(asgi.BackgroundOptions{Timeout: time.Minute})
		type key struct{}
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "v"))
		cancel()
		err := b.Go(ctx, func(ctx context.Context) error {
			start := time.Now()
			if ctx.Err() != nil || ctx.Value(key{}) != "v" {
				t.Errorf("%v, %v", ctx.Err(), ctx.Value(key{}))
			}
			if <-ctx.Done(); time.Since(start) != time.Minute {
				t.Errorf("ended after %v", time.Since(start))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func TestAfter_RunsOnlyAfterAGoodAnswer(t *testing.T) {
	b := background(asgi.BackgroundOptions{Queue: 1})
	ctx := asgi.ContextWithBackground(t.Context(), b)
	var ran atomic.Int32
	enlist := func(ctx context.Context) error {
		return asgi.After(ctx, func(context.Context) error { ran.Add(1); return nil })
	}
	get := func(end func() (asgi.Response, error)) (code int) {
		defer func() { _ = recover() }()
		return serve(t, asgi.Respond(func(r *asgi.Request) (asgi.Response, error) {
			if err := enlist(r.Context()); err != nil {
				t.Fatal(err)
			}
			if err := enlist(r.Context()); err != asgi.ErrBackgroundFull {
				t.Errorf("error %v: the place was not taken at once", err)
			}
			if n := ran.Load(); n != 0 {
				t.Errorf("%d ran before the answer", n)
			}
			return end()
		}), httptest.NewRequestWithContext(ctx, "GET", "/", nil)).Code
	}
	get(func() (asgi.Response, error) { return nil, asgi.NewHTTPError(404, "") })
	get(func() (asgi.Response, error) { panic("boom") })
	get(func() (asgi.Response, error) { return asgi.JSON(func() {}), nil })
	if code := get(func() (asgi.Response, error) { return asgi.NoContent(), nil }); code != 204 {
		t.Errorf("status %d", code)
	}
	if err := b.Stop(t.Context()); err != nil || ran.Load() != 1 {
		t.Errorf("%v, %d ran", err, ran.Load())
	}
}

func TestAfter_InATypedFunctionAndOutsideOfARequest(t *testing.T) {
	b := background(asgi.BackgroundOptions{})
	ctx := asgi.ContextWithBackground(t.Context(), b)
	var ran atomic.Int32
	typed := func(ctx context.Context, _ struct{}) (addOut, error) {
		return addOut{1}, asgi.After(ctx, func(context.Context) error { ran.Add(1); return nil })
	}
	if w := serve(t, asgi.Handle(typed),
		httptest.NewRequestWithContext(ctx, "GET", "/", nil)); w.Code != 200 {
		t.Errorf("status %d", w.Code)
	}
	if _, err := typed(ctx, struct{}{}); err != nil {
		t.Error(err)
	}
	if err := b.Stop(t.Context()); err != nil || ran.Load() != 2 {
		t.Errorf("%v, %d ran", err, ran.Load())
	}
	if _, err := typed(t.Context(), struct{}{}); err == nil {
		t.Error("no error without a Background")
	}
	if w := serve(t, asgi.Handle(typed),
		httptest.NewRequestWithContext(ctx, "GET", "/", nil)); w.Code != 503 {
		t.Errorf("status %d after Stop", w.Code)
	}
}

func TestAfter_WorkMayEnlistMoreAndSeesTheState(t *testing.T) {
	b := background(asgi.BackgroundOptions{})
	key := asgi.NewKey[string]("k")
	seen := make(chan string, 1)
	h := asgi.Respond(func(r *asgi.Request) (asgi.Response, error) {
		key.Set(r.State(), "v")
		return asgi.NoContent(), asgi.After(r.Context(), func(ctx context.Context) error {
			if _, ok := asgi.RequestFrom(ctx); ok {
				t.Error("the request is still there")
			}
			return asgi.After(ctx, func(ctx context.Context) error {
				value, _ := key.Get(asgi.StateFrom(ctx))
				seen <- value
				return nil
			})
		})
	})
	serve(t, h,
		httptest.NewRequestWithContext(asgi.ContextWithBackground(t.Context(), b), "GET", "/", nil))
	if got := <-seen; got != "v" {
		t.Errorf("state %q", got)
	}
	if err := b.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAfter_StopWaitsForARequestThatHoldsAPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := background(asgi.BackgroundOptions{})
		var ran atomic.Bool
		stopped := make(chan error, 1)
		h := asgi.Respond(func(r *asgi.Request) (asgi.Response, error) {
			if err := asgi.After(r.Context(),
				func(context.Context) error { ran.Store(true); return nil }); err != nil {
				return nil, err
			}
			go func() { stopped <- b.Stop(context.Background()) }()
			synctest.Wait()
			return asgi.StreamFunc("", func(_ context.Context, w io.Writer) error {
				if ran.Load() {
					t.Error("ran before the answer was written")
				}
				_, err := io.WriteString(w, "x")
				return err
			}), nil
		})
		serve(t, h,
			httptest.NewRequestWithContext(asgi.ContextWithBackground(t.Context(), b), "GET", "/",
				nil))
		if err := <-stopped; err != nil || !ran.Load() {
			t.Errorf("%v, ran %v", err, ran.Load())
		}
	})
}
