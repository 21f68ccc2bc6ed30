package doors_test

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/problem"
)

// refusals are requests that no function is called for, and the status that each is answered with.
var refusals = []struct {
	method, path, media, body string
	status                    int
}{
	{"POST", "/asgi", "application/json", `{`, 400},
	{"POST", "/asgi", "application/json", `{"no":1}`, 422},
	{"POST", "/asgi", "text/plain", `{}`, 415},
	{"GET", "/asgi", "", ``, 405},
	{"POST", "/process", "application/json", `{`, 400},
	{"POST", "/process", "text/plain", `{}`, 415},
	{"POST", "/process", "application/json", `"` + strings.Repeat("x", 1<<20) + `"`, 413},
	{"POST", "/blocking", "application/json", `{`, 400},
	{"POST", "/blocking", "text/plain", `{}`, 415},
	{"POST", "/rpc", "text/plain", `{}`, 415},
	{"POST", "/rpc", "application/json", `"` + strings.Repeat("x", 64<<10) + `"`, 413},
	{"GET", "/ws", "", ``, 426},
	{"POST", "/tasks/task", "application/json", `{`, 400},
	{"POST", "/tasks/task", "text/plain", `{}`, 415},
	{"POST", "/tasks/task", "application/json", `{"no":1}`, 422},
	{"POST", "/tasks/unknown", "application/json", `{}`, 404},
	{"GET", "/tasks/unknown", "", ``, 404},
	{"GET", "/tasks/unknown/result", "", ``, 404},
	{"PUT", "/tasks/task", "", ``, 405},
	{"GET", "/tasks/?limit=0", "", ``, 400},
	{"GET", "/tasks/?cursor=!", "", ``, 422},
}

func TestDoors_RefuseByTheAppsRules(t *testing.T) {
	server := serving(t, asgi.ErrorOptions{Map: func(_ *http.Request, err error) *problem.Error {
		p := *problem.From(err)
		p.Type = "urn:app:" + strconv.Itoa(p.StatusCode())
		return &p
	}})
	for _, c := range refusals {
		r, err := http.NewRequestWithContext(t.Context(), c.method, server.URL+c.path,
			strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Request-Id", "r-1")
		if c.media != "" {
			r.Header.Set("Content-Type", c.media)
		}
		answer, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		var p problem.Error
		if err := json.Unmarshal(body, &p); err != nil || answer.StatusCode != c.status ||
			p.Status != c.status ||
			p.Type != "urn:app:"+strconv.Itoa(c.status) || p.Extensions["request_id"] != "r-1" ||
			answer.Header.Get("Content-Type") != problem.ContentType {
			t.Errorf("%s %s %s: %d %s, want %d", c.method, c.path, c.media, answer.StatusCode, body,
				c.status)
		}
	}
}
