package taskshttp_test

import (
	"bufio"
	"context"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/genropy/genro-asgi-go/tasks"
)

// open opens an event stream and returns what reads its next event.
func (rig *httpRig) open(path, lastEventID string) (next func() sseEvent, stop func()) {
	rig.t.Helper()
	ctx, stop := context.WithCancel(rig.t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, rig.url+path, nil)
	if err != nil {
		rig.t.Fatal(err)
	}
	if lastEventID != "" {
		r.Header.Set("Last-Event-ID", lastEventID)
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		rig.t.Fatal(err)
	}
	rig.t.Cleanup(func() { stop(); _ = resp.Body.Close() })
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		rig.t.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	lines := bufio.NewScanner(resp.Body)
	return func() sseEvent {
		var block []string
		for lines.Scan() {
			if lines.Text() == "" && len(block) > 0 {
				return parseEvents(rig.t, strings.Join(block, "\n"))[0]
			}
			if lines.Text() != "" && lines.Text()[0] != ':' {
				block = append(block, lines.Text())
			}
		}
		return sseEvent{name: "end"}
	}, stop
}

func TestHandler_EventsOfATask(t *testing.T) {
	rig := newHTTPRig(t, nil, nil)
	v := rig.submit("hold", `{}`)
	next, _ := rig.open("/"+v.ID+"/events", "")
	var last sseEvent
	for last.data.Progress == nil {
		if last = next(); last.name == "end" || last.data.ID != v.ID {
			t.Fatalf("%+v before any progress", last)
		}
	}
	if last.data.Progress.Done != 1 || last.data.Progress.Message != "half" ||
		last.data.State != tasks.Running {
		t.Errorf("%+v", last.data)
	}
	rig.release()
	end := next()
	for end.data.State == tasks.Running {
		end = next()
	}
	if end.name != "state" || end.data.State != tasks.Succeeded {
		t.Errorf("the last event: %+v", end)
	}
	if after := next(); after.name != "end" {
		t.Errorf("%+v after the end", after)
	}

	again, _ := rig.open("/"+v.ID+"/events", last.id)
	if e := again(); e.id != end.id {
		t.Errorf("after %s came %s, want %s alone", last.id, e.id, end.id)
	}
	if r := rig.do("GET", "/"+v.ID+"/events", "", "Last-Event-ID", end.id); r.status != 204 {
		t.Errorf("after the end: %d %s", r.status, r.body)
	}
	if r := rig.do("GET", "/"+v.ID+"/events", "", "Last-Event-ID",
		"of another server"); len(parseEvents(t, r.body)) != 1 {
		t.Errorf("with another server's id: %s", r.body)
	}
	if r := rig.do("HEAD", "/"+v.ID+"/events", ""); r.status != 200 ||
		r.header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("HEAD: %d %v", r.status, r.header)
	}
}

func TestHandler_EventsOfAll(t *testing.T) {
	rig := newHTTPRig(t, nil, nil)
	next, stop := rig.open("/events?kind=sum&state=succeeded", "x/1")
	if e := next(); e.name != "missed" {
		t.Errorf("first %+v, want that some may have been missed", e)
	}
	rig.submit("fail", `{}`)
	v := rig.submit("sum", `{}`)
	e := next()
	if e.name != "state" || e.data.ID != v.ID || e.data.State != tasks.Succeeded ||
		e.id != v.ID+"/"+strconv.FormatUint(e.data.Revision, 10) {
		t.Errorf("%+v", e)
	}
	stop()
}
