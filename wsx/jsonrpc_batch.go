package wsx

import (
	"slices"
	"sync"

	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// maxBatch is how many elements a batch may have by default.
const maxBatch = 20

// maxBatchReply is the longest answer to a batch in bytes. What does not fit is answered RESOURCE_EXHAUSTED.
const maxBatchReply = 1 << 20

// batch gathers the answers to a JSON-RPC batch, in whatever order they come.
type batch struct {
	send func(answer []byte) // called once, with the whole array, when the last answer is there
	then func(all []func(answered bool))

	mu       sync.Mutex
	out      []byte
	ids      [][]byte // of the requests
	left     int      // answers that are to come
	reserved int      // bytes that refusing all of these would take
	after    []func(answered bool)
}

// element is one of a batch, read.
type element struct {
	wire.Message
	fault wire.Fault
}

// answered reports whether the specification asks for an answer to it: a request, or what is no message at all.
func (e *element) answered() bool {
	if e.fault != wire.OK {
		return e.Type != wire.Response && e.Type != wire.Error
	}
	return e.Type == wire.Request
}

// readBatch reads the elements of a batch. The error is that of the batch as a whole.
func readBatch(m *wire.Message, fault wire.Fault, most, depth int) ([]element, *Error) {
	if fault != wire.OK {
		return nil, jsonrpcFault(fault)
	}
	n := 0
	for range wire.Elements(m.Raw) {
		if n++; n > most {
			return nil, NewError(CodeInvalidRequest, "the batch is too long")
		}
	}
	if n == 0 {
		return nil, &Error{Code: CodeInvalidRequest}
	}
	elements := make([]element, 0, n)
	for raw := range wire.Elements(m.Raw) {
		var e element
		if e.fault = e.Parse(raw, wire.Rules{Depth: depth, JSONRPC: true}); e.Batch() {
			e.fault = wire.NotMessage
		}
		elements = append(elements, e)
	}
	return elements, nil
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
	return slices.ContainsFunc(b.ids, func(known []byte) bool { return string(known) == string(id) })
}

// errNoRoom is what is answered in place of an answer that the array has no room for; noRoomSize is its length, without its id.
var (
	errNoRoom  = &Error{Code: CodeResourceExhausted, Message: "the answer to the batch would be too long"}
	noRoomSize = len(appendNoRoom(nil, nil))
)

func appendNoRoom(dst, id []byte) []byte {
	dst, _ = appendError(wire.JSONRPC, dst, id, errNoRoom) // it has no details
	return append(dst, ',')
}

// add takes one answer, and what is to be called once it has been sent; nil is nothing.
func (b *batch) add(id, answer []byte, then func(answered bool)) {
	b.mu.Lock()
	fits := true
	b.out = append(b.out, ',')
	if b.left--; b.left == 0 {
		b.reserved = 0
	} else {
		b.reserved -= len(id) + noRoomSize
	}
	if len(b.out)+len(answer)+b.reserved < maxBatchReply {
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
	if !last {
		return
	}
	b.out[0] = '['
	b.send(append(b.out, ']'))
	if len(b.after) > 0 {
		b.then(b.after)
	}
}
