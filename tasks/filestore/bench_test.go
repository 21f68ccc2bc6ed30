package filestore_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/tasks/filestore"
)

// BenchmarkAdd adds tasks with 200-byte payloads, each acknowledged when it is on the disk, by 8
// submitters a CPU: to the store, and as one would do it at first, a line of a file and a sync for
// each.
func BenchmarkAdd(b *testing.B) {
	payload := []byte(`"` + strings.Repeat("x", 198) + `"`)
	b.Run("filestore", func(b *testing.B) {
		s := open(b, b.TempDir(), &filestore.Options{})
		each(b, func(id string) error {
			t := newTask(id)
			t.Payload = payload
			_, err := s.Add(b.Context(), t, noon, 0)
			return err
		})
	})
	b.Run("write+fsync", func(b *testing.B) {
		f, err := os.OpenFile(filepath.Join(b.TempDir(), "log"),
			os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		var mu sync.Mutex
		each(b, func(id string) error {
			t := newTask(id)
			t.Payload = payload
			line, err := json.Marshal(t)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			if _, err := f.Write(append(line, '\n')); err != nil {
				return err
			}
			return f.Sync()
		})
	})
}

func each(b *testing.B, add func(id string) error) {
	b.Helper()
	var n atomic.Int64
	b.SetParallelism(8)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := add(strconv.FormatInt(n.Add(1), 10)); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
