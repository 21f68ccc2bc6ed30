package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/executor"
	"github.com/genropy/genro-asgi-go/internal/leakcheck"
	"github.com/genropy/genro-asgi-go/problem"
	"github.com/genropy/genro-asgi-go/tasks"
)

// asProgram in the environment makes the test binary the program.
const asProgram = "TASKS_EXAMPLE_PROGRAM"

func TestMain(m *testing.M) {
	executor.Main() // a worker of the program, when that has started it as one
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	leakcheck.Main(m)
}

// program is the running example.
type program struct {
	t      *testing.T
	cmd    *exec.Cmd
	url    string
	stderr output
}

// output keeps what a program writes, and tells who waits for a piece of it.
type output struct {
	mu      sync.Mutex
	text    bytes.Buffer
	written chan struct{} // closed by the next Write; nil where nobody waits
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.written != nil {
		close(o.written)
		o.written = nil
	}
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// wait returns when piece has been written n times, or ctx ends.
func (o *output) wait(ctx context.Context, piece string, n int) error {
	for {
		o.mu.Lock()
		if strings.Count(o.text.String(), piece) >= n {
			o.mu.Unlock()
			return nil
		}
		if o.written == nil {
			o.written = make(chan struct{})
		}
		written := o.written
		o.mu.Unlock()
		select {
		case <-written:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func start(t *testing.T, args ...string) *program {
	t.Helper()
	p := &program{
		t:   t,
		cmd: exec.Command(os.Args[0], append([]string{"-addr", "127.0.0.1:0"}, args...)...),
	}
	p.cmd.Env = append(os.Environ(), asProgram+"=1")
	p.cmd.Stderr = &p.stderr
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			_ = p.end(syscall.SIGKILL) // that is how
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if err != nil || !ok {
		t.Fatalf("it said %q, %v; %s", line, err, p.stderr.String())
	}
	p.url = url
	return p
}

// end sends a signal and returns how the program ended.
func (p *program) end(s os.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Error(err)
	}
	return p.cmd.Wait()
}

// do makes a request over a connection of its own and reads the answer's JSON into out.
func (p *program) do(method, path, body string, out any) int {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), method, p.url+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		p.t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err == nil && out != nil {
		err = json.Unmarshal(b, out)
	}
	if err != nil {
		p.t.Fatalf("%s: %v", b, err)
	}
	return resp.StatusCode
}

// follow calls f with each change of a task, as the event stream tells of it, until f returns true.
func (p *program) follow(id string, f func(tasks.View) bool) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/tasks/"+id+"/events", nil)
	if err != nil {
		p.t.Fatal(err)
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			var v tasks.View
			if err := json.Unmarshal([]byte(data), &v); err != nil {
				p.t.Fatal(err)
			}
			if f(v) {
				return
			}
		}
	}
	p.t.Fatal("the stream ended before")
}

// byRegion are the sales of the table, computed by another program (in Python): region, quantity,
// cents.
var byRegion = `Lombardia 1610 3960314
Lazio 1211 2707644
Veneto 643 1682482
Toscana 715 1634078
Campania 709 1547072
Friuli-Venezia Giulia 429 964306
Valle d'Aosta 130 299020
`

func TestProgram_BuildsAReportWithProgress(t *testing.T) {
	p := start(t)
	var v tasks.View
	if status := p.do("POST", "/tasks/report", `{"file":"sales.csv","by":"region","pace_ms":5}`,
		&v); status != http.StatusAccepted {
		t.Fatal(status)
	}
	var seen []float64
	p.follow(v.ID, func(v tasks.View) bool {
		if v.State == tasks.Running && v.Progress != nil {
			seen = append(seen, v.Progress.Done/v.Progress.Total)
		}
		return v.State == tasks.Succeeded
	})
	if len(seen) < 2 || !slices.IsSorted(seen) || seen[0] <= 0 || seen[len(seen)-1] > 1 {
		t.Errorf("progress %v", seen)
	}
	p.wantReport(v.ID)
	err := p.end(syscall.SIGTERM)
	// by workers of a binary built to measure coverage
	said := strings.ReplaceAll(p.stderr.String(),
		"warning: GOCOVERDIR not set, no coverage data emitted\n", "")
	if err != nil || said != "" {
		t.Errorf("%v; %s", err, said)
	}
}

