package wsx

import (
	"context"
	"time"

	"github.com/go-json-experiment/json"
)

type authParams struct {
	Token string `json:"token"`
}

type authResult struct {
	Subject     string `json:"subject"`
	ExpiresInMS *int64 `json:"expires_in_ms,omitzero"`
}

// serveAuth is the method wsx.auth: new credentials for the connection. Its subject stays, unless it had none.
func (s *Server) serveAuth(ctx context.Context, r *Request) error {
	var in authParams
	if err := json.Unmarshal(r.Params, &in, decodeOptions...); err != nil {
		e := invalidParams(err)
		e.Err = nil // it may quote the token
		return e
	}
	if in.Token == "" {
		return NewError(CodeUnauthenticated, "no token") // the authenticator would look at the cookies of the upgrade
	}
	c := ConnFrom(ctx)
	under := s.attempt()
	id, err := s.opts.Authenticate.check(c.request.WithContext(ctx), in.Token)
	if err == nil {
		err = ctx.Err() // cancelled: it changes nothing
	}
	if err == nil {
		err = c.renew(id)
	}
	if err != nil {
		s.settle(under, "")
		return err
	}
	if code := s.settle(under, id.Subject); code != 0 {
		c.expel(code, "disconnected")
		return context.Canceled
	}
	c.subs.recheck(ctx)
	result := authResult{Subject: id.Subject}
	if !id.Expires.IsZero() {
		left := max(0, time.Until(id.Expires).Milliseconds())
		result.ExpiresInMS = &left
	}
	return json.MarshalWrite(&r.result, &result)
}

// recheck asks the authorizers of all subscriptions again, and ends those that are refused now. The client cannot stop it: it is not over
// with the request that asked for it, but with the connection.
func (u *subscriptions) recheck(ctx context.Context) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(u.conn.ctx, cancel)()
	for _, s := range u.all(nil) {
		if !u.mayStay(ctx, s) {
			u.end(s, CodePermissionDenied)
		}
	}
}

// mayStay asks a subscription's authorizer. One that panics says no, and says so in the log.
func (*subscriptions) mayStay(ctx context.Context, s *subscription) (yes bool) {
	defer func() {
		if v := recover(); v != nil {
			s.hub.logPanic("wsx: a channel's authorizer panicked", s.name, v)
		}
	}()
	about := s.about
	about.Subject = SubjectFrom(ctx)
	return s.opts.authorize(ctx, about) == nil
}

// authorized asks the authorizer of a subscription under way again when the connection's credentials were refreshed since it was asked: the
// refresh has not seen the subscription.
func (u *subscriptions) authorized(ctx context.Context, s *subscription, asked *Identity) error {
	for {
		now := u.conn.identity.Load()
		if now == asked {
			return nil
		}
		asked = now
		about := s.about
		about.Subject = SubjectFrom(ctx)
		if err := s.opts.authorize(ctx, about); err != nil {
			return err
		}
	}
}
