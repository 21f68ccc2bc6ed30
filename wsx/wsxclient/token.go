package wsxclient

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/internal/clientcall"
)

// handshakeHeader is Options.Header with a fresh token, if there are tokens.
func (c *Client) handshakeHeader(ctx context.Context) (header http.Header, token string,
	err error,
) {
	if c.opts.Token == nil {
		return c.opts.Header, "", nil
	}
	if token, err = c.opts.Token(ctx); err != nil {
		return nil, "", fmt.Errorf("wsx: token: %w", err)
	}
	header = c.opts.Header.Clone()
	if header == nil {
		header = make(http.Header)
	}
	if token != "" {
		header.Set("Authorization", "Bearer "+token)
	}
	return header, token, nil
}

// credentials is what a link knows of its own. It is guarded by link.mu.
type credentials struct {
	expires time.Time // as the server said; zero when it did not
	err     error     // why the last refresh failed; nil when it did not
}

// keepFresh learns when the token of the handshake expires and gives the server a fresh one before,
// until the link ends. The server alone decides what expires: a refresh that fails is tried again,
// and when it goes on failing the server ends the connection.
func (l *link) keepFresh(token string) {
	var failed backoff
	ctx := l.served.ctx // of the connection
	for {
		left, err := l.authenticate(ctx, token)
		switch {
		case err == nil && left <= 0, errors.Is(err, wsx.NewError(wsx.CodeMethodNotFound, "")):
			return // they never expire, or the server knows nothing of credentials
		case err == nil:
			failed = backoff{}
		}
		wait := max(beforeExpiry(left), failed.next(&l.client.opts)+serverDelay(err))
		for {
			select {
			case <-time.After(wait):
			case <-l.closed:
				return
			}
			tokenCtx, cancel := context.WithTimeout(ctx, l.client.opts.DialTimeout)
			token, err = l.client.opts.Token(tokenCtx)
			cancel()
			if err == nil {
				break
			}
			l.setRefreshed(time.Time{}, fmt.Errorf("token: %w", err))
			wait = failed.next(&l.client.opts)
		}
	}
}

// beforeExpiry is how long to wait with a refresh when the credentials last for left: a fifth of
// that, a minute at most, is left over, and up to half as much again at random, so that clients
// that came together do not all ask together.
func beforeExpiry(left time.Duration) time.Duration {
	margin := min(left/5, time.Minute)
	return left - margin - rand.N(margin/2+1)
}

// authenticate calls wsx.auth. It returns how long the credentials last, 0 when they do for ever.
func (l *link) authenticate(ctx context.Context, token string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, l.client.opts.DialTimeout)
	defer cancel()
	params, err := json.Marshal(map[string]string{"token": token})
	if err != nil {
		return 0, errors.New("wsx: the token is not UTF-8")
	}
	began := time.Now() // what the server counts from is later
	raw, err := l.request(ctx, nil, clientcall.Request(ctx, "wsx.auth", params, 0, false, nil))
	var in struct {
		ExpiresInMS int64 `json:"expires_in_ms"`
	}
	if err == nil {
		err = json.Unmarshal(raw, &in)
	}
	if err != nil {
		l.setRefreshed(time.Time{}, redact(err, token))
		return 0, err
	}
	left := time.Duration(min(in.ExpiresInMS, int64(365*24*time.Hour/time.Millisecond))) *
		time.Millisecond
	if left > 0 {
		l.setRefreshed(began.Add(left), nil)
	}
	return left, nil
}

func (l *link) setRefreshed(expires time.Time, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.credentials.err = err; err == nil {
		l.credentials.expires = expires
	}
}

// redact is err, or when its text holds the token an error whose text does not.
func redact(err error, token string) error {
	if text := err.Error(); token != "" && strings.Contains(text, token) {
		return errors.New(strings.ReplaceAll(text, token, "[token]"))
	}
	return err
}

// denied counts that the server did not take a token, and reports whether a fresh one is no use
// either: the second in a row. A connection that held until its credentials expired, or for
// RetryMax, was taken.
func (c *Client) denied(l *link) bool {
	if l != nil {
		l.mu.Lock()
		expires := l.credentials.expires
		l.mu.Unlock()
		now := time.Now()
		if !expires.IsZero() && !now.Before(expires) || now.Sub(l.began) >= c.opts.RetryMax {
			c.denials = 0
		}
	}
	c.denials++
	return c.opts.Token == nil || c.denials > 1
}
