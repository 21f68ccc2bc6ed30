package faults_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/tasks/internal/faults"
)

// TestLog_IsQuietAboutWhatLasts: an hour of failures is six lines and one, and each fault has waits
// of its own.
func TestLog_IsQuietAboutWhatLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		log := faults.New(slog.New(slog.NewTextHandler(&text, nil)), "store: ")
		log.Over("read") // it was never met
		var waits []time.Duration
		times := 0
		for begun := time.Now(); time.Since(begun) < time.Hour; times++ {
			wait := log.Met("write", errors.New("disk"), "task", 7)
			waits = append(waits, wait)
			<-time.After(wait)
		}
		if wait := log.Met("read", errors.New("disk")); wait != faults.RetryDelay {
			t.Errorf("another fault waits for %v", wait)
		}
		for i, want := range []int{1, 2, 4, 8, 15, 15} {
			if waits[i] != time.Duration(want)*time.Second {
				t.Errorf("wait %d is %v, want %v s", i, waits[i], want)
			}
		}
		log.Over("write")
		log.Over("write")
		got := text.String()
		for line, want := range map[string]int{
			`level=ERROR msg="store: cannot write" task=7 error=disk`: 6,
			`msg="store: cannot read"`:                                1,
			`level=INFO msg="store: again able to write" failures=`:   1,
			`msg="store: again able to read"`:                         0,
		} {
			if n := strings.Count(got, line); n != want {
				t.Errorf("%q: %d lines, want %d, of\n%s", line, n, want, got)
			}
		}
		if times < 200 || log.Met("write", errors.New("disk")) != faults.RetryDelay {
			t.Errorf("after its end it begins anew; %d times", times)
		}
	})
}
