package throttle_test

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/tasks/internal/throttle"
)

// listener takes its time for each value, and can fail.
type listener struct {
	takes time.Duration
	err   error

	mu    sync.Mutex
	heard []int
	at    []time.Duration
	begun time.Time
	work  sync.WaitGroup
}

func (l *listener) Tell(v *int) error {
	l.mu.Lock()
	l.heard, l.at = append(l.heard, *v), append(l.at, time.Since(l.begun))
	l.mu.Unlock()
	<-time.After(l.takes)
	return l.err
}

func (l *listener) After(d time.Duration, f func()) (stop func() bool) {
	return time.AfterFunc(d, f).Stop
}

func (l *listener) Start(f func() error) { l.work.Go(func() { _ = f() }) }

// TestThrottle_HandsOnTheLatest: of a value each millisecond one comes in an interval, which begins
// when the one before was handed on.
func TestThrottle_HandsOnTheLatest(t *testing.T) {
	for takes, want := range map[time.Duration][]time.Duration{
		0:                    {0, 100, 200, 300},
		7 * time.Millisecond: {0, 107, 214, 321},
	} {
		synctest.Test(t, func(t *testing.T) {
			l := &listener{takes: takes, begun: time.Now()}
			var said throttle.Throttle[int]
			for i := range 350 {
				if err := said.Say(l, &i); err != nil {
					t.Error(err)
				}
				<-time.After(time.Until(l.begun.Add(time.Duration(i+1) * time.Millisecond)))
				synctest.Wait()
			}
			left := said.End()
			<-time.After(time.Hour)
			l.work.Wait()
			for i, at := range l.at {
				l.at[i] = at / time.Millisecond
			}
			if !slices.Equal(l.at, want) || left == nil || *left != 349 || l.heard[0] != 0 {
				t.Errorf("heard %v at %v, want at %v; left %v", l.heard, l.at, want, left)
			}
		})
	}
}

func TestThrottle_Ends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, v := &listener{begun: time.Now(), err: errors.New("no")}, 1
		var said throttle.Throttle[int]
		if err := said.Say(l, &v); !errors.Is(err, l.err) || said.Ended() {
			t.Errorf("the receiver's error: %v", err)
		}
		if left := said.End(); left != nil || !said.Ended() {
			t.Errorf("%v is left of what was handed on", *left)
		}
		if err := said.Say(l, &v); !errors.Is(err, throttle.ErrEnded) {
			t.Errorf("after its end: %v", err)
		}
		<-time.After(time.Hour)
		if len(l.heard) != 1 {
			t.Errorf("heard %v", l.heard)
		}
	})
}

// TestThrottle_EndsWhileOneIsHandedOn: what is being handed on may not arrive, so it is left too.
func TestThrottle_EndsWhileOneIsHandedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, v := &listener{begun: time.Now(), takes: time.Second}, 1
		var said throttle.Throttle[int]
		l.Start(func() error { return said.Say(l, &v) })
		synctest.Wait()
		if left := said.End(); left != &v {
			t.Errorf("left %v", left)
		}
		l.work.Wait()
	})
}
