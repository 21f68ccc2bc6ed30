package clientcall

import "context"

// Waiter is a call that is being served: the context that its handler gets has it for [WaiterKey].
type Waiter interface {
	// Waits says that the call waits for something that its peer has to send, or has to send for
	// another call to end, until the function that it returns is called. It does not count as in
	// flight meanwhile: what it waits for could never be read otherwise.
	Waits() (done func())
}

// WaiterKey is the key of the [Waiter] in a handler's context.
type WaiterKey struct{}

// Waits is the Waits of ctx's call, if there is one.
func Waits(ctx context.Context) (done func()) {
	if w, ok := ctx.Value(WaiterKey{}).(Waiter); ok {
		return w.Waits()
	}
	return func() {}
}
