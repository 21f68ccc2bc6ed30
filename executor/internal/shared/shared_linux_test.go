package shared

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/genropy/genro-asgi-go/internal/leakcheck"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

// sides are both ends, the worker's in this process too.
func sides(t *testing.T) (parent, worker *Side) {
	t.Helper()
	parent, theirs, err := New("")
	if err != nil {
		t.Fatal(err)
	}
	var numbers []uintptr
	for _, f := range theirs {
		fd, err := syscall.Dup(int(f.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		numbers = append(numbers, uintptr(fd))
		_ = f.Close()
	}
	if worker, err = Open(numbers); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		worker.Close()
		parent.Close()
		parent.Release()
	})
	return parent, worker
}

func TestOpen_RefusesOtherDescriptors(t *testing.T) {
	if _, err := Open([]uintptr{3}); !errors.Is(err, ErrDescriptors) {
		t.Error(err)
	}
	if _, err := Open([]uintptr{1 << 20, 1 << 20}); err == nil {
		t.Error("descriptors that are not there were taken")
	}
}

func TestSide_FilesPassInAnyOrder(t *testing.T) {
	parent, worker := sides(t)
	var sent [2]*File
	for i, content := range []string{"first", "second"} {
		f, err := CreateFile("")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		sent[i] = f
		if _, err := f.WriteString(content); err != nil {
			t.Fatal(err)
		}
		if err := parent.Pass(f); err != nil {
			t.Fatal(err)
		}
	}
	second, err := worker.Take(sent[1].ID)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if b, err := second.ReadAll(6); string(b) != "second" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := second.ReadAll(5); err == nil {
		t.Error("a file beyond the limit was read")
	}
	if _, err := worker.Take("none of these"); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("a file that nobody passed: %v", err)
	}
	first, err := worker.Take(sent[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if b, err := io.ReadAll(first); string(b) != "first" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}

func TestFile_OfNoRegularFileIsRefused(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	f := &File{File: r}
	defer f.Close()
	if _, err := f.Size(10); !errors.Is(err, ErrFile) {
		t.Error(err)
	}
}

func TestBoard_OnlyOneOfBothGetsACall(t *testing.T) {
	parent, worker := sides(t)
	begun, withdrawn := parent.Queue(2), parent.Queue(2)
	if begun != 0 || withdrawn != 1 || parent.Queue(2) != NoSlot {
		t.Fatalf("slots %d and %d, and a third of two", begun, withdrawn)
	}
	if !worker.Begin(begun) || parent.Queued(begun) || parent.Withdraw(begun) {
		t.Error("a call that has begun may be withdrawn")
	}
	if !parent.Queued(withdrawn) || !parent.Withdraw(withdrawn) || parent.Withdraw(withdrawn) ||
		worker.Begin(withdrawn) {
		t.Error("a call that was withdrawn began")
	}
	parent.Free(begun)
	for _, want := range []uint8{0, 1, NoSlot} { // the worker has freed the other
		if got := parent.Queue(2); got != want {
			t.Errorf("slot %d, want %d", got, want)
		}
	}
	if !worker.Begin(NoSlot) || parent.Withdraw(NoSlot) || parent.Queued(NoSlot) ||
		parent.Mark(NoSlot) != 0 {
		t.Error("a call without a slot has always begun")
	}
	parent.Free(NoSlot)
	if worker.Begin(NoSlot - 1) {
		t.Error("a slot that is not there")
	}
}

// TestBoard_MarksWhatCameBefore has as standard error a pipe of this test: the worker's side looks
// at its descriptor 2, which here is the test's own.
func TestBoard_MarksWhatCameBefore(t *testing.T) {
	parent, worker := sides(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	own, err := syscall.Dup(2)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Dup3(int(w.Fd()), 2, 0); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = unix.Dup3(own, 2, 0), unix.Close(own) }()
	_, _ = w.WriteString("12345678")
	buf := make([]byte, 5)
	if n, err := parent.ReadErrors(r, buf); n != 5 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	slot := parent.Queue(1)
	worker.Begin(slot)
	if got := parent.Mark(slot); got != 8 {
		t.Errorf("the call began after %d bytes, want 8: 5 that were read and 3 in the pipe", got)
	}
}

func TestMakeDir_IsNotNeeded(t *testing.T) {
	dir, err := MakeDir()
	if dir != "" || err != nil {
		t.Errorf("%q, %v", dir, err)
	}
	parent, _ := sides(t)
	parent.SetDir(dir)
	if err := RemoveDir(dir); err != nil {
		t.Error(err)
	}
}

func TestSide_ThePageStaysForWhoRetainsIt(t *testing.T) {
	parent, _ := sides(t)
	parent.Retain()
	parent.Release()
	if slot := parent.Queue(1); slot != 0 { // else this memory is not there
		t.Errorf("slot %d", slot)
	}
}

// A message of a worker that brings no file is that worker's fault, and no word of this process's
// having too many open.
func TestSide_AMessageWithoutAFile(t *testing.T) {
	parent, worker := sides(t)
	if err := worker.message(func(fd int) error {
		return unix.Sendmsg(fd, []byte("1"), nil, nil, 0)
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := parent.Take("1"); !errors.Is(err, ErrFile) || errors.Is(err, unix.EMFILE) {
		t.Error(err)
	}
}

// A file that has a name in the file system is gone with its last use.
func TestFile_CloseRemovesIt(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "exchanged"))
	if err != nil {
		t.Fatal(err)
	}
	(&File{File: f, remove: f.Name()}).Close()
	if _, err := os.Stat(f.Name()); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
