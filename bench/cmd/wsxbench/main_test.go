package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// TestMain lets the driver run this binary as a server.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "serve" {
		main()
		return
	}
	os.Exit(m.Run())
}

// The measurements check every answer and delivery themselves; here they are short.
func TestWork_EveryContestantAnswersRightly(t *testing.T) {
	o := &options{
		rounds: 1, window: 50 * time.Millisecond, warm: 10 * time.Millisecond, idle: 20,
		fans: 20,
	}
	for _, name := range []string{"add-16x1", "add-16x32", "fanout-1", "fanout-16", "idle"} {
		t.Run(name, func(t *testing.T) {
			w, who := workByName(name, o), contestants()
			rounds, err := interleave(w, who, o)
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if err := w.report(&out, who, rounds); err != nil {
				t.Fatal(err)
			}
			for _, c := range who {
				if !strings.Contains(out.String(), c.name+" ") {
					t.Errorf("%s is not in the table:\n%s", c.name, out.String())
				}
			}
		})
	}
}

func TestRecovery_LosesNothing(t *testing.T) {
	var out bytes.Buffer
	if err := recovery(&options{recoveries: 5_000}, &out); err != nil {
		t.Fatal(err, out.String())
	}
	if !strings.Contains(out.String(), " 0 gaps, 0 duplicates") {
		t.Error(out.String())
	}
}

func TestSlow_OthersGetEverything(t *testing.T) {
	l, err := slowOnce(ours(), &options{slowEvents: 2}, 20, 2)
	if err != nil {
		t.Fatal(err)
	}
	if l.lost != 0 || l.p99 <= 0 {
		t.Errorf("%+v", l)
	}
}

func TestCaller_RefusesWrongAnswers(t *testing.T) {
	for _, c := range contestants() {
		right := c.answer(firstID)
		for name, answer := range map[string]string{
			"wrong sum":   strings.Replace(right, fmt.Sprint(firstID+addend), "7", 1),
			"unknown id":  strings.Replace(right, fmt.Sprint(firstID), "999", 1),
			"no id":       `{"type":"rpc.error","id":null}`,
			"other bytes": right + " ",
		} {
			k := newCaller(c, nil, 1)
			k.waits[0] = true
			if answer == right {
				continue // the floor's answer has no sum
			}
			if _, err := k.check([]byte(answer)); err == nil {
				t.Errorf("%s: %s: took %s", c.name, name, answer)
			}
		}
		k := newCaller(c, nil, 1)
		k.waits[0] = true
		if _, err := k.check([]byte(right)); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if _, err := k.check([]byte(right)); err == nil {
			t.Errorf("%s: took an answer twice", c.name)
		}
	}
}

func TestSubscriber_RefusesLossAndRepetition(t *testing.T) {
	s := &subscriber{next: 1}
	for _, step := range []struct {
		event int64
		want  bool
	}{
		{1, true},
		{3, true},
		{3, false},
		{2, true},
		{1, false},
		{4, true},
		{4 + maxOutstanding + 1, false},
		{-1, false},
	} {
		if got := s.take(step.event); got != step.want {
			t.Errorf("event %d: %v", step.event, got)
		}
	}
}
