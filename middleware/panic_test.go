package middleware_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/genropy/genro-asgi-go/asgi"
)

func TestErrors_APanicIsTheServersEvenWhenTheClientHasGone(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w, log := problems(asgi.ErrorOptions{}, func(http.ResponseWriter, *http.Request) { panic("x") },
		get().WithContext(ctx))
	if w.Code != 500 || !strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("%d, log %s", w.Code, log)
	}
}
