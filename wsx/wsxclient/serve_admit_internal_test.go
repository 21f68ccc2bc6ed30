package wsxclient

import "testing"

// A place that a call is given at the moment at which its context ends, which nobody can tell
// apart, is not lost.
func TestServed_KeepsThePlaceOfACallThatEndsAsItGetsOne(t *testing.T) {
	var s served
	s.init(&link{client: &Client{opts: Options{MaxInFlight: 1}}})
	call := func(id string) *incoming {
		in := &incoming{served: &s, id: []byte(id), cancel: s.stop, ctx: s.ctx}
		if refusal := s.admit(in); refusal != nil {
			t.Fatal(refusal)
		}
		return in
	}
	runs, waits := call("runs"), make([]*incoming, 100)
	for i := range waits {
		waits[i] = call(string(rune('A' + i)))
	}
	s.stop()
	for _, in := range waits {
		s.finished(runs) // and so in has the place
		if !s.awaitPlace(in) {
			t.Fatal("the place is lost")
		}
		runs = in
	}
	s.finished(runs)
	if next := call("next"); next.place != nil {
		t.Error("there is no place any more")
	}
}
