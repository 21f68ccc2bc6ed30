package wsconn

import "runtime"

// yielding decides whether a read is worth a runtime.Gosched before it. While the processors are busy with other connections, the peer's next
// message often comes in the time that they take: that saves a read that finds nothing and the parking and waking of the goroutine, a fifth of
// what a short call costs. Where nothing comes it is for nothing, and on many processors it wakes one of them, so it goes by how it went.
//
// It pays when many connections do it at a time. So a try is several reads long: a busy server's connections find each other in theirs.
type yielding struct {
	luck  int8  // while it is above zero, reads follow a yield
	reads uint8 // since the last that did
	tried bool  // the read under way does
}

const (
	luckMost   = 16
	luckGain   = 2  // for a yield that paid, against 1 lost with one that did not
	tryLength  = 8  // yields that must pay nothing to end a try
	readsToTry = 64 // reads between two tries
)

// before is called before a read.
func (y *yielding) before() {
	if y.luck == 0 {
		if y.reads++; y.reads == readsToTry {
			y.reads, y.luck = 0, tryLength
		}
	}
	if y.tried = y.luck > 0; y.tried {
		runtime.Gosched()
	}
}

// after is called after it.
func (y *yielding) after(waited bool) {
	switch {
	case !y.tried:
	case waited:
		y.luck--
	default:
		y.luck = min(y.luck+luckGain, luckMost)
	}
}
