package wsx

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"time"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
)

// What is to run waits while as many calls of its connection run as may, and the connection is read
// on: a cancellation, an answer, a ping or the connection's end stands behind it. Only when there
// is no room for waiting either does the reading stop, and never for long.
const (
	maxWaitingBytes = 1 << 20     // of messages that wait
	maxRoomWait     = time.Second // for room among those that wait
)

// callTable is the calls of one connection: those that run, at most ServerOptions.MaxInFlight and
// those of them that wait for their client, and those that wait until one more may run, at most
// ServerOptions.MaxWaiting.
type callTable struct {
	conn *Conn

	// The lock may be taken while Conn.mu is held, and call.mu while this one is.
	mu           lockorder.Mutex
	running      []*call
	paused       int // of those that run: they wait for something from the client and do not count
	waiting      []*call
	waitingBytes int           // of the messages of those that wait
	starting     bool          // a goroutine is in startWaiting: what comes waits behind those
	room         chan struct{} // closed when there is more room; nil while nobody asks
	batches      []*batch      // whose answer is not sent yet
	draining     bool          // takes no new calls
	closed       bool          // the connection is closed, or about to be
	idle         chan struct{} // closed when none runs any more; nil while nobody waits

	// The reader's own, which alone admits calls.

	// Since when calls have found no room to wait, time and again; zero once one found half of it
	// free. A request is not waited for when that is maxRoomWait ago.
	fullSince time.Time
	// The reader has waited for room for maxRoomWait in vain, and there has been none since: it
	// does not wait for it again.
	stuck      bool
	dropLogged struct{ overloaded, paused bool } // bursts of dropped notifications, see logDropped
	lastWaited bool                              // the last call had to wait
}

// errOverloaded is what a request gets that neither runs nor waits.
var errOverloaded = &Error{
	Code: CodeUnavailable, Message: "too many requests of this connection wait",
	Details: retryDetails{RetryAfterMS: maxRoomWait.Milliseconds()},
}

// errManyPaused is what a request gets while as many calls run and are paused as may be together.
var errManyPaused = &Error{
	Code: CodeResourceExhausted, Message: "too many requests wait for this client",
}

// errStopping is what a request gets that came too late to run.
var errStopping = &Error{Code: CodeUnavailable, Message: "the server is shutting down"}

// admit takes a call in: to run at once, or to run when there is room. The error says why it does
// neither; it is net.ErrClosed when nobody is there to be told. Only the reader calls it.
func (t *callTable) admit(k *call) (now bool, err error) {
	for {
		now, full, err := t.tryAdmit(k)
		if full == nil {
			return now, err
		}
		if !t.awaitRoom(k, full) {
			return false, errOverloaded
		}
	}
}

// tryAdmit is admit without waiting. full is closed when there is room for the call; it is nil when
// the rest is the result.
func (t *callTable) tryAdmit(k *call) (now bool, full <-chan struct{}, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	opts := &t.conn.server.opts
	switch {
	case t.closed:
		return false, nil, net.ErrClosed
	case t.draining:
		return false, nil, errStopping
	case len(t.running) >= opts.MaxInFlight+opts.MaxCalls:
		// Those that are paused do not count against MaxInFlight, and end when the client pleases:
		// without this bound it could have any number of handlers by sending none of what they wait
		// for.
		return false, nil, errManyPaused
	case t.findLocked(k.id) != nil || len(t.batches) > 0 && t.batchedLocked(k):
		return false, nil, NewError(CodeInvalidRequest, "a request with this id is in flight")
	case len(t.waiting) == 0 && !t.starting && t.mayRunLocked():
		t.noteRoomLocked()
		t.running = append(t.running, k)
		t.lastWaited = false
		return true, nil, nil
	case t.mayWaitLocked(k):
		t.noteRoomLocked()
		t.waiting = append(t.waiting, k)
		t.waitingBytes += k.size
		t.lastWaited = true
		return false, nil, nil
	}
	if t.room == nil {
		t.room = make(chan struct{})
	}
	return false, t.room, nil
}

// mayRunLocked reports whether one more call may run.
func (t *callTable) mayRunLocked() bool {
	return len(t.running)-t.paused < t.conn.server.opts.MaxInFlight
}

// mayWaitLocked reports whether there is room for one more call that waits.
func (t *callTable) mayWaitLocked(k *call) bool {
	return len(t.waiting) < t.conn.server.opts.MaxWaiting &&
		(t.waitingBytes+k.size <= maxWaitingBytes || len(t.waiting) == 0)
}

