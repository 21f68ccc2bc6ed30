package describe

import (
	"net/http"
	"reflect"
	"unsafe"
)

// Captured is the value that the function f has for a variable of its closure, for which like,
// another closure of the same code, has the sample. It is false where f is of other code, or where
// the sample is not found.
//
// This is how a handler is seen that is inside of a function: a method value h.ServeHTTP, and what
// chi's Mount makes. Nothing is called. Where in a closure a variable is, is the compiler's affair,
// so it is looked for in like first, whose value is known: closures of one code have one layout.
func Captured[T any](f, like http.HandlerFunc, sample T) (v T, ok bool) {
	if f == nil || reflect.ValueOf(f).Pointer() != reflect.ValueOf(like).Pointer() {
		return v, false
	}
	const word = unsafe.Sizeof(uintptr(0))
	for at := word; at <= 2*word; at += word { // behind the code, first or after one more pointer
		if sameWords(closureOf(like, at), unsafe.Pointer(&sample), unsafe.Sizeof(sample)/word) {
			return *(*T)(closureOf(f, at)), true
		}
	}
	return v, false
}

// closureOf is the place at an offset of a function's closure: a function is a pointer to it.
func closureOf(f http.HandlerFunc, at uintptr) unsafe.Pointer {
	return unsafe.Add(*(*unsafe.Pointer)(unsafe.Pointer(&f)), at)
}

func sameWords(a, b unsafe.Pointer, n uintptr) bool {
	for i := range n {
		at := i * unsafe.Sizeof(uintptr(0))
		if *(*uintptr)(unsafe.Add(a, at)) != *(*uintptr)(unsafe.Add(b, at)) {
			return false
		}
	}
	return true
}

// receiver is the handler h of a method value h.ServeHTTP, which is how a handler is given to a
// router that wants a function. It is nil where f is no such value.
func receiver(f http.HandlerFunc) http.Handler {
	var sample http.Handler = new(Next)
	if h, ok := Captured(f, sample.ServeHTTP, sample); ok {
		return h
	}
	function := http.HandlerFunc(sample.ServeHTTP)
	if h, ok := Captured(f, function.ServeHTTP, function); ok {
		return h
	}
	return nil
}
