package wsx

import (
	"context"
	"errors"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/internal/typed"
)

type authParams struct {
	Token string `json:"token"`
}

type authResult struct {
	Subject     string `json:"subject"`
	ExpiresInMS *int64 `json:"expires_in_ms,omitzero"`
}

// serveAuth is the method wsx.auth: new credentials for the connection. Its subject stays, unless
// it had none.
func (s *Server) serveAuth(ctx context.Context, r *Request) error {
	var in authParams
	if err := typed.Decode(r.Params, &in); err != nil {
		e := invalidParams(err)
		e.Err = nil // it may quote the token
		return e
	}
	if in.Token == "" {
		// the authenticator would look at the cookies of the upgrade
		return NewError(CodeUnauthenticated, "no token")
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
		s.endAttempt(under, "")
		return err
	}
	if code := s.endAttempt(under, id.Subject); code != 0 {
		c.disconnect(code, "disconnected")
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

// recheck asks the authorizers of all subscriptions again, and ends those that are refused now. The
// client cannot stop it: it is not over with the request that asked for it, but with the
// connection.
func (u *subscriptions) recheck(ctx context.Context) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(u.conn.ctx, cancel)()
	for _, s := range u.all(nil) {
		if code := u.mayStay(ctx, s); code != "" {
			u.end(ctx, s, code)
		}
	}
}

// mayStay asks a subscription's authorizer, and returns the code with which the subscription ends,
// "" when it stays: UNAVAILABLE where there was no answer, as nobody gets events without one. An
// authorizer that panics says no, and says so in the log.
func (*subscriptions) mayStay(ctx context.Context, s *subscription) (code string) {
	defer func() {
		if v := recover(); v != nil {
			code = CodePermissionDenied
			s.hub.logPanic("wsx: a channel's authorizer panicked", s.name, v)
		}
	}()
	about := s.about
	about.Subject = IdentityFrom(ctx).Subject
	err := s.opts.authorize(ctx, about)
	switch e, _ := errors.AsType[*Error](err); {
	case err == nil:
		return ""
	case e.forNow():
		return CodeUnavailable
	}
	return CodePermissionDenied
}

// grounds are what an authorizer's answer stands on. What it let in is asked for again when they
// have changed before it was entered: whoever changed them has not found it.
type grounds struct {
	identity *Identity
	taken    uint64 // how often the hub has taken subscriptions back
}

func (u *subscriptions) grounds() grounds {
	g := grounds{identity: u.conn.identity.Load()}
	if hub := u.conn.server.opts.Hub; hub != nil {
		g.taken = hub.revocations.Load()
	}
	return g
}

// authorized asks the authorizer of a subscription that has been entered again, unless what it was
// asked on still holds.
func (u *subscriptions) authorized(ctx context.Context, s *subscription, asked grounds) error {
	for {
		now := u.grounds()
		if now == asked {
			return nil
		}
		asked = now
		about := s.about
		about.Subject = IdentityFrom(ctx).Subject
		if err := s.opts.authorize(ctx, about); err != nil {
			return err
		}
	}
}

// renew gives a connection an identity, and its credentials their end.
func (c *Conn) renew(id *Identity) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return context.Canceled // there is nobody to answer
	}
	if old := c.Identity().Subject; old != "" && old != id.Subject {
		return NewError(CodePermissionDenied, "the token is not the subject's of this connection")
	}
	c.identity.Store(id)
	c.scheduleLocked(id)
	return nil
}

// scheduleLocked sees to the end of a connection whose credentials end.
func (c *Conn) scheduleLocked(id *Identity) {
	if c.expiry != nil {
		c.expiry.Stop()
		c.expiry = nil
	}
	if !c.closed && !id.Expires.IsZero() {
		c.expiry = time.AfterFunc(time.Until(id.Expires), c.expire)
	}
}

// expire is the end of the credentials, unless they were renewed just before or the clock was set
// back.
func (c *Conn) expire() {
	c.mu.Lock()
	id := c.identity.Load()
	ended := expired(id)
	if !ended {
		c.scheduleLocked(id)
	}
	c.mu.Unlock()
	if ended {
		c.disconnect(closeUnauthenticated, "credentials expired")
	}
}
