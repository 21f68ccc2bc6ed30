package wsxtest

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha1" // RFC 6455 section 4.2.2
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"
)

// The opcodes (RFC 6455 section 5.2).
const (
	opContinuation = 0
	opText         = 1
	opBinary       = 2
	opClose        = 8
	opPing         = 9
	opPong         = 10
)

// noCode is the close code of a close frame without one (RFC 6455 section 7.1.5).
const noCode = 1005

// maxServerFrame bounds what a server may make the runner allocate.
const maxServerFrame = 16 << 20

// rawConn is a client's connection that sends whatever it is told to and holds the server to RFC
// 6455.
type rawConn struct {
	net   net.Conn
	r     *bufio.Reader
	w     *bufio.Writer
	pongs []string // received and not asked for yet
	wrote error    // the first failure of a write: the next read tells what it was about

	closed bool // a close frame came
	code   int  // its code
}

// smallBuffer is a small connection's receive buffer in bytes; systems round it up.
const smallBuffer = 64 << 10

// dialTCP connects. A small connection has so little room for what is not read that a server
// notices soon.
func dialTCP(ctx context.Context, host string, small bool) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", host)
	if err == nil && small {
		err = c.(*net.TCPConn).SetReadBuffer(smallBuffer)
	}
	return c, err
}

// received is an HTTP answer, its body read.
type received struct {
	status int
	header http.Header
	body   []byte
}

// receive reads the body of an answer.
func receive(resp *http.Response) (*received, error) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxServerFrame))
	return &received{resp.StatusCode, resp.Header, body}, errors.Join(err, resp.Body.Close())
}

