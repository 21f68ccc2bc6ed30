package taskshttp_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
	"github.com/genropy/genro-asgi-go/tasks/taskshttp"
)

func TestHandler_SubmitsAndGivesTheResult(t *testing.T) {
	rig := newHTTPRig(t, nil, nil)
	r := rig.do("POST", "/sum", `{"a":2,"b":40}`)
	v := rig.view(r)
	if r.status != 202 || r.header.Get("Location") != "/"+v.ID || v.Kind != "sum" {
		t.Fatalf("%d %v %s", r.status, r.header, r.body)
	}
	if r = rig.do("GET", "/"+v.ID+"/result?wait=10s", ""); r.status != 200 ||
		r.body != `{"sum":42}` || r.header.Get("Content-Type") != "application/json" {
		t.Errorf("result: %d %s", r.status, r.body)
	}
	if r = rig.do("GET", "/"+v.ID, ""); r.status != 200 || rig.view(r).State != tasks.Succeeded ||
		strings.Contains(r.body, "payload") {
		t.Errorf("task: %d %s", r.status, r.body)
	}
	if r = rig.do("POST", "/sum?wait=10s", `{"a":1}`); r.status != 200 ||
		string(rig.view(r).Result) != `{"sum":1}` {
		t.Errorf("waited: %d %s", r.status, r.body)
	}
	if r = rig.do("POST", "/sum", `{"a":1}`, "Prefer", "respond-async, wait=10"); r.status != 200 ||
		r.header.Get("Preference-Applied") != "wait=10" {
		t.Errorf("preferred to wait: %d %v", r.status, r.header)
	}
	if r = rig.do("HEAD", "/"+v.ID, ""); r.status != 200 || r.body != "" {
		t.Errorf("HEAD: %d %q", r.status, r.body)
	}
}

func TestHandler_RefusesBadRequestsAsProblems(t *testing.T) {
	rig := newHTTPRig(t, nil, nil)
	done := rig.submit("sum", `{}`)
	for name, c := range map[string]struct {
		method, path, body, contentType string
		status                          int
		holds                           string
	}{
		"not JSON": {"POST", "/sum", `{"a":`, "application/json", 400, "not JSON"},
		"another type": {
			"POST", "/sum", `{"a":"x"}`, "application/json", 422,
			`"pointer":"/a"`,
		},
		"unknown member":  {"POST", "/sum", `{"c":1}`, "application/json", 422, `"pointer":"/c"`},
		"unknown kind":    {"POST", "/nothing", `{}`, "application/json", 404, ""},
		"a form":          {"POST", "/sum", `a=1`, "application/x-www-form-urlencoded", 415, ""},
		"no content type": {"POST", "/sum", `{}`, "-", 415, ""},
		"too large": {
			"POST", "/sum", `"` + strings.Repeat("x", 1<<20) + `"`,
			"application/json", 413, "1048576",
		},
		"no such task":      {"GET", "/nothing", "", "", 404, ""},
		"no such result":    {"GET", "/nothing/result", "", "", 404, ""},
		"no such events":    {"GET", "/nothing/events", "", "", 404, ""},
		"no such path":      {"GET", "/a/b/c", "", "", 404, ""},
		"method":            {"PUT", "/" + done.ID, "", "", 405, ""},
		"method of all":     {"DELETE", "/", "", "", 405, ""},
		"method of events":  {"POST", "/" + done.ID + "/events", "{}", "application/json", 405, ""},
		"cancel of a done":  {"DELETE", "/" + done.ID, "", "", 409, ""},
		"retry of a done":   {"POST", "/" + done.ID + "/retry", "", "application/json", 409, ""},
		"retry by a form":   {"POST", "/" + done.ID + "/retry", "", "text/plain", 415, ""},
		"a state":           {"GET", "/?state=ended", "", "", 400, "state"},
		"a limit":           {"GET", "/?limit=1001", "", "", 400, "limit"},
		"a cursor":          {"GET", "/?cursor=%00x", "", "", 422, "cursor"},
		"a wait":            {"POST", "/sum?wait=long", `{}`, "application/json", 400, "wait"},
		"a wait for result": {"GET", "/" + done.ID + "/result?wait=-1s", "", "", 400, "wait"},
	} {
		t.Run(name, func(t *testing.T) {
			header := []string{"X-Nothing", ""}
			switch c.contentType {
			case "":
			case "-":
				header = []string{"Content-Type", ""}
			default:
				header = []string{"Content-Type", c.contentType}
			}
			r := rig.do(c.method, c.path, c.body, header...)
			if r.status != c.status || r.header.Get("Content-Type") != "application/problem+json" ||
				!strings.Contains(r.body, c.holds) {
				t.Errorf("%d %v %s, want %d with %q", r.status, r.header, r.body, c.status, c.holds)
			}
			if c.status == 405 && r.header.Get("Allow") == "" {
				t.Error("no Allow")
			}
		})
	}
}

