package main

import (
	"context"
	"net/http"
	"time"

	"github.com/genropy/genro-asgi-go/wsx"
)

// briefly is how long the token of brief lasts, from the moment it is shown.
const briefly = time.Second

// authenticate knows the tokens of section 8.
func authenticate(_ *http.Request, token string) (wsx.Identity, error) {
	switch token {
	case "alice-token":
		return wsx.Identity{Subject: "alice"}, nil
	case "admin-token":
		return wsx.Identity{Subject: "admin"}, nil
	case "brief-token":
		return wsx.Identity{Subject: "brief", Expires: time.Now().Add(briefly)}, nil
	}
	return wsx.Identity{}, wsx.NewError(wsx.CodeUnauthenticated, "")
}

// adminOnly authorizes subscriptions to private channels.
func adminOnly(ctx context.Context, _ wsx.Subscription) error {
	if wsx.IdentityFrom(ctx).Subject != "admin" {
		return wsx.NewError(wsx.CodeSubscriptionDenied, "")
	}
	return nil
}
