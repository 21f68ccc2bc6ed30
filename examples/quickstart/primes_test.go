package main

import (
	"bufio"
	"net/http"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/wsx/wsxclient"
)

func TestPrimes_OverHTTPToTheEnd(t *testing.T) {
	base := "http://" + serve(t, asgi.Hooks{}) + "/tasks/"
	status, _, text := send(t, "POST", base+"primes", `{"below":100000}`)
	var task tasks.View
	if err := json.Unmarshal([]byte(text), &task); err != nil || status != 202 {
		t.Fatal(status, text, err)
	}
	_, mediaType, text := send(t, "GET", base+task.ID+"/events", "") // which end with the job
	if mediaType != "text/event-stream" {
		t.Fatal(mediaType, text)
	}
	at := -1.0
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		task = tasks.View{}
		if err := json.Unmarshal([]byte(data), &task); err != nil {
			t.Fatal(data, err)
		}
		if p := task.Progress; p != nil {
			now := p.Done / max(p.Total, 1)
			if now < at {
				t.Errorf("progress from %v to %v", at, now)
			}
			at = now
		}
	}
	if task.State != tasks.Succeeded || at != 1 {
		t.Errorf("the last event: %s, progress %v", task.State, at)
	}
	status, _, text = send(t, "GET", base+task.ID+"/result", "")
	if status != 200 || !strings.Contains(text, `"primes":9592`) {
		t.Error(status, text)
	}
}

func TestPrimes_TooMany(t *testing.T) {
	status, _, text := send(t, "POST", "http://"+serve(t, asgi.Hooks{})+"/tasks/primes",
		`{"below":10000001}`)
	if status != http.StatusUnprocessableEntity || !strings.Contains(text, "10,000,000") {
		t.Error(status, text)
	}
}

// What the page does: submit, follow, cancel.
func TestPrimes_OverTheSocketUntilCancelled(t *testing.T) {
	c, err := wsxclient.Dial(t.Context(), "ws://"+serve(t, asgi.Hooks{})+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	// which take longer than all this
	submit := map[string]any{"kind": "primes", "payload": primesIn{Below: 10_000_000}}
	task, err := wsxclient.Call[tasks.View](t.Context(), c, "tasks.submit", submit)
	if err != nil {
		t.Fatal(err)
	}
	var steps []float64
	for event, err := range wsxclient.Subscribe[tasks.View](t.Context(), c, "tasks."+task.ID, nil) {
		if err != nil {
			t.Fatal(err)
		}
		task = event.Payload
		if task.State.Done() {
			break
		}
		if p := task.Progress; p == nil || len(steps) > 0 && p.Done <= steps[len(steps)-1] {
			continue
		}
		if steps = append(steps, task.Progress.Done); len(steps) == 3 {
			if _, err := wsxclient.Call[tasks.View](t.Context(), c, "tasks.cancel",
				map[string]string{"id": task.ID}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if task.State != tasks.Cancelled || len(steps) < 3 {
		t.Errorf("%s after progress %v", task.State, steps)
	}
}

func TestPrimes_HowMany(t *testing.T) {
	for below, want := range map[int]int{0: 0, 1: 0, 2: 0, 3: 1, 100: 25, 7920: 1000} {
		// the thousandth prime is 7919
		if out, err := countPrimes(t.Context(), primesIn{below}); err != nil || out.Primes != want {
			t.Errorf("below %d: %d, %v", below, out.Primes, err)
		}
	}
}
