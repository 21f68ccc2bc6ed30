//go:build clients

package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// witness is an http.RoundTripper that notes what a client asks and is answered. At the end every
// operation of the document must have been called with success, and no answer may be one that the
// document does not declare: "default" declares nothing here, a 4xx has to be named.
type witness struct {
	operations []operation
	last       int // the status of the newest answer
	refusals   map[string]bool
	faults     []string
}

type operation struct {
	name      string // "GET /orders/{id}"
	path      *regexp.Regexp
	statuses  map[string]jsontext.Value
	succeeded bool
}

func newWitness(file string) (*witness, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var document struct {
		Paths map[string]map[string]struct {
			Responses map[string]jsontext.Value `json:"responses"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(text, &document); err != nil {
		return nil, err
	}
	w := &witness{refusals: make(map[string]bool)}
	parameter := regexp.MustCompile(`\\{[^}]+\\}`) // as QuoteMeta writes it
	for path, item := range document.Paths {
		for method, op := range item {
			pattern := parameter.ReplaceAllString(regexp.QuoteMeta(path), `[^/]+`)
			name := strings.ToUpper(method) + " " + path
			w.operations = append(w.operations,
				operation{
					name: name, path: regexp.MustCompile("^" + pattern + "$"),
					statuses: op.Responses,
				})
		}
	}
	// Where two paths fit, the one with fewer parameters is meant.
	slices.SortFunc(w.operations,
		func(a, b operation) int { return strings.Count(a.name, "{") - strings.Count(b.name, "{") })
	return w, nil
}

// leaving is the key of contexts whose answers are streams without an end. ogen's clients would
// read all of it: they get the header alone.
type leaving struct{}

func (w *witness) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if r.Context().Value(leaving{}) != nil {
		_ = resp.Body.Close()
		resp.Body = http.NoBody
	}
	w.last = resp.StatusCode
	for i := range w.operations {
		op := &w.operations[i]
		if !strings.HasPrefix(op.name, r.Method+" ") || !op.path.MatchString(r.URL.Path) {
			continue
		}
		if _, ok := op.statuses[fmt.Sprint(w.last)]; !ok {
			w.fault("%s: %d is not declared", op.name, w.last)
		}
		if w.last < 400 {
			op.succeeded = true
		} else {
			w.refusals[fmt.Sprint(op.name, w.last)] = true
		}
		return resp, nil
	}
	w.fault("%s %s is not in the document", r.Method, r.URL.Path)
	return resp, nil
}

func (w *witness) fault(format string, args ...any) {
	w.faults = append(w.faults, fmt.Sprintf(format, args...))
}

// expect takes what a generated function returned, which must have been answered with the status,
// as the document declares it: the client refuses to decode anything else.
func (w *witness) expect(status int) func(response any, err error) {
	return func(response any, err error) {
		if err != nil || w.last != status {
			w.fault("%T %+v: %d, want %d: %v", response, response, w.last, status, err)
		}
	}
}

// handshake opens a WebSocket and closes it.
func (w *witness) handshake(ctx context.Context, url string) {
	socket, _, err := websocket.Dial(ctx, url,
		&websocket.DialOptions{HTTPClient: &http.Client{Transport: w}})
	if err != nil {
		w.fault("%s: %v", url, err)
		return
	}
	_ = socket.CloseNow()
}

// verdict says what was seen.
func (w *witness) verdict() error {
	succeeded := 0
	for _, op := range w.operations {
		if op.succeeded {
			succeeded++
		} else {
			w.fault("%s had no success", op.name)
		}
	}
	fmt.Printf("ogen: %d of %d operations, %d kinds of refusals\n", succeeded, len(w.operations),
		len(w.refusals))
	if w.faults != nil {
		return fmt.Errorf("%s", strings.Join(w.faults, "\n"))
	}
	return nil
}

// must is what a generated function returned, which has to be a T.
func must[T any](response any, err error) T {
	value, ok := response.(T)
	if !ok {
		panic(fmt.Sprintf("%T %+v, want %T: %v", response, response, value, err))
	}
	return value
}
