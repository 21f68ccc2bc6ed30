package frame

import (
	"errors"
	"io"
	"testing"
)

func TestWriter_JoinsWhatComesMeanwhile(t *testing.T) {
	r, w := io.Pipe()
	p := NewWriter(w)
	ended := make(chan error)
	go func() { ended <- p.Write([]byte("one "), false) }()
	buf := make([]byte, 2)
	if _, err := io.ReadFull(r, buf); err != nil { // the first write is under way
		t.Fatal(err)
	}
	for _, s := range []string{"two ", "three "} {
		if err := p.Write([]byte(s), s == "two "); err != nil {
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
		if err := p.Write([]byte("lost"), false); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%v", err)
		}
	}
}
