package proc

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestProgramID_IsTheContentAndNotTheTimes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "program")
	write := func(b []byte) string {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return programID(path)
	}
	content := bytes.Repeat([]byte("program "), 20_000)
	first := write(content)
	if err := os.Chtimes(path, time.Unix(1, 0), time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if again := programID(path); again != first {
		t.Errorf("%q became %q when it was touched", first, again)
	}
	changed := bytes.Clone(content)
	changed[100] = 'P'
	for name, other := range map[string]string{
		"other content": write(changed),
		"longer":        write(append(content, 'x')), "missing": programID(path + "x"),
		"none": programID(""),
	} {
		if other == first {
			t.Errorf("%s: the same %q", name, other)
		}
	}
}
