package proc

import (
	"fmt"
	"hash/crc32"
	"io"
	"os"
)

// ID tells apart two builds of the program where another may have taken the place of its file, and
// is "" where it cannot.
func ID() string { return programID(replaceable()) }

// programID tells apart two files of a program, by their length and their beginning, where the
// linker has put the build's own ID. It says nothing about times: to copy or touch a file makes no
// other program of it. No path is no file.
func programID(path string) string {
	if path == "" {
		return ""
	}
	f, err := os.Open(path)
	if err != nil {
		// a program may be executable and not readable, for the worker as for the parent
		return " unknown"
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return " unknown"
	}
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	if _, err := io.Copy(sum, io.LimitReader(f, 64<<10)); err != nil {
		return " unknown"
	}
	return fmt.Sprintf(" %d %08x", info.Size(), sum.Sum32())
}
