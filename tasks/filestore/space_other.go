//go:build !linux

package filestore

// space is not known here: a file that finds none says so.
func (d *directory) space() (free, total int64, known bool) { return 0, 0, false }

// shares is not asked where space is not known.
func (d *directory) shares(*directory) bool { return false }
