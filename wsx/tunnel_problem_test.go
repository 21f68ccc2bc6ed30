package wsx_test

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/problem"
	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/wsxtest"
)

// freshID is the id of an answer whose request came without one.
var freshID = regexp.MustCompile(`,"request_id":"[A-Z2-7]{26}"`)

func withoutFreshID(message string) string { return freshID.ReplaceAllString(message, "") }

// expectProblem reads an answer of 500 and above to a request without an id.
func (s *socket) expectProblem(want string) {
	s.t.Helper()
	message := s.read()
	if !freshID.MatchString(message) || withoutFreshID(message) != want {
		s.t.Fatalf("got  %s\nwant %s, with a request id", message, want)
	}
}

// readProblem reads an answer of the tunnel that is a problem.
func (s *socket) readProblem(status int) (p problem.Error) {
	s.t.Helper()
	message := s.read()
	a := readTunnelAnswer(s.t.(*testing.T), message)
	if err := json.Unmarshal(a.Data, &p); err != nil || a.Status != status || p.Status != status {
		s.t.Fatalf("%s, want %d", message, status)
	}
	return p
}

const withID = `,"headers":{"x-request-id":"r-1"}`

// failing is a handler behind the tunnel that fails as the path says.
func failing(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Request-Id", r.URL.Query().Get("own"))
	switch r.URL.Path {
	case "/panic":
		panic("canary-7f3a")
	case "/long":
		_, _ = io.WriteString(w, strings.Repeat("x", 1001))
	case "/hold":
		<-r.Context().Done()
	default:
		problem.Write(w, r, &problem.Error{Status: http.StatusConflict, Code: "TAKEN"})
	}
}

func TestTunnel_ItsOwnErrorsBearTheRequestID(t *testing.T) {
	const fresh = "fresh"
	for name, tc := range map[string]struct {
		send   string
		status int
		want   string // fresh, or the id; none when empty
	}{
		"no path":          {tunnelled("1", "GET", "x", withID), 400, "r-1"},
		"no method":        {`WSX://{"id":1,"path":"/"` + withID + `}`, 400, "r-1"},
		"no id":            {`WSX://{"path":"/"` + withID + `}`, 400, "r-1"},
		"a name twice":     {tunnelled("1", "GET", "/", `,"x":1,"x":2`+withID), 400, "r-1"},
		"query":            {tunnelled("1", "GET", "/", `,"query":7`+withID), 400, "r-1"},
		"no id was sent":   {tunnelled("1", "GET", "x", ""), 400, ""},
		"headers are none": {tunnelled("1", "GET", "/", `,"headers":["r-1"]`), 400, ""},
		"not JSON":         {"WSX://nonsense", 400, ""},
		"a forged id": {
			tunnelled("1", "GET", "x", `,"headers":{"x-request-id":"a=b"}`),
			400, "",
		},
		"panic":               {tunnelled("1", "GET", "/panic", withID), 500, "r-1"},
		"panic without an id": {tunnelled("1", "GET", "/panic", ""), 500, fresh},
		"the handler's id": {
			tunnelled("1", "GET", "/panic", `,"query":"own=h-2"`+withID),
			500, "h-2",
		},
		"too long":               {tunnelled("1", "GET", "/long", withID), 500, "r-1"},
		"too long without an id": {tunnelled("1", "GET", "/long", ""), 500, fresh},
		"deadline":               {tunnelled("1", "GET", "/hold", withID), 504, "r-1"},
		"deadline without an id": {tunnelled("1", "GET", "/hold", ""), 504, fresh},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := &logBuffer{}
				s := handled(t, &wsx.ServerOptions{
					MaxHTTPBody: 1000, RequestTimeout: time.Second, Logger: log.logger(),
				}, failing)
				s.send(tc.send)
				p := s.readProblem(tc.status)
				id, _ := p.Extensions["request_id"].(string)
				if tc.want == fresh && len(id) != 26 || tc.want != fresh && id != tc.want {
					t.Errorf("%q, want %q", id, tc.want)
				}
				if p.Code == "" {
					t.Error("no code")
				}
				if tc.status >= 500 && strings.Count(log.String(), "request_id="+id) != 1 {
					t.Error(log.String())
				}
				if tc.status == 500 && strings.Count(log.String(), "level=ERROR") != 1 {
					t.Error(log.String())
				}
			})
		})
	}
}

func TestTunnel_RefusalsBearTheRequestID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := handled(t, nil, failing)
		s.send(tunnelled("1", "GET", "/hold", withID))
		s.send(tunnelled("1", "GET", "/hold", `,"headers":{"x-request-id":"r-2"}`))
		if p := s.readProblem(400); p.Extensions["request_id"] != "r-2" {
			t.Errorf("%+v", p)
		}
		s.send(`{"type":"rpc.cancel","id":1}`)
		if p := s.readProblem(499); p.Extensions["request_id"] != "r-1" ||
			p.Title != "Client Closed Request" {
			t.Errorf("%+v", p)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s := handled(t, &wsx.ServerOptions{MessageRate: 1}, failing)
		s.send(ping)
		s.send(tunnelled("1", "GET", "/", withID))
		s.expect(pong)
		p := s.readProblem(429)
		details, _ := p.Extensions["details"].(map[string]any)
		if p.Extensions["request_id"] != "r-1" || details["retry_after_ms"] == nil {
			t.Errorf("%+v", p)
		}
	})
}

