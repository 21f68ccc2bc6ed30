package stopping_test

import (
	"context"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/internal/leakcheck"
	"github.com/genropy/genro-asgi-go/internal/stopping"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

func TestFrom_IsWhatWithWasGiven(t *testing.T) {
	begun, begin := context.WithCancel(context.Background())
	ctx := stopping.With(t.Context(), begun)
	if stopping.From(ctx) != begun || stopping.From(ctx).Err() != nil {
		t.Error("another context")
	}
	begin()
	if stopping.From(ctx).Err() == nil {
		t.Error("not told")
	}
	if stopping.From(t.Context()).Done() != nil {
		t.Error("without a server there is somebody to tell")
	}
}

func TestTo_AttachesToTheServer(t *testing.T) {
	released := false
	cut, stop := context.WithCancel(context.Background())
	defer stop()
	ctx := context.WithValue(t.Context(), stopping.AttachKey{}, stopping.Attach(
		func() (context.Context, context.Context, func(), bool) {
			return t.Context(), cut, func() { released = true }, true
		}))
	begun, gotCut, release, ok := stopping.To(ctx)
	release()
	if begun != t.Context() || gotCut != cut || !released || !ok {
		t.Error("not what the server gave")
	}
	begun, gotCut, release, ok = stopping.To(t.Context())
	release()
	if begun.Done() != nil || gotCut.Done() != nil || !ok {
		t.Error("without a server there is an end")
	}
}

func TestExpiry_IsThatOfTheInnermost(t *testing.T) {
	at := time.Now().Add(time.Hour)
	none := stopping.WithExpiry(t.Context(), time.Time{})
	ctx := stopping.WithExpiry(none, at)
	if !stopping.Expiry(none).IsZero() || !stopping.Expiry(ctx).Equal(at) {
		t.Errorf("%v, %v", stopping.Expiry(none), stopping.Expiry(ctx))
	}
	if again := stopping.Expiry(stopping.WithExpiry(ctx, time.Time{})); !again.IsZero() {
		t.Errorf("credentials without an end have one: %v", again)
	}
}