// wantReport expects the result that the same table gave to another program.
func (p *program) wantReport(id string) {
	p.t.Helper()
	var out reportOut
	if status := p.do("GET", "/tasks/"+id+"/result?wait=30s", "", &out); status != http.StatusOK ||
		out.Rows != 2400 {
		p.t.Fatalf("%d, %d rows", status, out.Rows)
	}
	var got strings.Builder
	for _, g := range out.Groups {
		fmt.Fprintf(&got, "%s %d %d\n", g.Name, g.Quantity, g.Cents)
	}
	if got.String() != byRegion {
		p.t.Errorf("the report:\n%s", got.String())
	}
}

func TestProgram_RefusesWhatCannotBe(t *testing.T) {
	p := start(t)
	for body, want := range map[string]string{
		`{"file":"../main.go","by":"region"}`:     "/file",
		`{"file":"sales.csv","by":"moon"}`:        "/by",
		`{"file":"sales.csv","by":1}`:             "",
		`{"file":"sales.csv","by":"month","x":1}`: "",
	} {
		var told problem.Error
		if status := p.do("POST", "/tasks/report", body, &told); status !=
			http.StatusUnprocessableEntity || len(told.Fields) != 1 ||
			!strings.Contains(told.Fields[0].Pointer, want) {
			t.Errorf("%s: %d %+v", body, status, told)
		}
	}
	var v tasks.View
	p.do("POST", "/tasks/report?wait=30s", `{"file":"rents.csv","by":"region"}`, &v)
	if v.State != tasks.Failed || v.Attempt != 1 ||
		v.Error.Status != http.StatusUnprocessableEntity {
		t.Errorf("a file that is not there: %+v", v)
	}
}

// What was acknowledged is done, whether the program is stopped in the middle or killed.
func TestProgram_GoesOnAfterARestart(t *testing.T) {
	for name, signal := range map[string]os.Signal{
		"stopped": syscall.SIGTERM,
		"killed":  syscall.SIGKILL,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			p := start(t, "-dir", dir, "-grace", "1ms")
			var v tasks.View
			p.do("POST", "/tasks/report", `{"file":"sales.csv","by":"region","pace_ms":30}`, &v)
			p.follow(v.ID, func(v tasks.View) bool {
				var n int
				if v.Progress != nil {
					_, _ = fmt.Sscan(v.Progress.Message, &n)
				}
				return n > checkpointEvery // there is a checkpoint by now
			})
			if err := p.end(signal); signal == syscall.SIGTERM && err != nil {
				t.Errorf("%v; %s", err, p.stderr.String())
			}
			p = start(t, "-dir", dir)
			first := 0
			p.follow(v.ID, func(v tasks.View) bool {
				if v.State == tasks.Running && v.Progress != nil &&
					v.Progress.At.After(v.Started) && first == 0 {
					_, _ = fmt.Sscan(v.Progress.Message, &first)
				}
				return v.State.Done()
			})
			if first < checkpointEvery {
				t.Errorf("it began again at row %d", first)
			}
			p.wantReport(v.ID)
		})
	}
}

func TestProgram_CancelKillsWhatLoops(t *testing.T) {
	p := start(t)
	var loops [2]tasks.View // as many as there are workers
	for i := range loops {
		p.do("POST", "/tasks/collatz", `{"n":0}`, &loops[i])
		p.follow(loops[i].ID, func(v tasks.View) bool { return v.Progress != nil })
	}
	for i := range loops {
		var v tasks.View
		if status := p.do("DELETE", "/tasks/"+loops[i].ID, "", &v); status != http.StatusOK ||
			v.State != tasks.Cancelled {
			t.Errorf("%d, %+v", status, v)
		}
	}
	var v tasks.View // gets a place only when the others have gone
	p.do("POST", "/tasks/collatz?wait=30s", `{"n":27}`, &v)
	if string(v.Result) != `{"steps":111}` {
		t.Errorf("%+v, %+v", v, v.Error)
	}
	const died = "executor worker died"
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := p.stderr.wait(ctx, died, len(loops)); err != nil { // the other one may take longer
		t.Errorf("%v; %s", err, p.stderr.String())
	}
	err := p.end(syscall.SIGTERM)
	if killed := strings.Count(p.stderr.String(), died); err != nil || killed != len(loops) {
		t.Errorf("%v; %s", err, p.stderr.String())
	}
}
