package asgi

import (
	"context"
	"fmt"
	"sync"
)

// State is a set of typed values, of a request or of an app. The zero value is empty and ready; a
// nil *State is empty and cannot be set. It is safe for concurrent use; the values in it are as
// safe as they are themselves. It must not be copied.
type State struct {
	mu     sync.RWMutex
	values map[any]any // guarded by mu; by *Key
}

// Key names a value of type T in a State. Two keys are the same only if they are the same pointer:
// no other package can read or overwrite a value without the key.
type Key[T any] struct{ name string }

// NewKey makes a key. The name is for people only; it is usually kept in a package variable:
//
//	var userKey = asgi.NewKey[User]("user")
func NewKey[T any](name string) *Key[T] { return &Key[T]{name: name} }

// String is the key's name.
func (k *Key[T]) String() string { return k.name }

// Get is the value in s, and whether there is one.
func (k *Key[T]) Get(s *State) (T, bool) {
	if s == nil {
		var none T
		return none, false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	value, ok := s.values[k].(T)
	return value, ok
}

// Set puts a value into s, in place of one that is there.
func (k *Key[T]) Set(s *State, value T) {
	s.must(k.name)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set(k, value)
}

// GetOrSet is the value in s; where there is none, value is put there. Of concurrent callers only
// one sets.
func (k *Key[T]) GetOrSet(s *State, value T) T {
	s.must(k.name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.values[k].(T); ok {
		return old
	}
	s.set(k, value)
	return value
}

// Delete takes the value out of s, if there is one.
func (k *Key[T]) Delete(s *State) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.values, k)
}

// must panics where there is no state to set anything in.
func (s *State) must(key string) {
	if s == nil {
		panic(
			fmt.Sprintf(
				"asgi: key %q: the State is nil: AppState is that of a request which an App "+
					"serves, StateFrom that of one which "+
					"Handle or Respond serves", key))
	}
}

func (s *State) set(key, value any) {
	if s.values == nil {
		s.values = make(map[any]any)
	}
	s.values[key] = value
}

type (
	stateKey    struct{}
	appStateKey struct{}
)

// ContextWithState makes s the state of the request with this context, so that a middleware and the
// handler share it.
func ContextWithState(ctx context.Context, s *State) context.Context {
	return context.WithValue(ctx, stateKey{}, s)
}

// StateFrom is the state of the request: what ContextWithState put there, or else that of the
// Request the context belongs to. It is nil, hence empty, where there is neither.
func StateFrom(ctx context.Context) *State {
	s, _ := ctx.Value(stateKey{}).(*State)
	return s
}

// ContextWithAppState makes s the state of the app that serves requests with this context.
func ContextWithAppState(ctx context.Context, s *State) context.Context {
	return context.WithValue(ctx, appStateKey{}, s)
}

// AppState is the state of the app that serves the request with this context, nil, hence empty,
// outside of one.
func AppState(ctx context.Context) *State {
	s, _ := ctx.Value(appStateKey{}).(*State)
	return s
}
