package main

import (
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/wsx/wsxtest"
)

// share says which part of the mutants a test run tries; CONFORMANCE_MUTANTS=all tries all of them.
const share = 12

// TestConformance_VectorsNoticeWhatIsWrong changes what vectors expect, one thing at a time:
// another value, a member more, another close code or status, a step less. The server, which is
// right, must fail every one of these: a vector that passes would not notice a server that is
// wrong.
func TestConformance_VectorsNoticeWhatIsWrong(t *testing.T) {
	server := target(t)
	// whoever waits for what does not come has failed; of the waits that are right none is longer
	server.Timeout = 2 * time.Second
	slots := make(chan struct{}, 32)
	var running sync.WaitGroup
	defer running.Wait()
	n := 0
	for _, file := range []string{
		"1-transport", "2-messages", "3-errors", "4-subscriptions",
		"5-life", "6-jsonrpc", "7-tunnel", "8-server",
	} {
		for _, v := range mutants(t, file) {
			if n++; n%share != 0 && os.Getenv("CONFORMANCE_MUTANTS") != "all" {
				continue
			}
			slots <- struct{}{}
			running.Go(func() {
				defer func() { <-slots }()
				for range 3 {
					// an answer that nobody reads may be too late to be noticed, but not always
					if v.Run(t.Context(), server) != nil {
						return
					}
				}
				t.Errorf("passed, though it expects what is wrong: %s", v.Name)
			})
		}
	}
	if n < 4000 {
		t.Errorf("only %d mutants", n)
	}
}

// mutants are those of all vectors of one file.
func mutants(t *testing.T, file string) []*wsxtest.Vector {
	t.Helper()
	b, err := fs.ReadFile(os.DirFS(folder), file+".json")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Section string           `json:"section"`
		Rows    []any            `json:"rows"`
		Vectors []map[string]any `json:"vectors"`
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	var out []map[string]any
	for _, v := range doc.Vectors {
		i := 0
		keep := func(how string) {
			var c map[string]any
			i++
			copied, err := json.Marshal(v)
			if err == nil {
				err = json.Unmarshal(copied, &c)
			}
			if err != nil {
				t.Fatal(err)
			}
			c["name"], c["rows"] = fmt.Sprintf("%s: %d, %s", v["name"], i, how), []any{"0"}
			out = append(out, c)
		}
		mutateSteps(v["steps"].([]any), v["leftover"] == true, keep,
			func(steps []any) { v["steps"] = steps })
	}
	b, err = json.Marshal(map[string]any{
		"section": doc.Section,
		"rows":    []any{map[string]any{"id": "0", "text": "any"}}, "vectors": out,
	})
	if err != nil {
		t.Fatal(err)
	}
	suite, err := wsxtest.LoadSuite(fstest.MapFS{file + ".json": {Data: b}})
	if err != nil {
		t.Fatal(err)
	}
	return suite.Vectors
}

// mutateSteps calls keep for each mutant while steps are changed, and changes them back. put sets
// the steps where they stand.
func mutateSteps(steps []any, leftover bool, keep func(how string), put func([]any)) {
	for i, s := range steps {
		step := s.(map[string]any)
		for _, action := range []string{"receive", "unordered", "until"} {
			if p, ok := step[action]; ok {
				mutate(p, "", keep, func(p any) { step[action] = p })
			}
		}
		for _, action := range []string{"connect", "http"} {
			if a, ok := step[action].(map[string]any); ok {
				mutateAnswer(a, keep)
			}
		}
		if code, ok := step["closed"].(float64); ok {
			step["closed"] = code + 1
			keep("another close code")
			step["closed"] = code
		}
		if pong, ok := step["pong"].(string); ok {
			step["pong"] = pong + "~"
			keep("another pong")
			step["pong"] = pong
		}
		if texts, ok := step["contains"].([]any); ok {
			step["contains"] = append(texts, "a text that is nowhere")
			keep("a text more")
			step["contains"] = texts
		}
		if repeat, ok := step["repeat"].(map[string]any); ok {
			mutateSteps(repeat["steps"].([]any), leftover, keep,
				func(steps []any) { repeat["steps"] = steps })
		}
		if (step["receive"] != nil || step["pong"] != nil || step["unordered"] != nil) &&
			!leftover && missed(step, steps[i+1:]) {
			put(append(append([]any{}, steps[:i]...), steps[i+1:]...))
			keep("a step less")
			put(steps)
		}
	}
}

// missed reports whether a message that step no longer reads is bound to be noticed: another step
// reads on that connection, and skips nothing. (At the end of a vector it may come too late to be
// noticed, and what is cancelled may not come at all.)
func missed(step map[string]any, later []any) bool {
	for _, s := range later {
		next := s.(map[string]any)
		if sent, ok := next["send"].(map[string]any); ok && sent["type"] == "rpc.cancel" {
			return false
		}
		if next["on"] == step["on"] &&
			(next["receive"] != nil || next["unordered"] != nil || next["pong"] != nil ||
				next["until"] != nil || next["closed"] != nil) {
			return next["skip"] == nil
		}
	}
	return false
}

func mutateAnswer(a map[string]any, keep func(how string)) {
	status, ok := a["status"].(float64)
	a["status"] = 299.0
	keep("another status")
	delete(a, "status")
	if ok {
		a["status"] = status
	}
	answer, _ := a["answer"].(map[string]any)
	if p, ok := answer["json"]; ok {
		mutate(p, "", keep, func(p any) { answer["json"] = p })
	}
	if p, ok := answer["headers"]; ok {
		mutate(p, "headers", keep, func(p any) { answer["headers"] = p })
	}
}

// mutate calls keep for each change of a pattern, put where it stands.
func mutate(pattern any, at string, keep func(how string), put func(any)) {
	change := func(p any, how string) {
		put(p)
		keep(at + " " + how)
		put(pattern)
	}
	switch p := pattern.(type) {
	case string:
		switch {
		case p == "$any", p == "$optional", strings.HasPrefix(p, "$save:"): // like anything
		case p == "$absent":
			change("$any", "wanted")
		case p == "$object", p == "$array":
			change("$string", "a string")
		case strings.HasPrefix(p, "$") && !strings.HasPrefix(p, "${"):
			change("$object", "an object")
		default:
			change(p+"~", "another text")
		}
	case float64:
		change(p+1, "another number")
	case bool:
		change(!p, "the contrary")
	case nil:
		change("$string", "a string")
	case []any:
		for i := range p {
			mutate(p[i], fmt.Sprintf("%s/%d", at, i), keep, func(e any) { p[i] = e })
		}
		change(append(append([]any{}, p...), "more"), "an element more")
	case map[string]any:
		for name, e := range p {
			if name != "$more" {
				mutate(e, at+"/"+name, keep, func(e any) { p[name] = e })
			}
		}
		if p["$unordered"] == nil && at != "headers" {
			p["mutant"] = 1.0
			keep(at + " a member more")
			delete(p, "mutant")
		}
	}
}
