package taskstest

import (
	"context"
	"errors"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/problem"
	"github.com/genropy/genro-asgi-go/tasks"
)

var states = []tasks.State{
	tasks.Scheduled, tasks.Queued, tasks.Running, tasks.Retrying,
	tasks.Succeeded, tasks.Failed, tasks.Cancelled, tasks.Dead,
}

// table is the table of states as the package's documentation has it, without what only Claim does.
var table = map[tasks.State][]tasks.State{
	tasks.Scheduled: {tasks.Cancelled},
	tasks.Queued:    {tasks.Cancelled},
	tasks.Retrying:  {tasks.Cancelled},
	tasks.Running: {
		tasks.Succeeded, tasks.Failed, tasks.Retrying, tasks.Cancelled, tasks.Dead,
		tasks.Queued,
	},
	tasks.Failed:    {tasks.Queued},
	tasks.Dead:      {tasks.Queued},
	tasks.Cancelled: {tasks.Queued},
}

func testTransitions(s *suite) {
	for _, from := range states {
		for _, next := range append(states, "", "paused") {
			id := string(from) + "-" + string(next)
			before := s.bring(id, from, func(t *tasks.Task) { t.Queue = "q" + id })
			allowed := from == next
			for _, state := range table[from] {
				allowed = allowed || state == next
			}
			got, err := s.s.Update(s.ctx(), id, noon,
				func(t *tasks.Task) error { to(next)(t); return nil })
			switch {
			case allowed && err != nil:
				s.Errorf("%s to %s: %v", from, next, err)
			case allowed && (got.State != next || got.Revision != before.Revision+1):
				s.Errorf("%s to %s: it is %s, revision %d after %d", from, next, got.State,
					got.Revision, before.Revision)
			case allowed:
				s.wantSame("kept", s.get(id), &got)
			default:
				s.wantErr(id, err, tasks.ErrConflict)
				s.wantSame("after "+id+" was refused", s.get(id), before)
			}
		}
	}
}

// running is what a holder may say of its task.
func running(t *tasks.Task) {
	t.Progress = &tasks.Progress{
		Done: 3.5, Total: 10, Message: "dreieinhalb",
		Data: jsontext.Value(`[1]`), At: noon,
	}
	t.Checkpoint = jsontext.Value(`{"row":7}`)
	t.Error = &tasks.TaskError{
		Kind: tasks.ErrorCrash, Message: "m", Detail: "d", Status: 418, Attempt: 1, Fence: t.Fence,
		Started: noon, At: noon.Add(time.Second),
		Problem: &problem.Error{
			Status: 418, Code: "TEAPOT", Type: "urn:teapot", Title: "Teapot",
			Detail: "Short and stout.", Instance: "/pots/1", RetryAfter: 1001 * time.Millisecond,
			Fields:     []problem.Field{{In: "query", Pointer: "/spout", Detail: "is blocked"}},
			Extensions: map[string]any{"cups": int64(1<<53 + 1), "of": []any{"tea", nil}},
		},
	}
	t.Deaths, t.LeaseUntil = 2, noon.Add(time.Hour)
}

func testUpdate(s *suite) {
	added := s.add(full("a"))
	was := s.text(added)
	claimed := s.claim(1,
		func(c *tasks.Claim) { c.Now, c.Kinds = noon.Add(time.Hour), map[string]int{"k": 3} })
	if len(claimed) != 1 {
		s.Fatal("not claimed")
	}
	want := *claimed[0]
	running(&want)
	want.Revision++
	got := s.update("a", running)
	s.wantSame("Update returned", got, &want)
	s.wantSame("Get returned", s.get("a"), &want)
	got = s.update("a", func(t *tasks.Task) {
		to(tasks.Succeeded)(t)
		t.Result = jsontext.Value(`"x"`)
		t.Progress, t.Error = nil, nil
	})
	if string(got.Result) != `"x"` || got.Progress != nil || got.Error != nil ||
		!got.Finished.Equal(noon) {
		s.Errorf("done: %s", s.text(got))
	}
	if s.text(added) != was {
		s.Error("a snapshot was changed")
	}
	_, err := s.s.Update(s.ctx(), "b", noon,
		func(*tasks.Task) error { s.Error("called for what is not there"); return nil })
	s.wantErr("Update of what is not there", err, tasks.ErrNotFound)
}