// noteRoomLocked forgets that there was no room, as far as it is not so any more: a call is let in.
func (t *callTable) noteRoomLocked() {
	opts := &t.conn.server.opts
	t.stuck, t.dropLogged.overloaded = false, false
	if len(t.waiting) <= opts.MaxWaiting/2 && t.waitingBytes <= maxWaitingBytes/2 {
		t.fullSince = time.Time{}
	}
	if len(t.running) <= opts.MaxInFlight+opts.MaxCalls/2 {
		t.dropLogged.paused = false
	}
}

// awaitRoom waits for room among those that wait. It reports false when there is none to be had
// soon enough: for a request, which is told, within a second in a row; for a notification, which
// nobody could send again, as long as calls end at all.
func (t *callTable) awaitRoom(k *call, room <-chan struct{}) bool {
	if t.fullSince.IsZero() {
		t.fullSince = time.Now()
	}
	left := maxRoomWait
	if !k.req.Notify {
		left = maxRoomWait - time.Since(t.fullSince)
	}
	if t.stuck || left <= 0 {
		return false
	}
	t.conn.ws.Flush() // the client may wait for just these answers
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-room:
		return true
	case <-t.conn.ws.Done():
		return true // it is over, which the next look tells
	case <-timer.C:
	}
	t.stuck = true
	return false
}

// refuse is the end of a call that was not taken in.
func (t *callTable) refuse(k *call, err error) {
	if k.timer != nil {
		k.timer.Stop()
	}
	first := k.cancel(context.Canceled)
	switch e, told := errors.AsType[*Error](err); {
	case !told: // the connection has ended
	case k.req.Notify:
		t.logDropped(k, e)
	case first:
		k.fail(e)
	}
}

// logDropped logs that a notification was not taken in, as nobody else learns of it. Of a burst for
// want of room it logs the first. A burst ends when a call finds room again, one of errManyPaused
// when a call comes while half of the room is free.
func (t *callTable) logDropped(k *call, e *Error) {
	var logged *bool
	switch e {
	case errOverloaded:
		logged = &t.dropLogged.overloaded
	case errManyPaused:
		logged = &t.dropLogged.paused
	default: // the server is shutting down, which its client is told
		t.conn.logError(k.method.Name, e, e, "")
		return
	}
	if !*logged {
		*logged = true
		t.conn.server.log.LogAttrs(t.conn.ctx, slog.LevelWarn,
			"wsx: notifications dropped: "+e.Message, t.conn.attr(),
			slog.String("method", k.method.Name))
	}
}

// startWaiting starts those that wait, in their order and as far as there is room.
func (t *callTable) startWaiting() {
	for k := t.nextWaiting(false); k != nil; k = t.nextWaiting(true) {
		k.enterQueue()
		go k.run(false)
	}
}

// nextWaiting makes the first of those that wait one that runs, if there is room. starting says
// that the caller is who takes them up; it is nobody once there is none.
func (t *callTable) nextWaiting(starting bool) *call {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.starting && !starting {
		return nil // whoever does it looks again
	}
	if t.starting = len(t.waiting) > 0 && t.mayRunLocked() && !t.closed; !t.starting {
		return nil
	}
	k := t.waiting[0]
	t.removeWaitingLocked(0)
	t.running = append(t.running, k)
	return k
}

// removeWaitingLocked takes a call out of those that wait.
func (t *callTable) removeWaitingLocked(i int) {
	t.waitingBytes -= t.waiting[i].size
	if t.waiting = slices.Delete(t.waiting, i, i+1); len(t.waiting) == 0 {
		t.waiting = nil
	}
	if t.room != nil {
		close(t.room)
		t.room = nil
	}
}

// removeWaiting takes a call that has ended early out of those that wait, and reports whether it
// was one.
func (t *callTable) removeWaiting(k *call) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.Index(t.waiting, k)
	if i >= 0 {
		t.removeWaitingLocked(i)
	}
	return i >= 0
}

// refuseWaiting ends what waits: with an error, or without a word when that is nil.
func (t *callTable) refuseWaiting(e *Error) {
	t.mu.Lock()
	calls := slices.Clone(t.waiting)
	t.mu.Unlock()
	for _, k := range calls {
		if k.timer != nil {
			k.timer.Stop()
		}
		if e != nil {
			k.endEarly(context.Canceled, e)
			continue
		}
		k.cancel(context.Canceled)
		t.removeWaiting(k)
	}
}

