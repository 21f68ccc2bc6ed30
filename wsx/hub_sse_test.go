package wsx_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/stopping"
	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/broker"
)

// sseServer serves the channel named in the path; stop ends its streams as an app's shutdown does.
func sseServer(t *testing.T) (hub *wsx.Hub, url string, stop func()) {
	t.Helper()
	hub = wsx.NewHub(nil)
	hub.Configure("room.>", &wsx.ChannelOptions{History: 3})
	hub.Configure("private.>",
		&wsx.ChannelOptions{Authorize: func(_ context.Context, s wsx.Subscription) error {
			return errors.New("canary: " + s.Channel)
		}})
	hub.Configure("even.>",
		&wsx.ChannelOptions{Filter: func(s wsx.Subscription) (func(broker.Event) bool, error) {
			if s.Channel == "even.none" {
				return nil, errors.New("the params say nothing")
			}
			return func(e broker.Event) bool { return len(e.Payload)%2 == 0 }, nil
		}, OnSubscribe: func(s wsx.Subscription) {
			for _, payload := range []string{"1", "22"} {
				if _, err := hub.Publish(context.Background(), s.Channel,
					jsontext.Value(payload)); err != nil {
					t.Error(err)
				}
			}
		}})
	begun, stop := context.WithCancel(context.Background())
	h := hub.SSE(func(r *http.Request) (string, error) {
		name := strings.TrimPrefix(r.URL.Path, "/")
		if name == "unknown" {
			return "", wsx.NewError(wsx.CodeNotFound, "no such room")
		}
		return name, nil
	})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r.WithContext(stopping.With(r.Context(), begun)))
	}))
	t.Cleanup(func() {
		stop()
		srv.Close()
		if err := hub.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return hub, srv.URL, stop
}

func sseGet(t *testing.T, url, lastEventID string) (*http.Response, *bufio.Scanner) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if lastEventID != "" {
		req.Header.Set("Last-Event-ID", lastEventID)
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp, bufio.NewScanner(resp.Body)
}

// sseNext reads one event's lines, comments left out.
func sseNext(t *testing.T, s *bufio.Scanner) string {
	t.Helper()
	var lines []string
	for s.Scan() {
		switch line := s.Text(); {
		case line == "" && len(lines) > 0:
			return strings.Join(lines, "|")
		case line != "" && line[0] != ':':
			lines = append(lines, line)
		}
	}
	return "end"
}

func TestHubSSE_StreamsAndRecovers(t *testing.T) {
	hub, url, stop := sseServer(t)
	var ids []string
	for i := range 3 {
		p, err := hub.Publish(t.Context(), "room.a",
			jsontext.Value("{\n\"n\":"+string('0'+rune(i))+"}"))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, p.Epoch+":"+string('1'+rune(i)))
	}
	resp, events := sseGet(t, url+"/room.a", ids[0])
	if resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Error(resp.Header)
	}
	for i := 1; i < 3; i++ {
		want := "id: " + ids[i] + `|data: {"n":` + string('0'+rune(i)) + `}`
		if got := sseNext(t, events); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if _, err := hub.Publish(t.Context(), "room.a", "live"); err != nil {
		t.Fatal(err)
	}
	if got := sseNext(t, events); !strings.HasSuffix(got, `:4|data: "live"`) {
		t.Errorf("got %q", got)
	}
	for _, id := range []string{"other:1", "garbage", ":", ids[0] + "9"} {
		_, events := sseGet(t, url+"/room.a", id)
		if got := sseNext(t, events); !strings.HasPrefix(got, "event: wsx.missed|") ||
			!strings.HasSuffix(got, "data: ") {
			t.Errorf("%q: got %q", id, got)
		}
	}
	_, pattern := sseGet(t, url+"/room.*", "")
	stop()
	if got := sseNext(t, events); got != "end" {
		t.Errorf("got %q after the shutdown", got)
	}
	if got := sseNext(t, pattern); got != "end" || pattern.Err() != nil {
		t.Errorf("got %q, %v after the shutdown", got, pattern.Err())
	}
}

func TestHubSSE_ListensBeforeItAnswers(t *testing.T) {
	hub, url, _ := sseServer(t)
	hub.Configure("plain.>", nil)
	for _, channel := range []string{"room.a", "plain.a"} {
		_, events := sseGet(t, url+"/"+channel, "")
		if _, err := hub.Publish(t.Context(), channel, 1); err != nil {
			t.Fatal(err)
		}
		got := sseNext(t, events)
		if strings.HasSuffix(got, ":0") { // where it begins
			got = sseNext(t, events)
		}
		if !strings.HasSuffix(got, "data: 1") {
			t.Errorf("%s: got %q", channel, got)
		}
	}
}

