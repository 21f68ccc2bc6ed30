package executor

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"
)

func FuzzReadFrame(f *testing.F) {
	f.Add(newFrame(frameCall, 7, []byte("payload")))
	f.Add(newFrame(frameHello, 0, nil))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{9, 0, 0, 0, 2, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bufio.NewReader(bytes.NewReader(data))
		rest := data
		for {
			typ, id, payload, err := readFrame(r, nil)
			// The oracle: what encoding/binary sees in the same bytes.
			whole := len(rest) >= frameHead
			length := uint32(0)
			if whole {
				length = binary.LittleEndian.Uint32(rest)
				whole = length >= 9 && length <= frameMax && rest[4] > 0 && frameType(rest[4]) < frameTypes && uint32(len(rest)-4) >= length
			}
			if whole != (err == nil) {
				t.Fatalf("whole %v, error %v", whole, err)
			}
			if err != nil {
				if errors.Is(err, io.EOF) != (len(rest) == 0) {
					t.Fatalf("%v with %d bytes left", err, len(rest))
				}
				return
			}
			if again := newFrame(typ, id, payload); !bytes.Equal(again, rest[:len(again)]) {
				t.Fatalf("%x became %x", rest, again)
			}
			rest = rest[4+length:]
		}
	})
}

func TestReadFrame_ChecksTheSizeBeforeItAllocates(t *testing.T) {
	head := newFrame(frameCall, 1, nil)
	binary.LittleEndian.PutUint32(head, 1<<31)
	allocated := testing.AllocsPerRun(10, func() {
		if _, _, _, err := readFrame(bufio.NewReaderSize(bytes.NewReader(head), 16), nil); !errors.Is(err, errFrame) {
			t.Fatal(err)
		}
	})
	if allocated > 10 { // the readers and the error
		t.Errorf("%v allocations", allocated)
	}
}

func FuzzParseCallHead(f *testing.F) {
	h := callHead{progress: true, timeout: time.Second, level: -4, name: "name", input: "3", file: "4"}
	f.Add(append(h.append(nil), "body"...))
	longest := callHead{name: strings.Repeat("n", math.MaxUint8), output: strings.Repeat("o", math.MaxUint8)}
	f.Add(append(longest.append(nil), "body"...))
	f.Add([]byte{})
	f.Add([]byte{2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		h, body, err := parseCallHead(data)
		if err != nil {
			return
		}
		if again := append(h.append(nil), body...); !bytes.Equal(again, data) {
			t.Fatalf("%x became %x", data, again)
		}
	})
}

func TestPipeWriter_JoinsWhatComesMeanwhile(t *testing.T) {
	r, w := io.Pipe()
	p := &pipeWriter{w: w}
	ended := make(chan error)
	go func() { ended <- p.write([]byte("one "), false) }()
	buf := make([]byte, 2)
	if _, err := io.ReadFull(r, buf); err != nil { // the first write is under way
		t.Fatal(err)
	}
	for _, s := range []string{"two ", "three "} {
		if err := p.write([]byte(s), s == "two "); err != nil {
			t.Fatal(err)
		}
	}
	rest := make([]byte, 64)
	n, _ := r.Read(rest)
	m, _ := r.Read(rest[n:])
	if got := string(buf) + string(rest[:n+m]); got != "one two three " {
		t.Errorf("%q", got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	r.CloseWithError(io.ErrClosedPipe)
	for range 2 {
		if err := p.write([]byte("lost"), false); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%v", err)
		}
	}
}

func TestHistogram_QuantilesAreAtMostAnEighthTooHigh(t *testing.T) {
	var h histogram
	if h.quantile(0.5) != 0 {
		t.Error("a quantile of nothing")
	}
	for i := 1; i <= 1000; i++ {
		h.add(time.Duration(i) * time.Microsecond)
	}
	for q, want := range map[float64]time.Duration{0.001: time.Microsecond, 0.5: 500 * time.Microsecond, 0.99: 990 * time.Microsecond, 1: time.Millisecond} {
		if got := h.quantile(q); got < want || got > want+want/8 {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	for range 10 * histogramFull { // the old ones fade
		h.add(time.Second)
	}
	if got := h.quantile(0.01); got < time.Second {
		t.Errorf("quantile 0.01 is still %v", got)
	}
	for d := range []time.Duration{-1, 0, 1, 7, 8, 1<<63 - 1} {
		i := bucketOf(uint64(d))
		if u := upper(i); u < time.Duration(d) {
			t.Errorf("bucket of %d ends at %d", d, u)
		}
	}
}

func TestStderrTail_KeepsTheEndAndFindsTheReport(t *testing.T) {
	s := &stderrTail{through: io.Discard, done: make(chan struct{})}
	report := "log line\npanic: early and not the one\n" + strings.Repeat("z", 3000) + "\nfatal error: all goroutines are asleep - deadlock!\n[signal SIGBUS: bus error code=0x1]\nSIGNED: not a signal line? no\n"
	s.copyFrom(io.MultiReader(strings.NewReader(report), strings.NewReader(strings.Repeat("t", 200<<10)), strings.NewReader("\nSIGQUIT: quit")))
	tail, reason, signal := s.report()
	if len(tail) != noteMax || !strings.HasSuffix(tail, "\nSIGQUIT: quit") || reason != "SIGQUIT: quit" || signal != "SIGQUIT" {
		t.Errorf("%d bytes, %q, %q", len(tail), reason, signal)
	}
}