func TestHandler_FailuresAreProblemsWithoutTheirText(t *testing.T) {
	rig := newHTTPRig(t, nil, nil)
	for kind, status := range map[string]int{"fail": 500, "teapot": 418} {
		v := rig.submit(kind, `{}`)
		r := rig.do("GET", "/"+v.ID+"/result", "")
		if r.status != status || r.header.Get("Content-Type") != "application/problem+json" ||
			!strings.Contains(r.body, `"state":"failed"`) || !strings.Contains(r.body, v.ID) {
			t.Errorf("%s: %d %s", kind, r.status, r.body)
		}
		all := r.body + rig.do("GET", "/"+v.ID, "").body + rig.do("GET", "/", "").body +
			rig.do("GET", "/"+v.ID+"/events", "").body
		if strings.Contains(all, "canary") {
			t.Errorf("%s: the error's text reached the client: %s", kind, all)
		}
	}
}

func TestHandler_CancelsAndRetries(t *testing.T) {
	rig := newHTTPRig(t, nil, nil)
	v := rig.submit("hold", `{}`)
	if r := rig.do("GET", "/"+v.ID+"/result?wait=1ms", ""); r.status != 202 ||
		r.header.Get("Retry-After") == "" {
		t.Errorf("result before the end: %d %s", r.status, r.body)
	}
	if r := rig.do("DELETE", "/"+v.ID, ""); r.status != 200 ||
		rig.view(r).State != tasks.Cancelled {
		t.Errorf("cancel: %d %s", r.status, r.body)
	}
	if r := rig.do("DELETE", "/"+v.ID, ""); r.status != 200 {
		t.Errorf("cancel again: %d %s", r.status, r.body)
	}
	if r := rig.do("GET", "/"+v.ID+"/result", ""); r.status != 409 ||
		!strings.Contains(r.body, `"state":"cancelled"`) {
		t.Errorf("result of a cancelled task: %d %s", r.status, r.body)
	}
	rig.release()
	if r := rig.do("POST", "/"+v.ID+"/retry", ""); r.status != 202 {
		t.Errorf("retry: %d %s", r.status, r.body)
	}
	if r := rig.do("GET", "/"+v.ID+"/result?wait=10s", ""); r.status != 200 && r.status != 204 {
		t.Errorf("result after the retry: %d %s", r.status, r.body)
	}
}

