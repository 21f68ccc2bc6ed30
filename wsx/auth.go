package wsx

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/genropy/genro-asgi-go/internal/describe"
	"github.com/genropy/genro-asgi-go/internal/stopping"
	"github.com/genropy/genro-asgi-go/problem"
	"github.com/genropy/genro-asgi-go/wsx/internal/documents"
)

// Identity is who a client is. The zero Identity is nobody in particular.
type Identity struct {
	// Subject names the client: a user, a service. It is what presence shows and
	// [Server.Disconnect] asks for, so no secret. It is UTF-8; empty is an anonymous client.
	Subject string
	// Expires is when the credentials end; zero is never.
	Expires time.Time
	// Value is the program's own: claims, a session, a record of its database. It is shared by all
	// calls of a connection.
	Value any
}

// Authenticator finds out who sends a request. It is [ServerOptions.Authenticate], and middleware
// for handlers of HTTP by its methods Middleware, which lets nobody in without a Subject, and
// Optional, which lets guests in.
//
// The token is what Authorization: Bearer holds (RFC 6750 section 2.1), or "" when there is none;
// then r may have a cookie, a client certificate, another scheme, or a value that middleware put
// into its context. To let a client without any of them in, return an Identity without a Subject;
// with Expires it has that long to call wsx.auth.
//
// For the method wsx.auth it gets the token of its params, never empty, and the request that was
// upgraded, whose cookies and headers may be old by then: a token that is there is all that counts.
// r.Context() is the call's, and [ConnFrom] the connection; it is nil at the upgrade.
//
// An error refuses, by the rules of problem.Write: a *[Error] is answered as it is,
// [CodeUnauthenticated] as 401 and [CodePermissionDenied] as 403, and so is what else problem.Of
// finds public; of an error with a StatusCode() int of 400 to 599 that status is told. Any other is
// an internal one: a bare 500, and the error goes to the log of problem.WithOptions, without the
// token should its text contain it. An Identity whose Expires is past is UNAUTHENTICATED, and one
// without a Subject in answer to a token a mistake of the Authenticator: an internal error. It may
// be called by many goroutines at a time; a panic is an internal error.
type Authenticator func(r *http.Request, token string) (Identity, error)

type identityKey struct{}

// WithIdentity returns a context in which [IdentityFrom] finds id. It is for middleware that
// authenticates by itself: a Server without Authenticate takes over the identity in the context of
// the request that it upgrades. The streams and WebSockets of this module that serve a request with
// this context end at id.Expires; an ordinary request, which was let in before, goes on.
func WithIdentity(ctx context.Context, id Identity) context.Context {
	return stopping.WithExpiry(context.WithValue(ctx, identityKey{}, &id), id.Expires)
}

// IdentityFrom returns who is behind a call: in a handler, an authorizer or middleware of a
// dispatcher the identity of its connection as it is at that moment, elsewhere that of
// [WithIdentity], else the zero Identity.
func IdentityFrom(ctx context.Context) Identity {
	if id, _ := ctx.Value(identityKey{}).(*Identity); id != nil {
		return *id
	}
	return Identity{}
}

// Middleware authenticates requests of HTTP, for what is no WebSocket: [Hub.SSE], JSON-RPC by POST,
// a chi router. It answers what a refuses with a problem, as the Server does; a request with a
// token in its query, and one that a lets in without a Subject, with 401. The others go on with
// their identity in the context; what it means for streams when that expires, [WithIdentity] says.
// Middleware panics where a or next is nil.
func (a Authenticator) Middleware(next http.Handler) http.Handler {
	return a.middleware("Middleware", next, func(id *Identity) error {
		if id.Subject == "" {
			return &refusal{NewError(CodeUnauthenticated, "log in first"), false}
		}
		return nil
	})
}

// Optional is Middleware for handlers that serve guests too: a request that a lets in without a
// Subject goes on, and the handler asks [IdentityFrom].
func (a Authenticator) Optional(next http.Handler) http.Handler {
	return a.middleware("Optional", next, func(*Identity) error { return nil })
}

//go:noinline
func (a Authenticator) middleware(name string, next http.Handler,
	admit func(*Identity) error,
) http.Handler {
	switch {
	case a == nil:
		panic("wsx: Authenticator." + name + ": the Authenticator is nil")
	case next == nil:
		panic("wsx: Authenticator." + name + ": the handler is nil")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p, ok := w.(*describe.Probe); ok {
			p.Pass(next, documents.Authenticated(name == "Optional"))
			return
		}
		r, id, err := a.identify(r, false)
		if err == nil {
			err = admit(id)
		}
		if err != nil {
			refuse(w, r, err, false, slog.Default())
			return
		}
		next.ServeHTTP(w, r.WithContext(WithIdentity(r.Context(), *id)))
	})
}

