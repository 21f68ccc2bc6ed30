//go:build !unix

package filestore

import (
	"errors"
	"os"
)

const openFlags = 0

// flock cannot keep a second process out here, so there is no store.
func flock(*os.File) error { return errors.ErrUnsupported }

func isFull(error) bool { return false }