func TestHandler_ListsPageByPage(t *testing.T) {
	rig := newHTTPRig(t,
		&taskshttp.Options{
			Submit: func(r *http.Request, _ string) (*tasks.SubmitOptions, error) {
				return &tasks.SubmitOptions{
						Metadata: map[string]string{"tenant": r.Header.Get("Tenant")},
					},
					nil
			},
		}, func(h http.Handler) http.Handler { return http.StripPrefix("/jobs", h) })
	var ids []string
	for i := range 5 {
		r := rig.do("POST", "/jobs/sum?wait=10s", `{}`, "Tenant", string('a'+rune(i%2)))
		ids = append([]string{rig.view(r).ID}, ids...)
		if r.header.Get("Location") != "/jobs/"+ids[0] {
			t.Errorf("Location %q", r.header.Get("Location"))
		}
	}
	var got []string
	for path := "/jobs/?limit=2"; path != ""; {
		r := rig.do("GET", path, "")
		var p struct {
			Tasks []tasks.View `json:"tasks"`
			Next  string       `json:"next"`
		}
		if err := json.Unmarshal([]byte(r.body), &p); err != nil || r.status != 200 ||
			len(p.Tasks) > 2 {
			t.Fatalf("%d %s %v", r.status, r.body, err)
		}
		for _, v := range p.Tasks {
			got = append(got, v.ID)
		}
		path = ""
		if link := r.header.Get("Link"); link != "" {
			path, _, _ = strings.Cut(strings.TrimPrefix(link, "<"), ">")
		}
		if (path == "") != (p.Next == "") {
			t.Errorf("next %q, Link %q", p.Next, path)
		}
	}
	if strings.Join(got, " ") != strings.Join(ids, " ") {
		t.Errorf("listed %v, want %v", got, ids)
	}
	if r := rig.do("GET", "/jobs/?meta.tenant=b&state=succeeded,failed&kind=sum&queue=default",
		""); strings.Count(r.body, `"id"`) != 2 {
		t.Errorf("filtered: %s", r.body)
	}
	if r := rig.do("GET", "/jobs?state=running", ""); r.body != `{"tasks":[]}` {
		t.Errorf("none: %s", r.body)
	}
}

func TestHandler_AsksWhoMayDoWhat(t *testing.T) {
	rig := newHTTPRig(t, &taskshttp.Options{
		Authorize: func(c tasks.Call) error {
			who := c.Request.Header.Get("Who")
			switch {
			case who == "":
				return teapot{}
			case who == "admin", c.Task != nil && c.Task.Metadata["who"] == who,
				c.Task == nil && c.Operation == tasks.OpList,
				c.Operation == tasks.OpSubmit && c.Kind == "sum":
				return nil
			}
			return errors.New("canary-9b")
		},
		Submit: func(r *http.Request, _ string) (*tasks.SubmitOptions, error) {
			return &tasks.SubmitOptions{Metadata: map[string]string{"who": r.Header.Get("Who")}},
				nil
		},
	}, nil)
	mine := rig.view(rig.do("POST", "/sum", `{}`, "Who", "ann", "Idempotency-Key", "k"))
	for name, c := range map[string]struct {
		method, path, who string
		status            int
	}{
		"submit":               {"POST", "/sum", "ann", 202},
		"submit another kind":  {"POST", "/hold", "ann", 403},
		"own task":             {"GET", "/" + mine.ID, "ann", 200},
		"own result":           {"GET", "/" + mine.ID + "/result?wait=10s", "ann", 200},
		"other's task":         {"GET", "/" + mine.ID, "bob", 403},
		"other's result":       {"GET", "/" + mine.ID + "/result", "bob", 403},
		"other's events":       {"GET", "/" + mine.ID + "/events", "bob", 403},
		"other's cancel":       {"DELETE", "/" + mine.ID, "bob", 403},
		"other's retry":        {"POST", "/" + mine.ID + "/retry", "bob", 403},
		"events of all":        {"GET", "/events", "bob", 403},
		"nobody":               {"GET", "/" + mine.ID, "", 418},
		"everything for admin": {"GET", "/" + mine.ID, "admin", 200},
	} {
		t.Run(name, func(t *testing.T) {
			if r := rig.do(c.method, c.path, `{}`, "Who", c.who); r.status != c.status ||
				strings.Contains(r.body, "canary") {
				t.Errorf("%d %s, want %d", r.status, r.body, c.status)
			}
		})
	}
	if r := rig.do("POST", "/sum", `{}`, "Who", "bob", "Idempotency-Key", "k"); r.status != 403 {
		t.Errorf("another's Idempotency-Key: %d %s", r.status, r.body)
	}
	if r := rig.do("GET", "/", "", "Who", "bob"); r.body != `{"tasks":[]}` {
		t.Errorf("bob's list: %s", r.body)
	}
	if r := rig.do("GET", "/", "", "Who", "ann"); !strings.Contains(r.body, mine.ID) {
		t.Errorf("ann's list: %s", r.body)
	}
}

