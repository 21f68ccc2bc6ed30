package frame

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
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
	f.Add([]byte{})
	f.Add([]byte{2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
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