func testUpdateRefused(s *suite) {
	before := s.bring("a", tasks.Running)
	own := errors.New("the caller's own")
	_, err := s.s.Update(s.ctx(), "a", noon,
		func(t *tasks.Task) error { to(tasks.Succeeded)(t); return own })
	if err != own { //nolint:errorlint // the contract says as it is
		s.Errorf("error %v, want change's own as it is", err)
	}
	for _, c := range []struct {
		what   string
		change func(t *tasks.Task)
	}{
		{"the ID", func(t *tasks.Task) { t.ID = "b" }},
		{"the kind", func(t *tasks.Task) { t.Kind = "b" }},
		{"the queue", func(t *tasks.Task) { t.Queue = "b" }},
		{"the fence", func(t *tasks.Task) { t.Fence++ }},
		{"the seq", func(t *tasks.Task) { t.Seq++ }},
		{"the revision", func(t *tasks.Task) { t.Revision++ }},
	} {
		_, err := s.s.Update(s.ctx(), "a", noon,
			func(t *tasks.Task) error { c.change(t); return nil })
		s.wantErr("a change of "+c.what, err, tasks.ErrInvalid)
	}
	s.wantSame("after what was refused", s.get("a"), before)
}

// testUpdateMoves: what an update makes of a waiting task counts for the claims after it.
func testUpdateMoves(s *suite) {
	s.add(task("a", func(t *tasks.Task) { t.State = tasks.Scheduled }))
	for _, id := range []string{"b", "c", "d"} {
		s.add(task(id))
	}
	s.update("c", func(t *tasks.Task) { t.Priority = 1 })
	s.update("a", func(t *tasks.Task) { t.RunAt = noon.Add(time.Second) })
	s.update("d", func(t *tasks.Task) { t.RunAt = noon.Add(-time.Second) })
	got, next := s.claimNext(9)
	s.wantIDs("the new order", got, "c", "d", "b")
	if !next.Equal(noon.Add(time.Second)) {
		s.Errorf("next %v, want a's new time", next)
	}
	s.update("a", func(t *tasks.Task) { t.RunAt = noon })
	s.update("b", func(t *tasks.Task) { to(tasks.Retrying)(t); t.RunAt = noon.Add(time.Minute) })
	s.update("c", to(tasks.Queued))
	got, next = s.claimNext(9)
	s.wantIDs("what came back", got, "c", "a")
	if !next.Equal(noon.Add(time.Minute)) {
		s.Errorf("next %v, want b's", next)
	}
	for _, version := range []int{2, 1} {
		s.update("b", func(t *tasks.Task) { t.Version, t.RunAt = version, noon })
		want := []string{}
		if version == 1 {
			want = append(want, "b")
		}
		s.wantIDs("by who takes version 1", s.claim(9), want...)
	}
}

// testStaleHolder: a change sees who holds the task now, so that a holder of before can be refused.
func testStaleHolder(s *suite) {
	s.add(task("a"))
	first := s.one()
	finish := func(of *tasks.Task) error {
		_, err := s.s.Update(s.ctx(), "a", noon, func(t *tasks.Task) error {
			if t.State != tasks.Running || t.Owner != of.Owner || t.Fence != of.Fence {
				return tasks.ErrStale
			}
			to(tasks.Succeeded)(t)
			return nil
		})
		return err
	}
	s.update("a", to(tasks.Queued))
	s.wantErr("its holder was taken for dead", finish(first), tasks.ErrStale)
	second := s.one()
	s.wantErr("another holds it", finish(first), tasks.ErrStale)
	if err := finish(second); err != nil {
		s.Errorf("the holder: %v", err)
	}
	s.wantErr("it is done", finish(second), tasks.ErrStale)
}

