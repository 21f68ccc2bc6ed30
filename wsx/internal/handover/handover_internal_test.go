package handover

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// owner counts the readers that were made.
type owner struct{ readers atomic.Int32 }

func (o *owner) NewReader() { o.readers.Add(1) }

// newWatched is a reader and its watcher, whose goroutine is waited for at the end of the test.
func newWatched(t *testing.T) (*Reader, *owner) {
	t.Helper()
	var running sync.WaitGroup
	t.Cleanup(running.Wait)
	r, o := &Reader{}, &owner{}
	r.Open(o, &Watcher{Go: running.Go})
	return r, o
}

func TestPace_OneSlowCallIsNotASlowMethod(t *testing.T) {
	var p Pace
	p.Note(time.Second)
	if !p.Quick() {
		t.Error("one slow call makes a method slow")
	}
	p.Note(time.Second)
	p.Note(time.Second)
	if p.Quick() {
		t.Error("three slow calls leave a method quick")
	}
	for range 2 * quickAfter {
		p.Note(0)
	}
	if !p.Quick() {
		t.Error("a method that has been quick for long is slow")
	}
}

func TestReader_IsReplacedInALongCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, o := newWatched(t)
		state := r.Begin()
		<-time.After(2*watchTick + watchTick/2)
		synctest.Wait()
		if n := o.readers.Load(); n != 1 {
			t.Fatalf("%d readers were made", n)
		}
		r.Replace(state)
		if <-time.After(10 * watchTick); o.readers.Load() != 1 {
			t.Error("a reader was replaced twice in one call")
		}
		if r.End(state) {
			t.Error("a reader that was replaced goes on reading")
		}
		if next := r.Begin(); !r.End(next) {
			t.Error("the new reader is none")
		}
	})
}

func TestReader_StaysInShortCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, o := newWatched(t)
		for range 20 {
			state := r.Begin()
			<-time.After(watchTick - 1)
			if !r.End(state) {
				t.Fatal("a reader was replaced after a short call")
			}
		}
		if o.readers.Load() != 0 {
			t.Error("there are other readers")
		}
	})
}

func TestReader_IsReplacedWhereACallAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, o := newWatched(t)
		state := r.Begin()
		r.Replace(state)
		r.Replace(state)
		if r.End(state) || o.readers.Load() != 1 {
			t.Errorf("%d readers were made", o.readers.Load())
		}
		state = r.Begin()
		if !r.End(state) {
			t.Error("the new reader is none")
		}
		if r.Replace(state); o.readers.Load() != 1 {
			t.Error("a reader was replaced after its call")
		}
	})
}

// The watcher ends when nothing has happened for a while, and begins again with the next call.
func TestWatcher_IsThereWhileConnectionsAreActive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var starts, ends atomic.Int32
		w := &Watcher{Go: func(f func()) {
			starts.Add(1)
			go func() {
				defer ends.Add(1)
				f()
			}()
		}}
		r, o := &Reader{}, &owner{}
		r.Open(o, w)
		for n := range int32(3) {
			r.End(r.Begin())
			r.End(r.Begin())
			<-time.After(4 * watchTick)
			synctest.Wait()
			if starts.Load() != n+1 || ends.Load() != n+1 {
				t.Fatalf("%d starts, %d ends after %d calls", starts.Load(), ends.Load(), n+1)
			}
		}
	})
}
