package frame

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"maps"
	"math"
	"strings"
	"testing"
	"time"
)

func FuzzRead(f *testing.F) {
	f.Add(New(Call, 7, []byte("payload")))
	f.Add(New(Hello, 0, nil))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{9, 0, 0, 0, 2, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bufio.NewReader(bytes.NewReader(data))
		rest := data
		for {
			typ, id, payload, err := Read(r, nil)
			// The oracle: what encoding/binary sees in the same bytes.
			whole := len(rest) >= HeadSize
			length := uint32(0)
			if whole {
				length = binary.LittleEndian.Uint32(rest)
				whole = length >= 9 && length <= maxLength && rest[4] > 0 &&
					Type(rest[4]) < Types && uint32(len(rest)-4) >= length
			}
			if whole != (err == nil) {
				t.Fatalf("whole %v, error %v", whole, err)
			}
			if err != nil {
				if errors.Is(err, io.EOF) != (len(rest) == 0) {
					t.Fatalf("%v with %d bytes left", err, len(rest))
				}
				return
			}
			if again := New(typ, id, payload); !bytes.Equal(again, rest[:len(again)]) {
				t.Fatalf("%x became %x", rest, again)
			}
			rest = rest[4+length:]
		}
	})
}

func TestRead_ChecksTheSizeBeforeItAllocates(t *testing.T) {
	head := New(Call, 1, nil)
	binary.LittleEndian.PutUint32(head, 1<<31)
	allocated := testing.AllocsPerRun(10, func() {
		if _, _, _, err := Read(bufio.NewReaderSize(bytes.NewReader(head), 16),
			nil); !errors.Is(err, ErrMalformed) {
			t.Fatal(err)
		}
	})
	if allocated > 10 { // the readers and the error
		t.Errorf("%v allocations", allocated)
	}
}

func FuzzParseMeta(f *testing.F) {
	meta, _ := AppendMeta(nil, map[string]string{"key": "value", "\xff": "\x00"})
	f.Add(meta)
	f.Add([]byte{0, 0, 0, 0, 1, 0, 'a', 0, 0})
	f.Add([]byte{1, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		meta, err := ParseMeta(data)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		size := 0
		for key, value := range meta {
			size += 4 + len(key) + len(value)
		}
		again, ok := AppendMeta(nil, meta)
		if ok != (size <= MaxMeta) || ok && len(again) != size || size > len(data) {
			t.Fatalf("%d bytes of %x became %t, %x", size, data, ok, again)
		}
		if back, err := ParseMeta(again); ok && (err != nil || !maps.Equal(meta, back)) {
			t.Fatalf("%q became %q, %v", meta, back, err)
		}
	})
}

// The limit holds to the byte, and a head without meta has not a byte for it.
func TestAppendMeta_HasALimit(t *testing.T) {
	for size, want := range map[int]bool{MaxMeta - 4 - 1: true, MaxMeta - 4: false} {
		b, ok := AppendMeta([]byte("x"), map[string]string{"k": strings.Repeat("v", size)})
		if ok != want || ok && len(b) != 1+MaxMeta || !ok && string(b) != "x" {
			t.Errorf("%d bytes: %t, %d appended", size, ok, len(b))
		}
	}
	h := CallHead{Name: "name"}
	if got := len(h.Append(nil)); got != 11+4+len(h.Name) {
		t.Errorf("%d bytes without meta", got)
	}
	h.Meta = make([]byte, MaxMeta+1)
	if _, _, err := ParseCallHead(h.Append(nil)); !errors.Is(err, ErrMalformed) {
		t.Errorf("more than the limit: %v", err)
	}
}

func FuzzParseCallHead(f *testing.F) {
	h := CallHead{
		Progress: true, Timeout: time.Second, Level: -4, Name: "name", Input: "3",
		File: "4",
	}
	f.Add(append(h.Append(nil), "body"...))
	longest := CallHead{
		Name:   strings.Repeat("n", math.MaxUint8),
		Output: strings.Repeat("o", math.MaxUint8),
	}
	f.Add(append(longest.Append(nil), "body"...))
	meta, _ := AppendMeta(nil, map[string]string{"key": "value", "": ""})
	withMeta := CallHead{Name: "name", Meta: meta}
	f.Add(append(withMeta.Append(nil), "body"...))
	f.Add([]byte{})
	f.Add([]byte{3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		h, body, err := ParseCallHead(data)
		if err != nil {
			return
		}
		if again := append(h.Append(nil), body...); !bytes.Equal(again, data) {
			t.Fatalf("%x became %x", data, again)
		}
	})
}
