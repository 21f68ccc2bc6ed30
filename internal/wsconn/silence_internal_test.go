package wsconn

import "testing"

func TestSilence_AddsUpOverWaits(t *testing.T) {
	var s silence
	if s.end(); s.lasted != 0 {
		t.Errorf("an end without a beginning: %v", s.lasted)
	}
	s.begin()
	since := s.since.Load()
	if s.begin(); since == 0 || s.since.Load() != since {
		t.Errorf("a wait that begins twice: %d, then %d", since, s.since.Load())
	}
	if s.end(); s.since.Load() != 0 || s.lasted <= 0 {
		t.Errorf("after a wait: %v", s.lasted)
	}
	before := s.lasted
	s.begin()
	if s.end(); s.lasted <= before {
		t.Errorf("after another wait: %v, then %v", before, s.lasted)
	}
}
