package filestore

import (
	"errors"
	"io"
	"testing"
)

type brokenFile struct{ err error }

func (f brokenFile) ReadAt([]byte, int64) (int, error) { return 0, f.err }

// A disk that cannot be read is not the end of a segment.
func TestCopyFrames_TellsOfABrokenDisk(t *testing.T) {
	broken := errors.New("broken disk")
	if _, err := copyFrames(t.Context(), io.Discard,
		io.NewSectionReader(brokenFile{broken}, 0, 1000), 1, 2); !errors.Is(err, broken) {
		t.Error(err)
	}
}
