package filestore

import "syscall"

// space is how many bytes of the file system are free for this user, and how many it has; known is
// false where it does not say.
func (d *directory) space() (free, total int64, known bool) {
	var fs syscall.Statfs_t
	err := syscall.Fstatfs(int(d.self.Fd()), &fs)
	if err != nil || fs.Blocks == 0 || fs.Bsize <= 0 {
		return 0, 0, false
	}
	block := int64(fs.Bsize) //nolint:unconvert // it has 32 bits on some machines
	most := uint64(1 << 62 / block)
	return int64(min(fs.Bavail, most)) * block, int64(min(fs.Blocks, most)) * block, true
}

// shares reports whether two directories are on one file system.
func (d *directory) shares(o *directory) bool {
	var a, b syscall.Stat_t
	return syscall.Fstat(int(d.self.Fd()), &a) == nil &&
		syscall.Fstat(int(o.self.Fd()), &b) == nil && a.Dev == b.Dev
}
