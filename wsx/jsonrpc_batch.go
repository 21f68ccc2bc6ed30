package wsx

import (
	"fmt"
	"slices"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
	"github.com/genropy/genro-asgi-go/wsx/internal/outstanding"
	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// maxBatch is how many elements a batch may have by default: what ethers and others send at most
// unless they are told.
const maxBatch = 100

// A batch of which so much is no request that telling it one by one would take more than
// faultsRatio times its own length, and more than faultsFree bytes, is refused as a whole.
const (
	faultsRatio = 10
	faultsFree  = 512
)

// maxBatchReply is the longest answer to a batch in bytes. What does not fit is answered
// RESOURCE_EXHAUSTED.
const maxBatchReply = 1 << 20

// batch gathers the answers to a JSON-RPC batch, in whatever order they come.
type batch struct {
	// called once, with the whole array, when the last answer is there
	send     func(answer []byte, urgent bool)
	runAfter func(all []func(answered bool))
	conn     *Conn // nil for one that came by POST

	mu       lockorder.Mutex
	out      []byte
	ids      [][]byte // of the requests
	left     int      // answers that are to come
	reserved int      // bytes that refusing all of these would take
	after    []func(answered bool)
	held     outstanding.Reservation
}

// element is one of a batch, read.
type element struct {
	wire.Message
	fault wire.Fault
}

// answered reports whether the specification asks for an answer to it: a request, or what is no
// message at all.
func (e *element) answered() bool {
	if e.fault != wire.OK {
		return e.Type != wire.Response && e.Type != wire.Error
	}
	return e.Type == wire.Request
}

// batchRefusal is the answer to a batch as a whole: an error, and to whom.
type batchRefusal struct {
	err *Error
	// of its requests, each of which gets the error; none is an answer with an id of null
	ids [][]byte
}

// readBatch reads the elements of a batch, or says why none of it is served.
func readBatch(m *wire.Message, fault wire.Fault, most, depth int) ([]element, *batchRefusal) {
	if fault != wire.OK {
		return nil, &batchRefusal{err: jsonrpcFault(fault)}
	}
	n := 0
	for range wire.Elements(m.Raw) {
		n++
	}
	if n == 0 {
		return nil, &batchRefusal{err: &Error{Code: CodeInvalidRequest}}
	}
	if n > most {
		return nil, tooLong(m, most, depth)
	}
	elements := make([]element, 0, n)
	faults := 0
	for raw := range wire.Elements(m.Raw) {
		var e element
		if e.fault = e.Parse(raw, wire.Rules{Depth: depth, JSONRPC: true}); e.Batch() {
			e.fault = wire.NotMessage
		}
		if e.fault != wire.OK && e.answered() {
			faults += len(e.ID) + faultSize
		}
		elements = append(elements, e)
	}
	if faults > max(faultsFree, faultsRatio*len(m.Raw)) {
		return nil, &batchRefusal{err: &Error{Code: CodeInvalidRequest}}
	}
	return elements, nil
}

// tooLong refuses a batch of too many elements: each request in it is told so, as those who wait
// for an answer to one look for its id.
func tooLong(m *wire.Message, most, depth int) *batchRefusal {
	r := &batchRefusal{
		err: NewError(CodeInvalidRequest, fmt.Sprintf("a batch may have %d elements", most)),
	}
	for raw := range wire.Elements(m.Raw) {
		var e wire.Message
		if e.Parse(raw, wire.Rules{Depth: depth, JSONRPC: true}) == wire.OK &&
			e.Type == wire.Request && string(e.ID) != "null" {
			r.ids = append(r.ids, e.ID)
		}
	}
	return r
}

// answer is the refusal as the client gets it. What does not fit into an answer is left out.
func (r *batchRefusal) answer(appendErr func(dst, id []byte, e *Error) []byte) []byte {
	if len(r.ids) == 0 {
		return appendErr(nil, nil, r.err)
	}
	out := []byte{'['}
	for i, id := range r.ids {
		if i > 0 {
			out = append(out, ',')
		}
		if out = appendErr(out, id, r.err); len(out) > maxBatchReply {
			break
		}
	}
	return append(out, ']')
}

// faultSize is how long it takes, without an id, to say that an element is no request.
var faultSize = len(appendFault(nil))

func appendFault(dst []byte) []byte {
	// it has no details
	dst, _ = appendError(wire.JSONRPC, dst, nil, &Error{Code: CodeInvalidRequest})
	return append(dst, ',')
}

// newBatch returns what gathers the elements' answers.
func newBatch(elements []element) *batch {
	b := &batch{}
	for i := range elements {
		if e := &elements[i]; e.answered() {
			b.left++
			b.reserved += len(e.ID) + noRoomSize
			if e.Type == wire.Request && len(e.ID) > 0 && string(e.ID) != "null" {
				b.ids = append(b.ids, e.ID)
			}
		}
	}
	return b
}

// has reports whether the request with that id is one of the batch.
func (b *batch) has(id []byte) bool {
	return slices.ContainsFunc(b.ids,
		func(known []byte) bool { return string(known) == string(id) })
}

// errNoRoom is what is answered in place of an answer that the array has no room for; noRoomSize is
// its length, without its id.
var (
	errNoRoom = &Error{
		Code:    CodeResourceExhausted,
		Message: "the answer to the batch would be too long",
	}
	noRoomSize = len(appendNoRoom(nil, nil))
)

func appendNoRoom(dst, id []byte) []byte {
	dst, _ = appendError(wire.JSONRPC, dst, id, errNoRoom) // it has no details
	return append(dst, ',')
}

// lessLocked is for an answer that has come.
func (b *batch) lessLocked(id []byte) {
	if b.left--; b.left == 0 {
		b.reserved = 0
	} else {
		b.reserved -= len(id) + noRoomSize
	}
}

// skip is add for an element that turned out to want no answer.
func (b *batch) skip(id []byte) {
	b.mu.Lock()
	b.lessLocked(id)
	last := b.left == 0
	b.mu.Unlock()
	if last {
		b.finish(true)
	}
}

// holds makes room for an answer, which waits for the rest of its batch. There is room for so many
// whole batches on a connection.
func (b *batch) holds(n int) bool {
	return b.conn == nil || b.conn.outstanding.ReserveBatched(&b.held, n, maxBatched)
}

// maxBatched is what the answers of all unfinished batches of a connection may take in bytes.
const maxBatched = 4 * maxBatchReply

// add takes one answer, and what is to be called once it has been sent; nil is nothing. With
// urgent, whoever sends the array does not wait.
func (b *batch) add(id, answer []byte, then func(answered bool), urgent bool) {
	b.mu.Lock()
	fits := true
	b.out = append(b.out, ',')
	b.lessLocked(id)
	if len(b.out)+len(answer)+b.reserved < maxBatchReply && b.holds(len(answer)) {
		b.out = append(b.out, answer...)
	} else {
		b.out = appendNoRoom(b.out, id)
		b.out = b.out[:len(b.out)-1]
		fits = false
	}
	if then != nil {
		b.after = append(b.after, func(answered bool) { then(answered && fits) })
	}
	last := b.left == 0
	b.mu.Unlock()
	if last {
		b.finish(urgent)
	}
}

// finish sends the array, if there is anything in it.
func (b *batch) finish(urgent bool) {
	if len(b.out) > 0 {
		b.out[0] = '['
		b.out = append(b.out, ']')
	}
	b.send(b.out, urgent)
	if b.conn != nil {
		b.conn.outstanding.Release(&b.held)
	}
	if len(b.after) > 0 {
		b.runAfter(b.after)
	}
}