func TestHandler_ServesBelowAnyPath(t *testing.T) {
	for name, c := range map[string]struct {
		prefix string
		mount  func(h http.Handler) http.Handler
	}{
		"alone": {"", nil},
		"StripPrefix": {
			"/a/b",
			func(h http.Handler) http.Handler { return http.StripPrefix("/a/b", h) },
		},
		"ServeMux": {"/a/b", func(h http.Handler) http.Handler {
			mux := http.NewServeMux()
			mux.Handle("/a/b/", h)
			return mux
		}},
		"ServeMux with a name": {"/a/b", func(h http.Handler) http.Handler {
			mux := http.NewServeMux()
			mux.Handle("/a/{x}/{rest...}", h)
			return mux
		}},
		"ServeMux and StripPrefix": {"/a", func(h http.Handler) http.Handler {
			mux := http.NewServeMux()
			mux.Handle("/a/", http.StripPrefix("/a", h))
			return mux
		}},
		"chi": {"/a", func(h http.Handler) http.Handler {
			r := chi.NewRouter()
			r.Mount("/a", h)
			return r
		}},
		"chi twice": {"/a/x/b", func(h http.Handler) http.Handler {
			r := chi.NewRouter()
			r.Route("/a/{name}", func(r chi.Router) { r.Mount("/b", h) })
			return r
		}},
	} {
		t.Run(name, func(t *testing.T) {
			rig := newHTTPRig(t, nil, c.mount)
			r := rig.do("POST", c.prefix+"/sum", `{"a":1}`)
			if r.status != 202 {
				t.Fatalf("submit: %d %s", r.status, r.body)
			}
			if location := r.header.Get("Location"); location != c.prefix+"/"+rig.view(r).ID {
				t.Errorf("Location %q", location)
			}
			if r := rig.do("GET", r.header.Get("Location")+"/result?wait=10s", ""); r.status !=
				200 || r.body != `{"sum":1}` {
				t.Errorf("result: %d %s", r.status, r.body)
			}
			if r := rig.do("GET", c.prefix+"/", ""); r.status != 200 ||
				!strings.Contains(r.body, `"tasks":[{`) {
				t.Errorf("list: %d %s", r.status, r.body)
			}
		})
	}
}

func TestHandler_LogsUnexpectedErrorsWithTheRequestsID(t *testing.T) {
	rig := newHTTPRig(t,
		&taskshttp.Options{Submit: func(*http.Request, string) (*tasks.SubmitOptions, error) {
			return &tasks.SubmitOptions{Queue: "nowhere"}, nil
		}}, nil)
	if r := rig.do("POST", "/sum", `{}`); r.status != 404 {
		t.Errorf("a queue that is not there: %d %s", r.status, r.body)
	}
	broken := logged(
		taskshttp.Handler(tasks.New(brokenStore{memstore.New()}, nil),
			&taskshttp.Options{Kinds: []string{"sum"}}),
		slog.New(slog.NewTextHandler(rig.log, nil)))
	w := httptest.NewRecorder()
	broken.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/x", nil))
	var p struct {
		ID string `json:"request_id"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != 500 || p.ID == "" ||
		strings.Contains(w.Body.String(), "canary") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if log := rig.log.String(); !strings.Contains(log, "request_id="+p.ID) ||
		!strings.Contains(log, "canary-d15c") {
		t.Errorf("the log has not the request: %s", log)
	}
}

// brokenStore cannot read: the fault of a disk, which no real store makes on demand.
type brokenStore struct{ tasks.Store }

func (brokenStore) Get(context.Context, string) (*tasks.Task, error) {
	return nil, errors.New("canary-d15c")
}
