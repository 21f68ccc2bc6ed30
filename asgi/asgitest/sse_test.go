package asgitest_test

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/genropy/genro-asgi-go/asgi/asgitest"
)

func parse(r io.Reader) (events []asgitest.Event, err error) {
	for event, e := range asgitest.ParseSSE(r) {
		if e != nil {
			return events, e
		}
		events = append(events, event)
	}
	return events, nil
}

// The examples of WHATWG HTML section 9.2.6, and its corners.
func TestParseSSE(t *testing.T) {
	cases := map[string]struct{ in, want string }{
		"two lines": {
			"data: YHOO\ndata: +2\ndata: 10\n\n",
			`[{ message "YHOO\n+2\n10" 0s}]`,
		},
		"id kept and reset": {
			": test\n\ndata: first\nid: 1\n\ndata:second\n\nid\ndata:  third\n\n",
			`[{1 message "first" 0s} {1 message "second" 0s} { message " third" 0s}]`,
		},
		"empty data": {
			"data\n\ndata\ndata\n\ndata:",
			`[{ message "" 0s} { message "\n" 0s}]`,
		},
		"one space": {
			"data:test\n\ndata: test\n\n",
			`[{ message "test" 0s} { message "test" 0s}]`,
		},
		"names": {
			"event: add\ndata: 1\n\ndata: 2\n\nevent\ndata: 3\n\n",
			`[{ add "1" 0s} { message "2" 0s} { message "3" 0s}]`,
		},
		"name without data": {"event: add\n\ndata: 2\n\n", `[{ message "2" 0s}]`},
		"retry": {
			"retry: 1500\nretry: 1x\nretry: -3\ndata: 1\n\n",
			`[{ message "1" 1.5s}]`,
		},
		"id with null":  {"id: 1\nid: a\x00b\ndata: 1\n\n", `[{1 message "1" 0s}]`},
		"all line ends": {"data: 1\r\ndata: 2\rdata: 3\n\r\n", `[{ message "1\n2\n3" 0s}]`},
		"CR CR ends an event": {
			"data: 1\r\rdata: 2\r\n\r\n",
			`[{ message "1" 0s} { message "2" 0s}]`,
		},
		"byte order mark": {"\ufeffdata: 1\n\n", `[{ message "1" 0s}]`},
		"unknown field":   {"foo: 1\ndata: 1\n\n", `[{ message "1" 0s}]`},
		"cut in an event": {"data: 1\n\ndata: 2\n", `[{ message "1" 0s}]`},
		"cut in the last line": {
			"data: 1\n\ndata: 2\n\nid: 3",
			`[{ message "1" 0s} { message "2" 0s}]`,
		},
		"nothing": {"", "[]"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			for _, r := range []io.Reader{
				strings.NewReader(c.in),
				iotest.OneByteReader(strings.NewReader(c.in)),
			} {
				events, err := parse(r)
				if got := show(events); got != c.want || err != nil {
					t.Errorf("got %s, %v; want %s", got, err, c.want)
				}
			}
		})
	}
}

func show(events []asgitest.Event) string {
	texts := []string{}
	for _, e := range events {
		texts = append(texts, fmt.Sprintf("{%s %s %q %v}", e.ID, e.Name, e.Data, e.Retry))
	}
	return fmt.Sprint(texts)
}

func TestParseSSE_Errors(t *testing.T) {
	broken := errors.New("broken")
	if events, err := parse(io.MultiReader(strings.NewReader("data: 1\n\n"),
		iotest.ErrReader(broken))); !errors.Is(err, broken) || len(events) != 1 {
		t.Errorf("got %v, %v", events, err)
	}
	long := strings.Repeat("x", 1<<20-100) // a Scanner takes 64 KiB by itself
	if events, err := parse(strings.NewReader("data: " + long + "\n\n")); err != nil ||
		len(events) != 1 || events[0].Data != long {
		t.Errorf("of a long line came %d events, %v", len(events), err)
	}
	if _, err := parse(strings.NewReader(strings.Repeat("x", 1<<20+1))); err == nil ||
		!strings.Contains(err.Error(), "longer than") {
		t.Errorf("error %v", err)
	}
}

// A carriage return ends an event at once: the line feed that may follow is not waited for.
func TestParseSSE_HandsAnEventOnWithoutWaiting(t *testing.T) {
	r, w := io.Pipe()
	defer r.Close()
	go func() { _, _ = io.WriteString(w, "data: 1\r\n\r") }()
	for event, err := range asgitest.ParseSSE(r) {
		if event.Data != "1" || err != nil {
			t.Errorf("got %q, %v", event.Data, err)
		}
		break
	}
}

// FuzzParseSSE compares with a parser that has the whole text before it and takes the rules of the
// standard literally.
func FuzzParseSSE(f *testing.F) {
	for _, seed := range []string{
		"data: 1\n\n", "id:1\revent: x\r\ndata\n\n\r\r",
		":c\nretry:10\ndata:a\ndata:b\n\n", "\ufeffid: \x00\ndata:\n\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1<<16 {
			return
		}
		got, err := parse(iotest.HalfReader(strings.NewReader(text)))
		if err != nil {
			t.Fatal(err)
		}
		if want := parseLiterally(text); show(got) != show(want) {
			t.Errorf("%q: got %s, want %s", text, show(got), show(want))
		}
	})
}

var (
	lineEnd = regexp.MustCompile(`\r\n|\n|\r`)
	digits  = regexp.MustCompile(`^[0-9]+$`)
)

func parseLiterally(text string) (events []asgitest.Event) {
	lines := lineEnd.Split(strings.TrimPrefix(text, "\ufeff"), -1)
	data, name, id, retry := "", "", "", time.Duration(0)
	for _, line := range lines[:len(lines)-1] { // what has no end is left out
		field, value, found := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "":
			if data != "" {
				event := asgitest.Event{ID: id, Name: name, Data: data[:len(data)-1], Retry: retry}
				if name == "" {
					event.Name = "message"
				}
				events = append(events, event)
			}
			data, name = "", ""
		case field == "" && found: // a comment
		case field == "event":
			name = value
		case field == "data":
			data += value + "\n"
		case field == "id" && !strings.Contains(value, "\x00"):
			id = value
		case field == "retry" && digits.MatchString(value):
			var ms int64
			if _, err := fmt.Sscan(value, &ms); err == nil &&
				len(strings.TrimLeft(value, "0")) < 10 {
				retry = time.Duration(ms) * time.Millisecond
			}
		}
	}
	return events
}

func ExampleParseSSE() {
	stream := "id: 1\ndata: first\n\n: a comment\nevent: note\ndata: two\ndata: lines\n\n"
	for event, err := range asgitest.ParseSSE(strings.NewReader(stream)) {
		if err != nil {
			fmt.Println(err)
		}
		fmt.Printf("%q %q %q\n", event.ID, event.Name, event.Data)
	}
	// Output:
	// "1" "message" "first"
	// "1" "note" "two\nlines"
}
