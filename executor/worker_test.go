//go:build linux

package executor

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/executor/internal/frame"
	"github.com/genropy/genro-asgi-go/executor/internal/shared"
)

// The worker's side in this process, where the race detector and the coverage see it.

var (
	workerEcho = NewFunc("worker test: echo",
		func(_ context.Context, in []byte) ([]byte, error) { return in, nil })
	workerWaits = NewFunc("worker test: waits", func(ctx context.Context, _ int) (int, error) {
		<-ctx.Done()
		return 0, ctx.Err()
	})
	workerNotes = NewFunc("worker test: notes", func(ctx context.Context, how string) (int, error) {
		switch how {
		case "panic":
			panic(how)
		case "goexit":
			runtime.Goexit()
		case "too much progress":
			return 0, Progress(ctx, strings.Repeat("x", noteMax))
		case "bad progress":
			return 0, Progress(ctx, func() {})
		case "output":
			_, err := Output(ctx).Write([]byte("out"))
			return 0, err
		}
		l := Logger(ctx).WithGroup("").With("a", slog.GroupValue(slog.Int("b", 1))).WithGroup("g")
		l.LogAttrs(ctx, slog.LevelInfo, "hello", slog.Float64("f", 1.5),
			slog.Float64("nan", nanValue()), slog.Duration("t", time.Second),
			slog.Any("empty", slog.GroupValue()), slog.Any("func", func() {}),
			slog.Any("err", errors.New("e")), slog.Attr{})
		l.Info("large", "x", strings.Repeat("x", noteMax))
		return 0, Progress(ctx, 1)
	})
)

func nanValue() float64 { zero := 0.0; return zero / zero }

// pipes is a worker in this process and the other ends of its pipes.
type pipes struct {
	t            *testing.T
	server       *server
	shared       *shared.Side // the parent's side
	in, control  *os.File
	out          *bufio.Reader
	orphaned     chan struct{}
	welcomeError string
}

