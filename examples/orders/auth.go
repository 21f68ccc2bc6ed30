package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/genropy/genro-asgi-go/problem"
	"github.com/genropy/genro-asgi-go/wsx"
)

// keys sign tokens and verify them. In earnest an identity provider signs, and its public keys are
// here.
type keys string

type claims struct {
	Role string `json:"role,omitempty"` // "", "staff" or "partner"
	jwt.RegisteredClaims
}

func (k keys) issue(subject, role string, life time.Duration) (string, error) {
	if subject == "" {
		return "", errors.New("orders: a token is for somebody")
	}
	return jwt.NewWithClaims(jwt.SigningMethodHS256, claims{role, jwt.RegisteredClaims{
		Issuer: "orders", Subject: subject, ExpiresAt: jwt.NewNumericDate(time.Now().Add(life)),
	}}).SignedString([]byte(k))
}

// authenticate is a wsx.Authenticator, for HTTP and for the WebSocket alike.
func (k keys) authenticate(_ *http.Request, token string) (wsx.Identity, error) {
	if token == "" {
		// a page cannot send its token with the handshake: it has ten seconds to call wsx.auth
		return wsx.Identity{Expires: time.Now().Add(10 * time.Second)}, nil
	}
	var c claims
	_, err := jwt.ParseWithClaims(token, &c,
		func(*jwt.Token) (any, error) { return []byte(k), nil },
		jwt.WithValidMethods([]string{"HS256"}), jwt.WithIssuer("orders"),
		jwt.WithExpirationRequired())
	if err == nil && c.Subject == "" {
		err = errors.New("orders: a token without a subject")
	}
	if err != nil { // why is for the log
		return wsx.Identity{}, &wsx.Error{
			Code:    wsx.CodeUnauthenticated,
			Message: "The token is not valid.", Err: err,
		}
	}
	return wsx.Identity{Subject: c.Subject, Expires: c.ExpiresAt.Time, Value: c.Role}, nil
}

// user is who calls.
type user struct{ name, role string }

func userFrom(ctx context.Context) user {
	id := wsx.IdentityFrom(ctx)
	role, _ := id.Value.(string)
	return user{id.Subject, role}
}

// owner is whose orders the user may see: "" is everybody's.
func (u user) owner() string {
	if u.role == "staff" {
		return ""
	}
	return u.name
}

func (u user) must(role string) error {
	if u.role != role {
		return problem.Forbidden("Only " + role + " may do that.")
	}
	return nil
}

// known keeps out of a method who has not called wsx.auth yet.
func known(next wsx.Handler) wsx.Handler {
	return func(ctx context.Context, r *wsx.Request) error {
		if wsx.IdentityFrom(ctx).Subject == "" {
			return wsx.NewError(wsx.CodeUnauthenticated, "Call wsx.auth first.")
		}
		return next(ctx, r)
	}
}