// pause says that a call waits for something that its client has to send. It does not count until
// resume is called as often.
func (t *callTable) pause(k *call) {
	t.mu.Lock()
	if !k.finished {
		if k.pauses == 0 {
			t.paused++
		}
		k.pauses++
	}
	next := len(t.waiting) > 0
	t.mu.Unlock()
	if next {
		t.startWaiting()
	}
}

func (t *callTable) resume(k *call) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if k.finished {
		return
	}
	if k.pauses--; k.pauses == 0 {
		t.paused--
	}
}

// find returns the call whose id that is, or nil. An id is in flight until its request is answered,
// also while that waits or is paused.
func (t *callTable) find(id []byte) *call {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.findLocked(id)
}

func (t *callTable) findLocked(id []byte) *call {
	if id == nil || id[0] == 'n' { // null, which JSON-RPC allows, tells no request from another
		return nil
	}
	for _, calls := range [...][]*call{t.running, t.waiting} { // few: shorter than a map would take
		for _, k := range calls {
			if !k.idFree && string(k.id) == string(id) {
				return k
			}
		}
	}
	return nil
}

// freeID makes a call's id free for the next request. It comes before the answer: who has read that
// may send the next at once.
func (t *callTable) freeID(k *call) {
	t.mu.Lock()
	k.idFree = true
	t.mu.Unlock()
}

// finish is the end of a call whose handler has returned.
func (t *callTable) finish(k *call) {
	t.mu.Lock()
	if i := slices.Index(t.running, k); i >= 0 {
		last := len(t.running) - 1
		t.running[i], t.running[last] = t.running[last], nil
		t.running = t.running[:last]
	}
	k.finished = true
	if k.pauses > 0 { // in a goroutine that the handler left behind
		t.paused--
	}
	if len(t.running) == 0 && t.idle != nil {
		close(t.idle)
		t.idle = nil
	}
	next := len(t.waiting) > 0
	t.mu.Unlock()
	if next {
		t.startWaiting()
	}
}

// close lets no call begin any more.
func (t *callTable) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
}

// drain takes no new calls from now on, and refuses those that wait. It returns what is closed when
// the last one has ended, nil when there is none.
func (t *callTable) drain() <-chan struct{} {
	t.mu.Lock()
	t.draining = true
	t.mu.Unlock()
	t.refuseWaiting(errStopping)
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.running) > 0 && t.idle == nil {
		t.idle = make(chan struct{})
	}
	return t.idle
}

// cancel cancels what runs and what waits when the connection has ended: there is nobody left to
// answer.
func (t *callTable) cancel() {
	t.refuseWaiting(nil)
	t.mu.Lock()
	calls := slices.Clone(t.running)
	t.mu.Unlock()
	for _, k := range calls {
		k.cancel(context.Canceled)
	}
}

// cancelSubscribing cancels the calls that came before k and subscribe to its channel, and are not
// answered yet. It returns how many there were.
func (t *callTable) cancelSubscribing(k *call) (n int) {
	t.mu.Lock()
	var early []*call
	for _, other := range slices.Concat(t.running, t.waiting) {
		if other.method == t.conn.server.subscribe && other.order < k.order &&
			other.isFor(k.channel) {
			early = append(early, other)
		}
	}
	t.mu.Unlock()
	for _, other := range early {
		if other.endEarly(context.Canceled, &Error{Code: CodeCancelled}) {
			n++
		}
	}
	return n
}

// openBatch keeps a batch until its answer is sent.
func (t *callTable) openBatch(b *batch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.batches = append(t.batches, b)
}

// closeBatch makes the ids of a batch free again: its answer follows.
func (t *callTable) closeBatch(b *batch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.Index(t.batches, b); i >= 0 {
		t.batches = slices.Delete(t.batches, i, i+1)
	}
}

// takeBatches takes the batches that the end of the connection has left unfinished.
func (t *callTable) takeBatches() []*batch {
	t.mu.Lock()
	defer t.mu.Unlock()
	left := t.batches
	t.batches = nil
	return left
}

// batchedLocked reports whether the id of k is that of a request in a batch, another than its own,
// that is not answered yet.
func (t *callTable) batchedLocked(k *call) bool {
	for _, b := range t.batches {
		if k.id != nil && b != k.batch && b.has(k.id) {
			return true
		}
	}
	return false
}