func newPipes(t *testing.T, calls int, apply func(int64) error) *pipes {
	t.Helper()
	var r, w [3]*os.File
	for i := range r {
		var err error
		if r[i], w[i], err = os.Pipe(); err != nil {
			t.Fatal(err)
		}
	}
	p := &pipes{
		t: t, in: w[0], control: w[2], out: bufio.NewReader(r[1]),
		orphaned: make(chan struct{}),
	}
	with, theirs, err := shared.New("")
	if err != nil {
		t.Fatal(err)
	}
	p.shared = with
	own, err := shared.Open(numbersOf(t, theirs))
	if err != nil {
		t.Fatal(err)
	}
	p.server = newServer(r[0], w[1], r[2], own)
	body, err := json.Marshal(hello{Protocol: protocol, Build: buildID(), MaxPayload: 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	p.send(p.in, frame.New(frame.Hello, 0, body))
	if err := p.server.greet(apply); err != nil {
		t.Fatal(err)
	}
	var answer welcome
	if typ, _, payload := p.receive(); typ != frame.Hello ||
		json.Unmarshal(payload, &answer) != nil {
		t.Fatalf("%d %s", typ, payload)
	}
	p.welcomeError = answer.Error
	go p.server.listen(func() { close(p.orphaned) })
	for range calls {
		go p.server.serve()
	}
	t.Cleanup(func() {
		_ = p.in.Close()
		<-p.server.done
		_ = p.control.Close()
		<-p.orphaned
		for i := range r {
			_, _ = r[i].Close(), w[i].Close()
		}
	})
	return p
}

// numbersOf are descriptors of the files, as a worker inherits them.
func numbersOf(t *testing.T, files []*os.File) (numbers []uintptr) {
	t.Helper()
	for _, f := range files {
		fd, err := syscall.Dup(int(f.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		numbers = append(numbers, uintptr(fd))
		_ = f.Close()
	}
	return numbers
}

// file makes a file and passes it to the worker.
func (p *pipes) file(content []byte) *shared.File {
	p.t.Helper()
	f, err := shared.CreateFile("")
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(f.Close)
	if _, err := f.Write(content); err != nil {
		p.t.Fatal(err)
	}
	if err := p.shared.Pass(f); err != nil {
		p.t.Fatal(err)
	}
	return f
}

func (p *pipes) send(f *os.File, frame []byte) {
	p.t.Helper()
	if _, err := f.Write(frame); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pipes) call(id uint64, h frame.CallHead, body string) {
	p.t.Helper()
	if h.Slot == 0 {
		h.Slot = shared.NoSlot
	}
	b := append(h.Append(frame.Begin(nil, frame.Call, id)), body...)
	frame.End(b)
	p.send(p.in, b)
}

func (p *pipes) receive() (frame.Type, uint64, []byte) {
	p.t.Helper()
	typ, id, payload, err := frame.Read(p.out, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	return typ, id, payload
}

func (p *pipes) expect(typ frame.Type, id uint64, part string) {
	p.t.Helper()
	if gotType, gotID, payload := p.receive(); gotType != typ || gotID != id ||
		!strings.Contains(string(payload), part) {
		p.t.Errorf("got %d %d %.300q, want %d %d %q", gotType, gotID, payload, typ, id, part)
	}
}

func TestServer_AnswersEveryCall(t *testing.T) {
	p := newPipes(t, 1, func(int64) error { return nil })
	p.call(1, frame.CallHead{Name: workerEcho.Name()}, "hello")
	p.expect(frame.Result, 1, "\x00hello")
	p.call(2, frame.CallHead{Name: "unknown"}, "")
	p.expect(frame.Failure, 2, "NewFunc belongs into a package variable")
	p.send(p.in, frame.New(frame.Call, 3, []byte{1}))
	p.expect(frame.Failure, 3, "malformed frame")
	p.call(4, frame.CallHead{Name: workerNotes.Name()}, `7`)
	p.expect(frame.Failure, 4, "decode")
	p.call(5, frame.CallHead{Name: workerNotes.Name()}, `"panic"`)
	p.expect(frame.Panic, 5, "panic")
	p.call(6, frame.CallHead{Name: workerNotes.Name()}, `"goexit"`)
	p.expect(frame.Panic, 6, "Goexit")
	for id, bad := range []frame.CallHead{{Input: "999999"}, {Output: "x"}, {File: "999999"}} {
		bad.Name = workerEcho.Name()
		p.call(uint64(7+id), bad, "")
		p.expect(frame.Failure, uint64(7+id), "executor: ")
	}
}

func TestServer_Notes(t *testing.T) {
	p := newPipes(t, 1, func(int64) error { return errors.New("no limits here") })
	if p.welcomeError != "no limits here" {
		t.Errorf("%q", p.welcomeError)
	}
	p.call(1, frame.CallHead{Name: workerNotes.Name(), Progress: true}, `""`)
	p.expect(frame.Log, 1,
		`"attrs":[{"key":"a.b","value":1},{"key":"g.f","value":1.5},{"key":"g.nan",`+
			`"value":"NaN"},{"key":"g.t","value":"1s"},{"key":"g.func","value":"0x`)
	p.expect(frame.Log, 1, `attributes_dropped`)
	p.expect(frame.Progress, 1, "1")
	p.expect(frame.Result, 1, "\x000")
	p.call(2, frame.CallHead{Name: workerNotes.Name(), Level: 8}, `""`) // nobody wants any of it
	p.expect(frame.Result, 2, "\x000")
	for i, how := range []string{`"too much progress"`, `"bad progress"`, `"output"`} {
		p.call(uint64(3+i), frame.CallHead{Name: workerNotes.Name(), Progress: true}, how)
		p.expect(frame.Failure, uint64(3+i), "executor: ")
	}
}

func TestServer_CancelsBeforeAndAfterTheCallArrives(t *testing.T) {
	p := newPipes(t, 2, func(int64) error { return nil })
	p.call(1, frame.CallHead{Name: workerWaits.Name()}, "0")
	for { // until it runs: a cancel may come earlier, which is the second case
		p.server.mu.Lock()
		runs := p.server.cancels[1] != nil
		p.server.mu.Unlock()
		if runs {
			break
		}
		runtime.Gosched()
	}
	p.send(p.control, frame.New(frame.Cancel, 1, nil))
	p.expect(frame.Failure, 1, `"canceled":true`)
	p.send(p.control, frame.New(frame.Cancel, 2, nil))
	for {
		p.server.mu.Lock()
		early := p.server.early[2]
		p.server.mu.Unlock()
		if early {
			break
		}
		runtime.Gosched()
	}
	p.call(2, frame.CallHead{Name: workerWaits.Name()}, "0")
	p.expect(frame.Failure, 2, `"canceled":true`)
	p.call(3, frame.CallHead{Name: workerWaits.Name(), Timeout: time.Millisecond}, "0")
	p.expect(frame.Failure, 3, `"deadline":true`)
}

func TestServer_LargeValuesGoByFile(t *testing.T) {
	p := newPipes(t, 1, func(int64) error { return nil })
	large := bytes.Repeat([]byte("large "), 1<<18)
	p.call(1, frame.CallHead{Name: workerEcho.Name(), File: p.file(large).ID}, "")
	typ, _, payload := p.receive()
	if typ != frame.Result || payload[0] != 1 {
		t.Fatalf("%d %.100q", typ, payload)
	}
	result, err := p.shared.Take(string(payload[1:]))
	if err != nil {
		t.Fatal(err)
	}
	defer result.Close()
	got, err := result.ReadAll(4 << 20)
	if err != nil || !bytes.Equal(got, large) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if _, err := result.ReadAll(10); err == nil {
		t.Error("a file beyond the limit was read")
	}
	streams := p.file(nil)
	p.call(2, frame.CallHead{Name: workerNotes.Name(), Input: p.file(large).ID, Output: streams.ID},
		`"output"`)
	p.expect(frame.Result, 2, "")
	if b, err := io.ReadAll(io.NewSectionReader(streams, 0, 10)); string(b) != "out" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}

func TestServer_RefusesWhatIsNoGreeting(t *testing.T) {
	for name, greeting := range map[string][]byte{
		"end":         nil,
		"other frame": frame.New(frame.Call, 0, []byte("{}")),
		"no JSON":     frame.New(frame.Hello, 0, []byte("x")),
	} {
		t.Run(name, func(t *testing.T) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			_, _ = w.Write(greeting)
			_ = w.Close()
			if err := newServer(r, nil, nil, nil).greet(func(int64) error { return nil }); err ==
				nil {
				t.Error("accepted")
			}
		})
	}
	for _, value := range []string{
		"", "3 1 3", "2 1 3 4 5 6 7 8 9", "3 1 0 0 0 0 0 0 0",
		"3 1 a b c d e f g",
	} {
		if err := workerMain(value, nil); err == nil {
			t.Errorf("marker %q accepted", value)
		}
	}
}

func TestServer_EndsOnGarbage(t *testing.T) {
	p := newPipes(t, 1, func(int64) error { return nil })
	p.send(p.in, frame.New(frame.Cancel, 1, nil)) // not on this pipe
	<-p.server.done
	if !errors.Is(p.server.err, frame.ErrMalformed) {
		t.Errorf("%v", p.server.err)
	}
}

func TestNewFunc_RefusesBadNames(t *testing.T) {
	for _, name := range []string{"", strings.Repeat("x", nameMax+1), workerEcho.Name()} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%q accepted", name)
				}
			}()
			NewFunc(name, func(context.Context, int) (int, error) { return 0, nil })
		}()
	}
}
