package asgi

import (
	"context"
	"net/http"

	"github.com/genropy/genro-asgi-go/internal/describe"
)

// Limits bound what one request may bring. Nil and the zero value are the defaults.
type Limits struct {
	// Body is the size of the whole body in bytes, a multipart one too. Default 1 MiB (0); negative
	// means no limit, but that the text fields of a form, which are kept in memory, may then have
	// 10 MiB together.
	Body int64

	// Depth is how deep a JSON body may nest. Default 32 (0).
	Depth int

	// Parts is how many parts a multipart body may have. Default 1000 (0).
	Parts int

	// Memory is how much of the files of a form is kept in memory, in bytes; what is beyond it goes
	// to temporary files, which are removed when the handler returns. Default 1 MiB (0); negative
	// means none.
	Memory int64
}

const (
	defaultBody   = 1 << 20
	defaultDepth  = 32
	defaultParts  = 1000
	defaultMemory = 1 << 20
)

func (l *Limits) withDefaults() Limits {
	var d Limits
	if l != nil {
		d = *l
	}
	if d.Body == 0 {
		d.Body = defaultBody
	}
	if d.Depth <= 0 {
		d.Depth = defaultDepth
	}
	if d.Parts <= 0 {
		d.Parts = defaultParts
	}
	if d.Memory == 0 {
		d.Memory = defaultMemory
	}
	return d
}

type limitsKey struct{}

// ContextWithLimits sets the limits of requests with this context as a whole; the innermost count.
func ContextWithLimits(ctx context.Context, l *Limits) context.Context {
	return context.WithValue(ctx, limitsKey{}, l)
}

// Wrap is a middleware that sets the limits of one handler or of a subtree of routes:
//
//	r.With((&asgi.Limits{Body: 64 << 20}).Wrap).Post("/photos", asgi.Respond(upload))
//
// It panics where next is nil.
//
//go:noinline
func (l *Limits) Wrap(next http.Handler) http.Handler {
	if next == nil {
		panic("asgi: Limits.Wrap: the handler is nil")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p, ok := w.(*describe.Probe); ok {
			p.Enter(next)
			return
		}
		next.ServeHTTP(w, r.WithContext(ContextWithLimits(r.Context(), l)))
	})
}

func limitsOf(ctx context.Context) Limits {
	l, _ := ctx.Value(limitsKey{}).(*Limits)
	return l.withDefaults()
}