func testDelete(s *suite) {
	for _, state := range states {
		if state.Done() {
			continue
		}
		t := s.bring(string(state), state, func(t *tasks.Task) { t.Queue = "q" + string(state) })
		s.wantErr("Delete of one that is "+string(state),
			s.s.Delete(s.ctx(), t.ID, t.Revision, noon), tasks.ErrConflict)
		s.wantSame("after that", s.get(t.ID), t)
	}
	s.wantErr("Delete of what is not there", s.s.Delete(s.ctx(), "none", 1, noon),
		tasks.ErrNotFound)
	for _, state := range states {
		if !state.Done() {
			continue
		}
		id := string(state)
		t := s.bring(id, state, func(t *tasks.Task) { t.Queue = "q" + string(state) })
		s.wantErr("Delete at another revision", s.s.Delete(s.ctx(), id, t.Revision-1, noon),
			tasks.ErrConflict)
		s.delete(t)
		_, err := s.s.Get(s.ctx(), id)
		s.wantErr("Get after Delete", err, tasks.ErrNotFound)
		s.wantErr("a second Delete", s.s.Delete(s.ctx(), id, t.Revision, noon), tasks.ErrNotFound)
		s.wantIDs("List after Delete", s.list(tasks.Filter{Queue: "q" + id}))
		if again := s.add(task(id, func(t *tasks.Task) { t.Queue = "again" })); again.Revision !=
			1 || again.Seq <= t.Seq {
			s.Errorf("the ID again: revision %d, seq %d after %d", again.Revision, again.Seq, t.Seq)
		}
	}
}

func testCounts(s *suite) {
	want := map[string]map[tasks.State]int{"all": {}}
	counts := func(what string) {
		s.Helper()
		got, err := s.s.Counts(s.ctx())
		if err != nil {
			s.Fatalf("Counts: %v", err)
		}
		for queue, of := range want {
			for state, n := range of {
				if got[queue][state] != n {
					s.Errorf("%s: %d in %s are %s, want %d", what, got[queue][state], queue, state,
						n)
				}
				delete(got[queue], state)
			}
		}
		for queue, of := range got {
			if len(of) > 0 {
				s.Errorf("%s: %s has %v too", what, queue, of)
			}
			if _, ok := want[queue]; !ok {
				s.Errorf("%s: the empty queue %s is named", what, queue)
			}
		}
	}
	counts("nothing")
	delete(want, "all")
	for _, state := range states {
		want["q"+string(state)] = map[tasks.State]int{state: 2}
		for i, id := range []string{"a", "b"} { // the second goes first where the first waits
			s.bring(string(state)+id, state,
				func(t *tasks.Task) { t.Queue, t.Priority = "q"+string(state), i })
		}
	}
	counts("two of each")
	s.update("runninga", to(tasks.Dead))
	want["qrunning"] = map[tasks.State]int{tasks.Running: 1, tasks.Dead: 1}
	s.delete(s.get("faileda"))
	want["qfailed"][tasks.Failed] = 1
	s.delete(s.get("succeededa"))
	s.delete(s.get("succeededb"))
	delete(want, "qsucceeded")
	counts("after changes")
}

func testContext(s *suite) {
	done := s.bring("a", tasks.Succeeded)
	s.add(task("b"))
	ctx, cancel := context.WithCancel(s.ctx())
	cancel()
	_, addErr := s.s.Add(ctx, task("c"), noon, 0)
	_, _, claimErr := claim(ctx, s.s,
		&tasks.Claim{
			Queue: "q", Max: 1, Owner: "me", Now: noon, Lease: time.Minute,
			Kinds: map[string]int{"k": 1},
		})
	_, updateErr := s.s.Update(ctx, "b", noon,
		func(t *tasks.Task) error { to(tasks.Cancelled)(t); return nil })
	_, getErr := s.s.Get(ctx, "a")
	_, _, listErr := s.s.List(ctx, &tasks.Filter{})
	_, expiredErr := s.s.Expired(ctx, noon, 1)
	_, countsErr := s.s.Counts(ctx)
	for what, err := range map[string]error{
		"Add": addErr, "Claim": claimErr, "Update": updateErr,
		"Delete": s.s.Delete(ctx, "a", done.Revision, noon), "Get": getErr, "List": listErr,
		"Expired": expiredErr, "Counts": countsErr,
	} {
		s.wantErr(what+" with a context that has ended", err, context.Canceled)
	}
	s.wantSame("a", s.get("a"), done)
	s.wantIDs("all", s.list(tasks.Filter{}), "b", "a")
	s.wantIDs("what waits", s.list(tasks.Filter{States: []tasks.State{tasks.Queued}}), "b")
}