// handshake sends an upgrade request, header having what is not to be as usual, and returns the
// answer, and the connection when that was 101.
func handshake(c net.Conn, host, target string, header map[string][]string) (*received, *rawConn,
	error,
) {
	key := make([]byte, 16)
	_, _ = rand.Read(key) // it never fails
	fields := http.Header{
		"Host": {host}, "Connection": {"Upgrade"}, "Upgrade": {"websocket"},
		"Sec-Websocket-Version": {"13"},
		"Sec-Websocket-Key":     {base64.StdEncoding.EncodeToString(key)},
	}
	for name, values := range header {
		fields[http.CanonicalHeaderKey(name)] = values
	}
	w := bufio.NewWriter(c)
	fmt.Fprintf(w, "GET %s HTTP/1.1\r\n", target)
	for name, values := range fields {
		for _, v := range values {
			fmt.Fprintf(w, "%s: %s\r\n", name, v)
		}
	}
	fmt.Fprint(w, "\r\n")
	if err := w.Flush(); err != nil {
		return nil, nil, err
	}
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("no answer to the upgrade: %w", err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		got, err := receive(resp)
		return got, nil, err
	}
	got := &received{status: resp.StatusCode, header: resp.Header}
	sum := sha1.Sum([]byte(fields.Get("Sec-Websocket-Key") +
		"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	switch {
	case got.header.Get("Sec-Websocket-Accept") != base64.StdEncoding.EncodeToString(sum[:]):
		err = errors.New("the header Sec-WebSocket-Accept is wrong")
	case !strings.EqualFold(got.header.Get("Upgrade"), "websocket"),
		!strings.EqualFold(got.header.Get("Connection"), "upgrade"):
		err = errors.New("the header Connection or Upgrade is wrong")
	case got.header.Get("Sec-Websocket-Extensions") != "":
		err = errors.New("the server selected an extension that was not offered")
	}
	return got, &rawConn{net: c, r: r, w: w}, errors.Join(err, resp.Body.Close())
}

// frame is one frame as a vector describes it.
type frame struct {
	Opcode   int    `json:"opcode"`
	Fin      *bool  `json:"fin,omitzero"`    // true
	Masked   *bool  `json:"masked,omitzero"` // true
	RSV      int    `json:"rsv,omitzero"`    // the three bits, as a number; 0
	Payload  text   `json:"payload,omitzero"`
	Declared *int64 `json:"declared,omitzero"` // the length in the header; the payload's
	Times    int    `json:"times,omitzero"`    // 1
}

func isFalse(b *bool) bool { return b != nil && !*b }

// write sends a frame.
func (c *rawConn) write(f *frame, payload []byte) {
	first := byte(f.Opcode&0xf | f.RSV&7<<4)
	if !isFalse(f.Fin) {
		first |= 0x80
	}
	n := int64(len(payload))
	if f.Declared != nil {
		n = *f.Declared
	}
	var mask byte
	if !isFalse(f.Masked) {
		mask = 0x80
	}
	head := []byte{first}
	switch {
	case n < 126:
		head = append(head, mask|byte(n))
	case n < 1<<16:
		head = binary.BigEndian.AppendUint16(append(head, mask|126), uint16(n))
	default:
		head = binary.BigEndian.AppendUint64(append(head, mask|127), uint64(n))
	}
	if mask != 0 {
		key := [4]byte{0x5a, 0xa5, 0x33, 0xcc}
		head = append(head, key[:]...)
		masked := make([]byte, len(payload))
		for i, b := range payload {
			masked[i] = b ^ key[i&3]
		}
		payload = masked
	}
	_, err := c.w.Write(append(head, payload...))
	c.note(err)
}

func (c *rawConn) note(err error) {
	if c.wrote == nil {
		c.wrote = err
	}
}

func (c *rawConn) flush() { c.note(c.w.Flush()) }

// send sends a message in one frame.
func (c *rawConn) send(opcode int, payload []byte) {
	c.write(&frame{Opcode: opcode}, payload)
	c.flush()
}

// errClosed says that a close frame came where a message was wanted, or a message could not come
// any more.
var errClosed = errors.New("the server closed the connection")

// message returns the next message. Pings are answered, pongs kept. A close frame is answered; then
// it is errClosed for good.
func (c *rawConn) message(deadline time.Time) (opcode int, payload []byte, err error) {
	return c.next(deadline, false)
}

// next is message, or returns opPong alone for the next pong when that is wanted and comes first.
func (c *rawConn) next(deadline time.Time, pong bool) (opcode int, payload []byte, err error) {
	if c.closed {
		return 0, nil, errClosed
	}
	if err := c.net.SetReadDeadline(deadline); err != nil {
		return 0, nil, err
	}
	for {
		op, fin, b, err := c.frame()
		if err != nil {
			return 0, nil, errors.Join(err, c.wrote)
		}
		switch {
		case op == opPing:
			c.send(opPong, b)
		case op == opPong:
			c.pongs = append(c.pongs, string(b))
			if pong && opcode == 0 {
				return opPong, nil, nil
			}
		case op == opClose:
			return 0, nil, c.closeFrame(b)
		case (op == opContinuation) != (opcode != 0):
			return 0, nil, fmt.Errorf("a frame of opcode %d inside or outside of a message", op)
		default:
			if op != opContinuation {
				opcode = op
			}
			payload = append(payload, b...)
			if !fin {
				continue
			}
			if opcode == opText && !utf8.Valid(payload) {
				return 0, nil, fmt.Errorf("a text message that is not UTF-8: %q", payload)
			}
			return opcode, payload, nil
		}
	}
}

func (c *rawConn) closeFrame(b []byte) error {
	c.closed, c.code = true, noCode
	if len(b) == 1 || len(b) > 2 && !utf8.Valid(b[2:]) {
		return fmt.Errorf("a close frame that is none: %q", b)
	}
	if len(b) >= 2 {
		c.code = int(binary.BigEndian.Uint16(b))
		b = b[:2]
	}
	c.send(opClose, b)
	return errClosed
}

// frame reads one frame and refuses what a server may not send.
func (c *rawConn) frame() (opcode int, fin bool, payload []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		return 0, false, nil, err
	}
	opcode, fin = int(head[0]&0xf), head[0]&0x80 != 0
	n := uint64(head[1] & 0x7f)
	var long []byte
	switch n {
	case 126:
		long = make([]byte, 2)
	case 127:
		long = make([]byte, 8)
	}
	if _, err := io.ReadFull(c.r, long); err != nil {
		return 0, false, nil, err
	}
	for i, b := range long {
		if i == 0 {
			n = 0
		}
		n = n<<8 | uint64(b)
	}
	control := opcode >= opClose
	switch {
	case head[0]&0x70 != 0:
		err = errors.New("a frame with a reserved bit")
	case head[1]&0x80 != 0:
		err = errors.New("a masked frame")
	case opcode > opPong || opcode > opBinary && opcode < opClose:
		err = fmt.Errorf("a frame of the unknown opcode %d", opcode)
	case control && (!fin || n > 125):
		err = errors.New("a control frame that is long or in parts")
	case len(long) == 2 && n < 126, len(long) == 8 && n < 1<<16:
		err = errors.New("a frame whose length is not written the shortest way")
	case n > maxServerFrame:
		err = fmt.Errorf("a frame of %d bytes", n)
	}
	if err != nil {
		return 0, false, nil, fmt.Errorf("the server sent %w", err)
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(c.r, payload)
	return opcode, fin, payload, err
}

// gone waits until the server has ended the TCP connection, as it must after the close frames (RFC
// 6455 section 7.1.1).
func (c *rawConn) gone(deadline time.Time) error {
	if err := c.net.SetReadDeadline(deadline); err != nil {
		return err
	}
	b, err := c.r.ReadByte()
	switch {
	case err == nil:
		return fmt.Errorf("the server sent 0x%02x after its close frame", b)
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF):
		return nil
	}
	return fmt.Errorf("the server left the connection open after its close frame: %w", err)
}
