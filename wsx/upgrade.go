package wsx

import (
	"context"
	"net/http"

	"github.com/genropy/genro-asgi-go/internal/wsconn"
)

// snapshot is r as it may be used after its handler has returned: with a context that has ctx's values and ends with
// the connection.
func snapshot(ctx context.Context, r *http.Request) (*http.Request, context.Context, context.CancelCauseFunc) {
	r, cancel := wsconn.Lasting(r.WithContext(ctx))
	return r, r.Context(), cancel
}
