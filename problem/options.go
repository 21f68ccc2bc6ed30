package problem

import (
	"context"
	"log/slog"
	"net/http"
)

// Options say how errors become answers, for one app or one subtree of routes.
type Options struct {
	// Debug adds the error's own text as the problem's member "debug". It is for development only.
	// Default false.
	Debug bool

	// Map turns an error into its answer before the rules of Write are tried. A nil result leaves
	// the error to them. Nil means no mapping. It is called by many goroutines at once.
	Map func(r *http.Request, err error) *Error

	// Logger gets the errors that are answered with a status of 500 and above. Nil means
	// slog.Default().
	Logger *slog.Logger
}

type optionsKey struct{}

// WithOptions makes Write follow o for requests with this context. Nil means the defaults.
// The innermost options count as a whole.
func WithOptions(ctx context.Context, o *Options) context.Context {
	return context.WithValue(ctx, optionsKey{}, o)
}

// OptionsFrom are the options that Write follows for requests with this context: those of the
// innermost WithOptions, which are not to be changed, or else the defaults. It is never nil.
func OptionsFrom(ctx context.Context) *Options {
	if o, _ := ctx.Value(optionsKey{}).(*Options); o != nil {
		return o
	}
	return &Options{}
}

// LoggerFrom is the logger of the context's options, slog.Default() where they have none.
func LoggerFrom(ctx context.Context) *slog.Logger { return OptionsFrom(ctx).logger() }

func (o *Options) logger() *slog.Logger {
	if o.Logger == nil {
		return slog.Default()
	}
	return o.Logger
}
