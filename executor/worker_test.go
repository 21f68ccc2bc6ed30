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
	"testing"
	"time"

	"github.com/go-json-experiment/json"
)

// The worker's side in this process, where the race detector and the coverage see it.

var (
	workerEcho  = NewFunc("worker test: echo", func(_ context.Context, in []byte) ([]byte, error) { return in, nil })
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
		l.LogAttrs(ctx, slog.LevelInfo, "hello", slog.Float64("f", 1.5), slog.Float64("nan", nanValue()), slog.Duration("t", time.Second),
			slog.Any("empty", slog.GroupValue()), slog.Any("func", func() {}), slog.Any("err", errors.New("e")), slog.Attr{})
		l.Info("large", "x", strings.Repeat("x", noteMax))
		return 0, Progress(ctx, 1)
	})
)

func nanValue() float64 { zero := 0.0; return zero / zero }

// pipes is a worker in this process and the other ends of its pipes.
type pipes struct {
	t            *testing.T
	server       *server
	in, control  *os.File
	out          *bufio.Reader
	orphaned     chan struct{}
	welcomeError string
}

func newPipes(t *testing.T, calls int, apply func(hello) error) *pipes {
	t.Helper()
	var r, w [3]*os.File
	for i := range r {
		var err error
		if r[i], w[i], err = os.Pipe(); err != nil {
			t.Fatal(err)
		}
	}
	p := &pipes{t: t, in: w[0], control: w[2], out: bufio.NewReader(r[1]), orphaned: make(chan struct{})}
	p.server = newServer(r[0], w[1], r[2])
	body, err := json.Marshal(hello{Protocol: protocol, Build: buildID(), PID: os.Getpid(), MaxPayload: 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	p.send(p.in, newFrame(frameHello, 0, body))
	if err := p.server.greet(apply); err != nil {
		t.Fatal(err)
	}
	var answer welcome
	if typ, _, payload := p.receive(); typ != frameHello || json.Unmarshal(payload, &answer) != nil {
		t.Fatalf("%d %s", typ, payload)
	}
	p.welcomeError = answer.Error
	go p.server.listen(func() { close(p.orphaned) })
	for range calls {
		go p.server.serve()
	}
	t.Cleanup(func() {
		_ = p.in.Close()
		<-p.server.ended
		_ = p.control.Close()
		<-p.orphaned
		for i := range r {
			_, _ = r[i].Close(), w[i].Close()
		}
	})
	return p
}

func (p *pipes) send(f *os.File, frame []byte) {
	p.t.Helper()
	if _, err := f.Write(frame); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pipes) call(id uint64, h callHead, body string) {
	p.t.Helper()
	b := append(h.append(beginFrame(nil, frameCall, id)), body...)
	endFrame(b)
	p.send(p.in, b)
}

func (p *pipes) receive() (frameType, uint64, []byte) {
	p.t.Helper()
	typ, id, payload, err := readFrame(p.out, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	return typ, id, payload
}

func (p *pipes) expect(typ frameType, id uint64, part string) {
	p.t.Helper()
	if gotType, gotID, payload := p.receive(); gotType != typ || gotID != id || !strings.Contains(string(payload), part) {
		p.t.Errorf("got %d %d %.300q, want %d %d %q", gotType, gotID, payload, typ, id, part)
	}
}

func TestServer_AnswersEveryCall(t *testing.T) {
	p := newPipes(t, 1, func(hello) error { return nil })
	p.call(1, callHead{name: workerEcho.Name()}, "hello")
	p.expect(frameResult, 1, "\x00hello")
	p.call(2, callHead{name: "unknown"}, "")
	p.expect(frameFailure, 2, "NewFunc belongs into a package variable")
	p.send(p.in, newFrame(frameCall, 3, []byte{1}))
	p.expect(frameFailure, 3, "malformed frame")
	p.call(4, callHead{name: workerNotes.Name()}, `7`)
	p.expect(frameFailure, 4, "decode")
	p.call(5, callHead{name: workerNotes.Name()}, `"panic"`)
	p.expect(framePanic, 5, "panic")
	p.call(6, callHead{name: workerNotes.Name()}, `"goexit"`)
	p.expect(framePanic, 6, "Goexit")
	for id, bad := range []callHead{{input: "999999"}, {output: "x"}, {file: "999999"}} {
		bad.name = workerEcho.Name()
		p.call(uint64(7+id), bad, "")
		p.expect(frameFailure, uint64(7+id), "executor: ")
	}
}

func TestServer_Notes(t *testing.T) {
	p := newPipes(t, 1, func(hello) error { return errors.New("no limits here") })
	if p.welcomeError != "no limits here" {
		t.Errorf("%q", p.welcomeError)
	}
	p.call(1, callHead{name: workerNotes.Name(), progress: true}, `""`)
	p.expect(frameLog, 1, `"attrs":[{"key":"a.b","value":1},{"key":"g.f","value":1.5},{"key":"g.nan","value":"NaN"},{"key":"g.t","value":"1s"},{"key":"g.func","value":"0x`)
	p.expect(frameLog, 1, `attributes_dropped`)
	p.expect(frameProgress, 1, "1")
	p.expect(frameResult, 1, "\x000")
	p.call(2, callHead{name: workerNotes.Name(), level: 8}, `""`) // nobody wants any of it
	p.expect(frameResult, 2, "\x000")
	for i, how := range []string{`"too much progress"`, `"bad progress"`, `"output"`} {
		p.call(uint64(3+i), callHead{name: workerNotes.Name(), progress: true}, how)
		p.expect(frameFailure, uint64(3+i), "executor: ")
	}
}

func TestServer_CancelsBeforeAndAfterTheCallArrives(t *testing.T) {
	p := newPipes(t, 2, func(hello) error { return nil })
	p.call(1, callHead{name: workerWaits.Name()}, "0")
	for { // until it runs: a cancel may come earlier, which is the second case
		p.server.mu.Lock()
		runs := p.server.cancels[1] != nil
		p.server.mu.Unlock()
		if runs {
			break
		}
		runtime.Gosched()
	}
	p.send(p.control, newFrame(frameCancel, 1, nil))
	p.expect(frameFailure, 1, `"canceled":true`)
	p.send(p.control, newFrame(frameCancel, 2, nil))
	for {
		p.server.mu.Lock()
		early := p.server.early[2]
		p.server.mu.Unlock()
		if early {
			break
		}
		runtime.Gosched()
	}
	p.call(2, callHead{name: workerWaits.Name()}, "0")
	p.expect(frameFailure, 2, `"canceled":true`)
	p.call(3, callHead{name: workerWaits.Name(), timeout: time.Millisecond}, "0")
	p.expect(frameFailure, 3, `"deadline":true`)
}

func TestServer_LargeValuesGoByFile(t *testing.T) {
	p := newPipes(t, 1, func(hello) error { return nil })
	f, err := p.server.files.create()
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	large := bytes.Repeat([]byte("large "), 1<<18)
	if _, err := f.Write(large); err != nil {
		t.Fatal(err)
	}
	p.call(1, callHead{name: workerEcho.Name(), file: f.name}, "")
	typ, _, payload := p.receive()
	if typ != frameResult || payload[0] != 1 {
		t.Fatalf("%d %.100q", typ, payload)
	}
	got, err := p.server.files.readAll(os.Getpid(), string(payload[1:]), 4<<20)
	if err != nil || !bytes.Equal(got, large) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if _, err := p.server.files.readAll(os.Getpid(), string(payload[1:]), 10); err == nil {
		t.Error("a file beyond the limit was read")
	}
	p.send(p.control, newFrame(frameRelease, 1, nil))
	for {
		p.server.mu.Lock()
		held := len(p.server.held)
		p.server.mu.Unlock()
		if held == 0 {
			break
		}
		runtime.Gosched()
	}
	streams, err := p.server.files.create()
	if err != nil {
		t.Fatal(err)
	}
	defer streams.close()
	p.call(2, callHead{name: workerNotes.Name(), input: f.name, output: streams.name}, `"output"`)
	p.expect(frameResult, 2, "")
	if b, err := io.ReadAll(io.NewSectionReader(streams, 0, 10)); string(b) != "out" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}

func TestServer_RefusesWhatIsNoGreeting(t *testing.T) {
	for name, frame := range map[string][]byte{"end": nil, "other frame": newFrame(frameCall, 0, []byte("{}")), "no JSON": newFrame(frameHello, 0, []byte("x"))} {
		t.Run(name, func(t *testing.T) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			_, _ = w.Write(frame)
			_ = w.Close()
			if err := newServer(r, nil, nil).greet(func(hello) error { return nil }); err == nil {
				t.Error("accepted")
			}
		})
	}
	for _, value := range []string{"", "1 1 3", "2 1 3 4 5 6 7", "1 1 0 0 0 0 0"} {
		if err := workerMain(value); err == nil {
			t.Errorf("marker %q accepted", value)
		}
	}
}

func TestServer_EndsOnGarbage(t *testing.T) {
	p := newPipes(t, 1, func(hello) error { return nil })
	p.send(p.in, newFrame(frameCancel, 1, nil)) // not on this pipe
	<-p.server.ended
	if !errors.Is(p.server.err, errFrame) {
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
