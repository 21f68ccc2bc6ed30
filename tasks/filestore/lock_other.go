//go:build !unix

package filestore

import (
	"errors"
	"os"
)

// lock cannot keep a second process out here, so there is no store.
func lock(string) (*os.File, error) { return nil, errors.ErrUnsupported }

func isFull(error) bool { return false }

func syncDir(string) error { return errors.ErrUnsupported }
