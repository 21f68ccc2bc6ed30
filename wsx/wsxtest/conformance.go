package wsxtest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
)

// vectorTimeout is how long a vector waits for what it expects, unless its step or the [Target]
// says otherwise.
const vectorTimeout = 10 * time.Second

// Row is a sentence or a table's row of the protocol page that conformance vectors cover.
type Row struct {
	// ID begins with the section's number: 2.cancel.
	ID string `json:"id"`
	// Text says what must hold.
	Text string `json:"text"`
	// Tests name what shows the row where no vector can in reasonable time: Go tests as
	// package.TestName, package being the directory below the module's root.
	Tests []string `json:"tests,omitzero"`
}

// Vector is one conformance vector: what a client does and what it must see
// (wsx/testdata/conformance/README.md has the format).
type Vector struct {
	// Name is unique among all vectors.
	Name string
	// Rows are the IDs of the rows of the protocol that the vector covers.
	Rows []string

	leftover bool
	steps    []step
}

// Suite is what a folder of vectors holds, in the order of its files.
type Suite struct {
	Rows    []Row
	Vectors []*Vector
}

// LoadSuite reads all *.json in the root of fsys. What is not in the format is an error: unknown
// members, steps that do nothing or two things at once, placeholders that do not exist, a name or
// row id that occurs twice, and rows that a vector covers but nobody defines.
func LoadSuite(fsys fs.FS) (*Suite, error) {
	if fsys == nil {
		return nil, errors.New("wsxtest: LoadSuite: the file system is nil")
	}
	files, err := fs.Glob(fsys, "*.json")
	if err != nil {
		return nil, err
	}
	s := new(Suite)
	rows, names := make(map[string]bool), make(map[string]bool)
	for _, file := range files {
		b, err := fs.ReadFile(fsys, file)
		if err == nil {
			err = s.add(strings.TrimSuffix(path.Base(file), ".json"), b, rows, names)
		}
		if err != nil {
			return nil, fmt.Errorf("wsxtest: %s: %w", file, err)
		}
	}
	for _, v := range s.Vectors {
		for _, id := range v.Rows {
			if !rows[id] {
				return nil, fmt.Errorf("wsxtest: vector %q covers %q, which no file defines",
					v.Name, id)
			}
		}
	}
	return s, nil
}

// suiteFile is one file of a suite.
type suiteFile struct {
	Section string `json:"section"`
	Rows    []Row  `json:"rows"`
	Vectors []struct {
		Name     string   `json:"name"`
		Rows     []string `json:"rows"`
		Leftover bool     `json:"leftover"`
		Steps    []step   `json:"steps"`
	} `json:"vectors"`
}

// add reads what the file of that name holds. rows and names are those of the files before it, and
// of this one when it returns.
func (s *Suite) add(file string, b []byte, rows, names map[string]bool) error {
	var doc suiteFile
	if err := json.Unmarshal(b, &doc, json.RejectUnknownMembers(true), numbers); err != nil {
		return err
	}
	for _, r := range doc.Rows {
		if r.ID == "" || r.Text == "" || rows[r.ID] {
			return fmt.Errorf("row %q has no text or is there twice", r.ID)
		}
		rows[r.ID] = true
	}
	s.Rows = append(s.Rows, doc.Rows...)
	for _, d := range doc.Vectors {
		v := &Vector{Name: file + "/" + d.Name, Rows: d.Rows, leftover: d.Leftover, steps: d.Steps}
		if d.Name == "" || len(d.Rows) == 0 || len(d.Steps) == 0 || names[v.Name] {
			return fmt.Errorf("vector %q has no rows or no steps, or its name is there twice",
				v.Name)
		}
		names[v.Name] = true
		if err := checkSteps(v.steps); err != nil {
			return fmt.Errorf("vector %q: %w", v.Name, err)
		}
		s.Vectors = append(s.Vectors, v)
	}
	return nil
}

// Uncovered returns the rows that no vector covers and that name no test.
func (s *Suite) Uncovered() []Row {
	covered := make(map[string]bool)
	for _, v := range s.Vectors {
		for _, id := range v.Rows {
			covered[id] = true
		}
	}
	var left []Row
	for _, r := range s.Rows {
		if !covered[r.ID] && len(r.Tests) == 0 {
			left = append(left, r)
		}
	}
	return left
}

// Target is the server that vectors run against: one with the methods, channels and handlers of
// section 8 of the protocol, started with -origins https://app.example, such as
// examples/conformance.
type Target struct {
	// URL is the base, http://127.0.0.1:9321.
	URL string
	// Start starts a server for one vector alone, because that ends it: stop begins its shutdown as
	// SIGTERM does and returns. Whoever started it waits for its end. Vectors that need one fail
	// when it is nil; [RunSuite] skips them.
	Start func() (url string, stop func(), err error)
	// Timeout is for each wait that the vector gives no time for; 10 s.
	Timeout time.Duration
}

// Run runs the vector and returns what the server did wrong, or nil. Any number may run at a time
// against one server. The connections that it opened have ended when it returns.
func (v *Vector) Run(ctx context.Context, target *Target) error {
	r := &run{
		timeout: target.Timeout, url: target.URL, vars: map[string]any{"run": token()},
		conns: make(map[string]*rawConn),
	}
	if r.timeout <= 0 {
		r.timeout = vectorTimeout
	}
	if v.stops() {
		if target.Start == nil {
			return errNoStart
		}
		var err error
		if r.url, r.stop, err = target.Start(); err != nil {
			return err
		}
		defer r.stop() // again, should the vector have failed before
	}
	base, err := url.Parse(r.url)
	if err != nil || base.Scheme != "http" || base.Host == "" {
		return fmt.Errorf("wsxtest: %q is no http URL of a server", r.url)
	}
	r.host = base.Host
	r.vars["host"] = base.Host
	defer r.drop()
	defer context.AfterFunc(ctx, r.drop)()
	if err := r.steps(ctx, v.steps); err != nil {
		return err
	}
	if v.leftover {
		return nil
	}
	return r.tidy()
}

var errNoStart = errors.New("wsxtest: the vector ends its server: Target.Start is needed")

// stops reports whether the vector ends its server.
func (v *Vector) stops() bool {
	for i := range v.steps {
		if v.steps[i].Stop {
			return true
		}
	}
	return false
}

// RunSuite runs every vector as a parallel subtest of its name, and fails for each row that neither
// a vector nor a test covers. Without Target.Start the vectors that end their server are skipped,
// and say so: a server that runs elsewhere can be tested by all the others.
func RunSuite(t *testing.T, s *Suite, target *Target) {
	t.Helper()
	if s == nil || target == nil {
		t.Fatal("wsxtest: RunSuite: the suite or the target is nil")
	}
	for _, row := range s.Uncovered() {
		t.Errorf("nothing covers row %s: %s", row.ID, row.Text)
	}
	for _, v := range s.Vectors {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			if v.stops() && target.Start == nil {
				t.Skip(errNoStart)
			}
			if err := v.Run(t.Context(), target); err != nil {
				t.Error(err)
			}
		})
	}
}