func TestHubSSE_RecoversWhatCameBeforeTheFirstEvent(t *testing.T) {
	hub, url, _ := sseServer(t)
	resp, events := sseGet(t, url+"/room.a", "")
	id, ok := strings.CutPrefix(sseNext(t, events), "id: ")
	if !ok {
		t.Fatalf("it began with %q", id)
	}
	_ = resp.Body.Close()
	if _, err := hub.Publish(t.Context(), "room.a", 1); err != nil {
		t.Fatal(err)
	}
	_, events = sseGet(t, url+"/room.a", id)
	if got := sseNext(t, events); !strings.HasSuffix(got, ":1|data: 1") {
		t.Errorf("after %s: got %q", id, got)
	}
	_, events = sseGet(t, url+"/room.a", "other:1")
	_, id, _ = strings.Cut(sseNext(t, events), "id: ")
	id, _, _ = strings.Cut(id, "|")
	_, events = sseGet(t, url+"/room.a", id)
	if _, err := hub.Publish(t.Context(), "room.a", 2); err != nil {
		t.Fatal(err)
	}
	if got := sseNext(t, events); !strings.HasSuffix(got, ":2|data: 2") {
		t.Errorf("after a gap, from %s: got %q", id, got)
	}
}

func TestHubSSE_IsFiltered(t *testing.T) {
	_, url, _ := sseServer(t)
	_, events := sseGet(t, url+"/even.a", "")
	if got := sseNext(t, events); got != "data: 22" {
		t.Errorf("got %q", got)
	}
}

func TestHubSSE_RefusalsAreProblems(t *testing.T) {
	_, url, _ := sseServer(t)
	for path, status := range map[string]int{
		"/even.none": 422, "/private.a": 403, "/closed": 403,
		"/unknown": 404, "/a..b": 400,
	} {
		resp, _ := sseGet(t, url+path, "")
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != status ||
			resp.Header.Get("Content-Type") != "application/problem+json" ||
			strings.Contains(string(body), "canary") {
			t.Errorf("%s: %d %s %s %v", path, resp.StatusCode, resp.Header.Get("Content-Type"),
				body, err)
		}
	}
	resp, err := http.Post(url+"/room.a", "", nil)
	if err != nil || resp.StatusCode != 405 {
		t.Error(resp.StatusCode, err)
	}
	_ = resp.Body.Close()
}

func TestHub_ListenEndsWithItsContextAndWhenItFallsBehind(t *testing.T) {
	hub := wsx.NewHub(nil)
	begun := func(s wsx.Subscription) { // the first event, as soon as somebody listens
		if _, err := hub.Publish(t.Context(), s.Channel, 0); err != nil {
			t.Error(err)
		}
	}
	hub.Configure("a", &wsx.ChannelOptions{OnSubscribe: begun})
	hub.Configure("drop", &wsx.ChannelOptions{OnSubscribe: begun, Slow: wsx.SlowDropOldest})
	defer func() { _ = hub.Stop(context.Background()) }()
	for channel, last := range map[string]string{
		"a":    wsx.CodeResourceExhausted,
		"drop": wsx.ErrMissed.Error(),
	} {
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		for e, err := range hub.Listen(ctx, channel, broker.Position{}) {
			if err != nil {
				if !strings.Contains(err.Error(), last) {
					t.Errorf("%s: %v", channel, err)
				}
				break
			}
			if n++; n == 1 {
				// hold the loop up until more wait than may: 1,024 for the loop, as many in a round
				// of the fan-out, and as many for the next
				for range 4000 {
					if _, err := hub.Publish(ctx, channel, e.Payload); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		cancel()
	}
}

// TestHub_StopEndsListenersAndStreams: nobody would tell them otherwise that nothing comes any
// more. What was published before comes first.
func TestHub_StopEndsListenersAndStreams(t *testing.T) {
	hub, url, _ := sseServer(t)
	resp, lines := sseGet(t, url+"/room.a", "")
	if got := sseNext(t, lines); !strings.HasPrefix(got, "id: ") {
		t.Fatal(got)
	}
	hub.Configure("told", &wsx.ChannelOptions{OnSubscribe: func(s wsx.Subscription) {
		if _, err := hub.Publish(t.Context(), s.Channel, 1); err != nil {
			t.Error(err)
		}
	}})
	var got []string
	for e, err := range hub.Listen(t.Context(), "told", broker.Position{}) {
		if err != nil {
			if !errors.Is(err, wsx.NewError(wsx.CodeUnavailable, "")) {
				t.Error(err)
			}
			got = append(got, "end")
			break
		}
		if got = append(got, string(e.Payload)); len(got) == 1 {
			if _, err := hub.Publish(t.Context(), "told", 2); err != nil {
				t.Error(err)
			}
			if err := hub.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
	if strings.Join(got, " ") != "1 2 end" {
		t.Error(got)
	}
	if got := sseNext(t, lines); got != "end" {
		t.Error(got)
	}
	_ = resp.Body.Close()
}

// TestHub_HooksAreToldOfAListenerThatIsTakenBack, as of one whose loop ends.
func TestHub_HooksAreToldOfAListenerThatIsTakenBack(t *testing.T) {
	hub := wsx.NewHub(nil)
	defer func() { _ = hub.Stop(context.Background()) }()
	var j journal
	hub.Configure("a",
		&wsx.ChannelOptions{OnUnsubscribe: j.note("off"), OnSubscribe: func(s wsx.Subscription) {
			j.note("on")(s)
			if n := hub.Unsubscribe("a", "GONE"); n != 1 {
				t.Error(n)
			}
		}})
	for _, err := range hub.Listen(t.Context(), "a", broker.Position{}) {
		if !errors.Is(err, wsx.NewError("GONE", "")) {
			t.Error(err)
		}
	}
	if want := []string{"on a ", "off a "}; !slices.Equal(j.entries, want) {
		t.Errorf("hooks: %q, want %q", j.entries, want)
	}
}
