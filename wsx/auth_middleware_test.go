package wsx_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/wsx"
)

func TestAuthenticator_Middleware(t *testing.T) {
	h := wsx.Authenticator(byWord).
		Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, wsx.IdentityFrom(r.Context()).Subject)
		}))
	for _, tc := range []struct {
		url, token string
		status     int
	}{{"/", "ada-0", 200}, {"/", "bad", 401}, {"/", "forbidden", 403}, {"/?token=ada-0", "", 401}} {
		r := httptest.NewRequest(http.MethodGet, tc.url, nil)
		r.Header.Set("Authorization", "Bearer "+tc.token)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != tc.status || w.Code == 200 && w.Body.String() != "ada" {
			t.Errorf("%+v: %d %s", tc, w.Code, w.Body)
		}
	}
}

func TestAuthenticator_LetsGuestsInOnlyWhereTheyAreWanted(t *testing.T) {
	guests := wsx.Authenticator(func(r *http.Request, token string) (wsx.Identity, error) {
		if token == "" {
			return wsx.Identity{Value: "guest", Expires: time.Now().Add(time.Hour)}, nil
		}
		return byWord(r, token)
	})
	serves := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "hello "+wsx.IdentityFrom(r.Context()).Subject)
	})
	for name, tc := range map[string]struct {
		h          http.Handler
		token      string
		status     int
		body, auth string
	}{
		"Middleware, a guest": {guests.Middleware(serves), "", 401, "log in first", "Bearer"},
		"Middleware, a user":  {guests.Middleware(serves), "ada-0", 200, "hello ada", ""},
		"Middleware, a stranger": {
			guests.Middleware(serves), "bad", 401, "",
			`Bearer error="invalid_token"`,
		},
		"Optional, a guest": {guests.Optional(serves), "", 200, "hello ", ""},
		"Optional, a user":  {guests.Optional(serves), "ada-0", 200, "hello ada", ""},
		"Optional, a stranger": {
			guests.Optional(serves), "bad", 401, "",
			`Bearer error="invalid_token"`,
		},
		"Middleware behind itself": {
			guests.Optional(guests.Middleware(serves)), "", 401,
			"log in first", "Bearer",
		},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		if tc.token != "" {
			r.Header.Set("Authorization", "Bearer "+tc.token)
		}
		w := httptest.NewRecorder()
		tc.h.ServeHTTP(w, r)
		if w.Code != tc.status || !strings.Contains(w.Body.String(), tc.body) ||
			w.Header().Get("WWW-Authenticate") != tc.auth {
			t.Errorf("%s: %d %s %q", name, w.Code, w.Body, w.Header().Get("WWW-Authenticate"))
		}
	}
}

func TestAuthenticator_RefusesNil(t *testing.T) {
	for want, call := range map[string]func(){
		"Middleware: the Authenticator is nil": func() {
			wsx.Authenticator(nil).Middleware(http.NotFoundHandler())
		},
		"Optional: the Authenticator is nil": func() {
			wsx.Authenticator(nil).Optional(http.NotFoundHandler())
		},
		"Middleware: the handler is nil": func() {
			wsx.Authenticator(byWord).Middleware(nil)
		},
	} {
		func() {
			defer func() {
				if text, _ := recover().(string); !strings.Contains(text, want) {
					t.Errorf("%q instead of %q", text, want)
				}
			}()
			call()
		}()
	}
}
