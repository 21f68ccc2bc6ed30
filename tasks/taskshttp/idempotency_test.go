package taskshttp_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/taskshttp"
)

func TestHandler_IdempotencyKey(t *testing.T) {
	rig := newHTTPRig(t, nil, nil)
	first := rig.view(rig.do("POST", "/sum", `{"a":1,"b":1}`, "Idempotency-Key", `"k1"`))
	if again := rig.do("POST", "/sum", `{ "b":1, "a":1 }`, "Idempotency-Key", "k1"); again.status !=
		202 || rig.view(again).ID != first.ID {
		t.Errorf("repeated: %d %s, want task %s", again.status, again.body, first.ID)
	}
	if other := rig.do("POST", "/sum", `{"a":9}`, "Idempotency-Key", "k1"); other.status != 422 ||
		!strings.Contains(other.body, "another payload") {
		t.Errorf("another payload: %d %s", other.status, other.body)
	}
	if other := rig.view(rig.do("POST", "/hold", `{}`, "Idempotency-Key", "k1")); other.ID ==
		first.ID {
		t.Error("another kind got the same task")
	}
	if r := rig.do("POST", "/events", `{}`, "Idempotency-Key", "k1"); r.status != 202 ||
		r.header.Get("Location") != "/"+rig.view(r).ID {
		t.Errorf("a kind of the name of a stream: %d %s", r.status, r.body)
	}
	rig.release()
	if r := rig.do("POST", "/sum", `{}`, "Idempotency-Key", strings.Repeat("x", 300)); r.status !=
		400 {
		t.Errorf("a long key: %d %s", r.status, r.body)
	}
}

// TestHandler_IdempotencyKeysOfTenants: each Key has its own.
func TestHandler_IdempotencyKeysOfTenants(t *testing.T) {
	rig := newHTTPRig(t,
		&taskshttp.Options{
			Submit: func(r *http.Request, _ string) (*tasks.SubmitOptions, error) {
				return &tasks.SubmitOptions{Key: r.Header.Get("Who")}, nil
			},
		}, nil)
	ids := map[string]string{}
	for i, who := range []string{"", "ann", "bob", "ann"} {
		r := rig.do("POST", "/sum", `{"a":1}`, "Who", who, "Idempotency-Key", "k1")
		v := rig.view(r)
		if other, ok := ids[v.ID]; r.status != 202 || ok && other != who || ok != (i == 3) {
			t.Errorf("%q: %d %s, which is %q's", who, r.status, r.body, other)
		}
		ids[v.ID] = who
	}
}
