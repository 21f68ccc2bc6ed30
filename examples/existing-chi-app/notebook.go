package main

import "sync"

// notebook is what the app is about. It is safe for concurrent use.
type notebook struct {
	mu    sync.Mutex
	notes []string
}

func newNotebook(notes ...string) *notebook { return &notebook{notes: notes} }

func (b *notebook) get(number int) (text string, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if number < 1 || number > len(b.notes) {
		return "", false
	}
	return b.notes[number-1], true
}

func (b *notebook) add(text string) (number int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.notes = append(b.notes, text)
	return len(b.notes)
}
