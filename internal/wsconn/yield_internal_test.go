package wsconn

import "testing"

func TestYielding_GoesOnWhileItPaysAndTriesAgain(t *testing.T) {
	var y yielding
	yields := func(reads int, waited func(i int) bool) (n int) {
		for i := range reads {
			y.before()
			if y.tried {
				n++
			}
			y.after(waited(i))
		}
		return n
	}
	always := func(int) bool { return true }
	never := func(int) bool { return false }
	if n := yields(readsToTry-1, never); n != 0 {
		t.Errorf("%d yields before the first try", n)
	}
	if n := yields(tryLength, always); n != tryLength || y.luck != 0 {
		t.Errorf("a try in vain: %d yields, luck %d", n, y.luck)
	}
	if n := yields(10*(readsToTry-1+tryLength), always); n != 10*tryLength {
		t.Errorf("%d yields in 10 tries in vain", n)
	}
	if n := yields(readsToTry-1+1000, never); n != 1000 {
		t.Errorf("%d yields of 1,000 that paid", n)
	}
	if n := yields(999, func(i int) bool { return i%2 > 0 }); n != 999 {
		t.Errorf("%d yields of 999 of which every other paid", n)
	}
	if n := yields(1000, always); n != luckMost+13*tryLength {
		t.Errorf("%d yields of 1,000 in vain", n)
	}
}

func TestSilence_AddsUpOverWaits(t *testing.T) {
	var s silence
	if s.end() || s.lasted != 0 {
		t.Errorf("an end without a beginning: %v", s.lasted)
	}
	s.begin()
	since := s.since.Load()
	if s.begin(); since == 0 || s.since.Load() != since {
		t.Errorf("a wait that begins twice: %d, then %d", since, s.since.Load())
	}
	if !s.end() || s.since.Load() != 0 || s.lasted <= 0 {
		t.Errorf("after a wait: %v", s.lasted)
	}
	before := s.lasted
	s.begin()
	if s.end(); s.lasted <= before {
		t.Errorf("after another wait: %v, then %v", before, s.lasted)
	}
}