func TestTunnel_TakesNoIDThatHTTPHeadersLeavesOut(t *testing.T) {
	s := handled(t, &wsx.ServerOptions{HTTPHeaders: []string{"accept"}}, failing)
	s.send(tunnelled("1", "GET", "x", withID))
	if p := s.readProblem(400); p.Extensions["request_id"] != nil {
		t.Errorf("%+v", p)
	}
}

// mapper is a mapper that makes problems its own.
func mapper(by string) *problem.Options {
	return &problem.Options{Map: func(r *http.Request, err error) *problem.Error {
		p := *problem.From(err)
		p.Type = "urn:" + by + ":" + r.Method + ":" + r.URL.Path
		if p.Status == http.StatusBadRequest {
			p.Status, p.RetryAfter = http.StatusServiceUnavailable, 1500*time.Millisecond
		}
		return &p
	}}
}

// following is h with o for its problems, as a middleware such as middleware.Errors sets them.
func following(o *problem.Options, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r.WithContext(problem.WithOptions(r.Context(), o)))
	})
}

// mapping serves the tunnel with a mapper in front of the server, and one behind the tunnel.
func mapping(t *testing.T, front, behind *problem.Options, log *logBuffer) *socket {
	t.Helper()
	var h http.Handler = http.HandlerFunc(failing)
	if behind != nil {
		h = following(behind, h)
	}
	s := wsx.NewServer(nil, &wsx.ServerOptions{HTTP: h, MaxHTTPBody: 1000, Logger: log.logger()})
	var whole http.Handler = s
	if front != nil {
		whole = following(front, s)
	}
	client := wsxtest.Serve(t, whole)
	t.Cleanup(func() { stop(t, s) })
	return dialSocket(t, client, "ws://wsx.test/ws")
}

func TestTunnel_FollowsTheMapper(t *testing.T) {
	for name, tc := range map[string]struct {
		front, behind *problem.Options
		// the types of a problem of the handler's, and of the tunnel's own: of a panic, of too long
		// an answer, and of what is no request, for which the upgraded one stands
		handlers, panics, long, none string
		noneStatus                   int
	}{
		"none": {nil, nil, "", "", "", "", 400},
		"in front of the server": {
			mapper("front"), nil,
			"urn:front:GET:/", "urn:front:GET:/panic", "urn:front:GET:/long", "urn:front:GET:/ws",
			503,
		},
		"behind the tunnel": {nil, mapper("behind"), "urn:behind:GET:/", "", "", "", 400},
		"both": { // the innermost counts, for what is within it
			mapper("front"), mapper("behind"),
			"urn:behind:GET:/", "urn:front:GET:/panic", "urn:front:GET:/long", "urn:front:GET:/ws",
			503,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := mapping(t, tc.front, tc.behind, &logBuffer{})
			expect := func(path string, status int, want string) {
				t.Helper()
				s.send(tunnelled("1", "GET", path, withID))
				if p := s.readProblem(status); p.Type != want ||
					p.Extensions["request_id"] != "r-1" {
					t.Errorf("%s: %+v, want %q", path, p, want)
				}
			}
			expect("/", 409, tc.handlers)
			expect("/panic", 500, tc.panics)
			expect("/long", 500, tc.long)
			expect("x", tc.noneStatus, tc.none)
		})
	}
}

func TestTunnel_SendsTheHeadersOfAMappedProblem(t *testing.T) {
	s := mapping(t, mapper("front"), nil, &logBuffer{})
	s.send("WSX://nonsense")
	message := s.read()
	a := readTunnelAnswer(t, message)
	if a.Status != 503 || string(a.Headers["retry-after"]) != `"2"` ||
		string(a.Headers["content-type"]) != `"application/problem+json"` ||
		!freshID.MatchString(message) { // as the status says, not the error
		t.Error(message)
	}
}

func TestTunnel_OutlivesAMapperThatPanics(t *testing.T) {
	log := &logBuffer{}
	s := mapping(t, &problem.Options{Map: func(*http.Request, error) *problem.Error {
		panic("canary-7f3a")
	}}, nil, log)
	for _, message := range []string{
		"WSX://nonsense", tunnelled("1", "GET", "x", ""), tunnelled("1", "GET", "/long", ""),
	} {
		s.send(message)
		p := s.readProblem(500)
		id, _ := p.Extensions["request_id"].(string)
		if p.Code != wsx.CodeInternalError || id == "" ||
			!strings.Contains(log.String(), "canary-7f3a") ||
			!strings.Contains(log.String(), "request_id="+id) {
			t.Errorf("%+v\n%s", p, log)
		}
	}
	s.send(ping)
	s.expect(pong)
}
