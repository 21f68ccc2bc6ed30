package filestore_test

import (
	"context"
	"testing"

	"github.com/genropy/genro-asgi-go/tasks"
)

// TestStore_StoppedAnswersNothing: every method of a stopped store has an error.
func TestStore_StoppedAnswersNothing(t *testing.T) {
	s := open(t, t.TempDir(), small)
	if err := s.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	for method, call := range map[string]func() error{
		"Add": func() error { _, err := s.Add(ctx, newTask("a"), noon, 0); return err },
		"AddMany": func() error {
			_, err := s.AddMany(ctx, []*tasks.Task{newTask("a")}, noon, nil)
			return err
		},
		"Claim": func() error { _, err := s.Claim(ctx, claimOne()); return err },
		"Update": func() error {
			_, err := s.Update(ctx, "a", noon, func(*tasks.Task) error { return nil })
			return err
		},
		"Get":     func() error { _, err := s.Get(ctx, "a"); return err },
		"List":    func() error { _, _, err := s.List(ctx, nil); return err },
		"Expired": func() error { _, err := s.Expired(ctx, noon, 1); return err },
		"Delete":  func() error { return s.Delete(ctx, "a", 1, noon) },
		"Counts":  func() error { _, err := s.Counts(ctx); return err },
		"Watch":   func() error { _, err := s.Watch(func(*tasks.Task) {}); return err },
	} {
		if call() == nil {
			t.Errorf("%s of a stopped store has no error", method)
		}
	}
}