// refusal is why somebody is not let in, and whether it showed a token.
type refusal struct {
	err   error
	token bool
}

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// refuse answers a request with a problem. What is the server's fault problem.Write logs.
func refuse(w http.ResponseWriter, r *http.Request, err error, debug bool, log *slog.Logger) {
	err = answerable(err, debug)
	status := problem.From(err).StatusCode()
	if status < http.StatusInternalServerError {
		log.LogAttrs(r.Context(), levelQuiet, "wsx: not let in", slog.Int("status", status),
			errAttr(err))
	}
	if status == http.StatusUnauthorized {
		challenge := "Bearer" // RFC 6750 section 3: no more than that for who showed nothing
		if shown, ok := errors.AsType[*refusal](err); ok && shown.token {
			challenge = `Bearer error="invalid_token"`
		}
		w.Header().Set("WWW-Authenticate", challenge)
	}
	problem.Write(w, r, err)
}

// identify tells who sends a request. Without an authenticator that is what middleware has found,
// nil when it did not. The request that it returns has no token in its query.
func (a Authenticator) identify(r *http.Request, inQuery bool) (*http.Request, *Identity, error) {
	if a == nil {
		id, _ := r.Context().Value(identityKey{}).(*Identity)
		if id != nil && expired(id) {
			return r, nil, &Error{
				Code:    CodeUnauthenticated,
				Message: "the credentials have expired",
			}
		}
		return r, id, nil
	}
	tokens, rest := queryTokens(r.URL.RawQuery)
	if len(tokens) > 0 {
		r = withQuery(r, rest)
		if !inQuery {
			return r, nil, NewError(CodeUnauthenticated,
				"a token in the query string is not accepted: logs keep it")
		}
	}
	for _, value := range r.Header.Values("Authorization") {
		scheme, token, _ := strings.Cut(value, " ")
		if strings.EqualFold(scheme, "Bearer") {
			tokens = append(tokens, strings.TrimSpace(token))
		}
	}
	if len(tokens) > 1 {
		return r, nil, NewError(CodeInvalidRequest, "the request has more than one token")
	}
	token := strings.Join(tokens, "")
	id, err := a.check(r, token)
	if err != nil {
		return r, nil, &refusal{err, token != ""}
	}
	return r, id, nil
}

// check asks the authenticator, and whether its answer can be true.
func (a Authenticator) check(r *http.Request, token string) (_ *Identity, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = caught(v)
		}
		if err != nil && token != "" && strings.Contains(err.Error(), token) {
			err = redacted(err, token)
		}
	}()
	id, err := a(r, token)
	switch {
	case err != nil:
		return nil, err
	case expired(&id):
		return nil, NewError(CodeUnauthenticated, "the credentials have expired")
	case token != "" && id.Subject == "":
		return nil, errors.New("wsx: Authenticate took a token and named no subject")
	case !utf8.ValidString(id.Subject):
		return nil, errors.New("wsx: Authenticate named a subject that is not UTF-8")
	}
	return &id, nil
}

// redacted is err without the token in its text.
func redacted(err error, token string) error {
	cut := func(s string) string { return strings.ReplaceAll(s, token, "[token]") }
	p := *problem.From(err)
	p.Detail, p.Err = cut(p.Detail), errors.New(cut(err.Error()))
	return &p
}

func expired(id *Identity) bool { return !id.Expires.IsZero() && !time.Now().Before(id.Expires) }

// queryTokens returns the values of the parameters token and access_token (RFC 6750 section 2.3),
// and the query without them.
func queryTokens(query string) (tokens []string, rest string) {
	var kept []string
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if name, err := url.QueryUnescape(name); err == nil &&
			(name == "token" || name == "access_token") {
			value, err := url.QueryUnescape(value)
			if err != nil {
				value = "" // no token that anybody issued
			}
			tokens = append(tokens, value)
			continue
		}
		kept = append(kept, pair)
	}
	return tokens, strings.Join(kept, "&")
}

// withQuery is r with another query.
func withQuery(r *http.Request, query string) *http.Request {
	changed := *r.URL
	changed.RawQuery = query
	r = r.WithContext(r.Context()) // a copy
	r.URL, r.RequestURI = &changed, changed.RequestURI()
	r.Form = nil // what middleware may have parsed
	return r
}
