package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
)

// client is a WebSocket client that costs little and the same whoever serves: what it sends is
// prepared, what it reads it returns where it lies. It is one goroutine's.
type client struct {
	nc   *net.TCPConn
	buf  []byte
	r, w int    // buf[r:w] is read and not yet returned
	rest []byte // lines of the message under way
}

// bufferSize is enough for what a server sends at once.
const bufferSize = 16 << 10

func dial(addr, path string) (*client, error) {
	var d net.Dialer
	nc, err := d.DialContext(context.Background(), "tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &client{nc: nc.(*net.TCPConn)}
	if err := c.handshake(addr, path); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *client) handshake(addr, path string) error {
	const request = "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: " +
		"websocket\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	if _, err := fmt.Fprintf(c.nc, request, path, addr); err != nil {
		return err
	}
	c.buf = make([]byte, 512)
	for {
		if err := c.fill(); err != nil {
			return err
		}
		if end := bytes.Index(c.buf[:c.w], []byte("\r\n\r\n")); end >= 0 {
			if head := string(c.buf[:end]); !strings.HasPrefix(head, "HTTP/1.1 101 ") ||
				!strings.Contains(head, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") {
				return fmt.Errorf("not upgraded: %.200s", head)
			}
			c.r = end + 4
			return nil
		}
	}
}

// close ends the connection without ceremony, and without leaving its port in TIME_WAIT.
func (c *client) close() {
	_ = c.nc.SetLinger(0)
	_ = c.nc.Close()
}

// fill reads more. The buffer grows to bufferSize with the first message and beyond it only for a
// message that needs it.
func (c *client) fill() error {
	if c.r > 0 {
		c.w = copy(c.buf, c.buf[c.r:c.w])
		c.r = 0
	}
	if c.w == len(c.buf) {
		c.buf = append(make([]byte, 0, max(bufferSize, 2*len(c.buf))), c.buf...)
		c.buf = c.buf[:cap(c.buf)]
	}
	n, err := c.nc.Read(c.buf[c.w:])
	c.w += n
	return err
}

var errClosed = errors.New("the server closed the connection")

// next returns the next message, or the next line of one that is several (centrifuge sends JSON
// lines), valid until the call after. It answers pings of either kind.
func (c *client) next() ([]byte, error) {
	for {
		for len(c.rest) > 0 {
			var line []byte
			line, c.rest, _ = bytes.Cut(c.rest, []byte{'\n'})
			switch {
			case len(line) == 0: // json.Encoder ends with one
			case string(line) == "{}": // centrifuge's ping
				if err := c.write(frame("{}")); err != nil {
					return nil, err
				}
			default:
				return line, nil
			}
		}
		head, size, ok := c.frame()
		if !ok {
			if err := c.fill(); err != nil {
				return nil, err
			}
			continue
		}
		payload := c.buf[c.r+head : c.r+head+size]
		op := c.buf[c.r]
		c.r += head + size
		switch op {
		case 0x81, 0x82:
			c.rest = payload
		case 0x88:
			return nil, fmt.Errorf("%w: %q", errClosed, payload)
		case 0x89:
			if err := c.write(maskedFrame(0x8a, payload)); err != nil {
				return nil, err
			}
		case 0x8a:
		default:
			return nil, fmt.Errorf("unexpected frame %#x", op)
		}
	}
}

// frame reports whether a whole frame is in the buffer.
func (c *client) frame() (head, size int, ok bool) {
	b := c.buf[c.r:c.w]
	if len(b) < 2 {
		return 0, 0, false
	}
	head, size = 2, int(b[1]&0x7f)
	switch {
	case size == 126 && len(b) >= 4:
		head, size = 4, int(binary.BigEndian.Uint16(b[2:]))
	case size == 127 && len(b) >= 10:
		head, size = 10, int(binary.BigEndian.Uint64(b[2:]))
	case size >= 126:
		return 0, 0, false
	}
	return head, size, len(b) >= head+size
}

// more reports whether next returns without reading.
func (c *client) more() bool {
	if len(c.rest) > 0 {
		return true
	}
	_, _, ok := c.frame()
	return ok
}

func (c *client) write(b []byte) error {
	_, err := c.nc.Write(b)
	return err
}

// ask sends a message and waits for its answer, which must not be an error.
func (c *client) ask(message string) error {
	if err := c.write(frame(message)); err != nil {
		return err
	}
	b, err := c.next()
	if err == nil && bytes.Contains(b, []byte(`"error":`)) {
		err = fmt.Errorf("%s: %s", message, b)
	}
	return err
}

// frame is a text message as a client sends it.
func frame(message string) []byte { return maskedFrame(0x81, []byte(message)) }

func maskedFrame(op byte, payload []byte) []byte {
	mask := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	b := appendHeader(nil, len(payload), 0x80)
	b[0] = op
	b = append(b, mask[:]...)
	for i, p := range payload {
		b = append(b, p^mask[i&3])
	}
	return b
}

// appendHeader appends the header of a text frame, without the mask.
func appendHeader(dst []byte, size int, maskBit byte) []byte {
	switch {
	case size < 126:
		return append(dst, 0x81, maskBit|byte(size))
	case size < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, 0x81, maskBit|126), uint16(size))
	}
	return binary.BigEndian.AppendUint64(append(dst, 0x81, maskBit|127), uint64(size))
}

// open connects to a contestant and says hello.
func (c *contestant) open(addr, path string) (*client, error) {
	ws, err := dial(addr, path)
	if err != nil {
		return nil, err
	}
	if c.hello != "" {
		if err := ws.ask(c.hello); err != nil {
			ws.close()
			return nil, err
		}
	}
	return ws, nil
}

// openFeed connects and subscribes.
func (c *contestant) openFeed(addr string) (*client, error) {
	ws, err := c.open(addr, c.feed)
	if err != nil {
		return nil, err
	}
	if c.subscribe != "" {
		if err := ws.ask(c.subscribe); err != nil {
			ws.close()
			return nil, err
		}
	}
	return ws, nil
}
