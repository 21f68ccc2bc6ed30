package wsconn_test

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/genropy/genro-asgi-go/internal/wsconn"
)

// fragments makes frames of payload, n bytes each, the first with the bits in first.
func fragments(first byte, payload string, n int) []byte {
	var b []byte
	for at := 0; ; at += n {
		end := min(len(payload), at+n)
		if end == len(payload) {
			first |= fin
		}
		b = append(b, frame(first, payload[at:end])...)
		if end == len(payload) {
			return b
		}
		first = opCont
	}
}

func deflated(s string, final bool) string {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.BestSpeed) // the level exists
	_, _ = io.WriteString(w, s)
	if final {
		_ = w.Close()
		return b.String()
	}
	_ = w.Flush()
	return b.String()[:b.Len()-4]
}

// noise is n letters that do not compress well; the same for the same n.
func noise(n int) string { return strings.Repeat(letters, n/len(letters)+1)[:n] }

var letters = func() string {
	rnd := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, 80_000)
	for i := range b {
		b[i] = 'a' + byte(rnd.IntN(26))
	}
	return string(b)
}()

// memory is a connection of which everything has been received: the peer's bytes, then the end.
type memory struct {
	net.Conn // of which only the methods below are called
	in       *bytes.Reader
	end      error
}

func (m *memory) Read(p []byte) (int, error) {
	if n, err := m.in.Read(p); err == nil {
		return n, nil
	}
	return 0, m.end
}
func (*memory) Write(p []byte) (int, error) { return len(p), nil }
func (*memory) Close() error                { return nil }

// TestConn_NeverReturnsACutMessage holds two ways of taking the end of a connection for a
// message's, which coder/websocket has: between fragments, and inside a frame where the reader's
// buffer is full (8, 520, 776, 1160, 1736 bytes for io.ReadAll).
func TestConn_NeverReturnsACutMessage(t *testing.T) {
	whole := frame(fin|opText, "whole")
	check := func(t *testing.T, opts *wsconn.Options, sent []byte, cut int, end error, buf []byte) {
		t.Helper()
		server, client := net.Pipe()
		defer func() { _ = client.Close() }()
		in := append(bytes.Clone(whole), sent[:cut]...)
		c := upgradeConn(t, &memory{Conn: server, in: bytes.NewReader(in), end: end}, opts)
		if _, b, err := c.Read(context.Background(), buf); err != nil || string(b) != "whole" {
			t.Fatalf("the message before: %q, %v", b, err)
		}
		_, b, err := c.Read(context.Background(), buf)
		if err == nil || len(b) > 0 {
			t.Fatalf("cut after %d of %d bytes: got %d bytes, %v", cut, len(sent), len(b), err)
		}
	}
	for _, size := range []int{1, 8, 125, 126, 520, 776, 1160, 1736, 70000} {
		for _, compression := range []bool{false, true} {
			payload, first := noise(size), byte(opText)
			if compression {
				payload, first = deflated(payload, false), opText|rsv1
			}
			for name, piece := range map[string]int{
				"one frame": len(payload) + 1,
				"fragments": max(1, len(payload)/3),
			} {
				t.Run(fmt.Sprintf("%d bytes, %s, compression %v", size, name, compression),
					func(t *testing.T) {
						opts := &wsconn.Options{
							Compression: compression, MaxMessage: 1 << 20,
							KeepaliveAfter: -1,
						}
						sent := fragments(first, payload, piece)
						step := 1
						if size > 2000 {
							step = 1997
						} else if compression {
							step = 5
						}
						for cut := 0; cut < len(sent); cut += step {
							check(t, opts, sent, cut, io.EOF, nil)
							if compression {
								// as crypto/tls ends
								check(t, opts, sent, cut, io.ErrUnexpectedEOF, make([]byte, 0, 8))
							}
						}
						check(t, opts, sent, len(sent)-1, io.EOF, nil)
					})
			}
		}
	}
}

func TestConn_NeverReturnsAMessageCutByFIN(t *testing.T) {
	for _, size := range []int{8, 520, 776, 1160, 1736, 70000} {
		sent := fragments(opBinary, noise(size), size/2)
		for _, cut := range []int{1, 7, 8, size / 2, size/2 + 8, len(sent) - 1} {
			c, p := tcp(t, &wsconn.Options{MaxMessage: 1 << 20})
			if _, err := p.Write(sent[:cut]); err != nil {
				t.Fatal(err)
			}
			if err := p.Conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if _, b, err := c.Read(t.Context(), nil); err == nil || len(b) > 0 {
				t.Errorf("%d of %d bytes: got %d bytes, %v", cut, len(sent), len(b), err)
			}
		}
	}
}

// A TLS connection cut without close_notify ends with io.ErrUnexpectedEOF, which is also how
// package flate ends a compressed message.
func TestConn_NeverReturnsACompressedMessageCutUnderTLS(t *testing.T) {
	type result struct {
		n   int
		err error
	}
	results := make(chan result, 1)
	srv := newServer(t, &wsconn.Options{Compression: true}, func(c *wsconn.Conn) {
		_, b, err := c.Read(context.Background(), nil)
		results <- result{len(b), err}
	})
	srv.StartTLS()
	p := dialTLS(t, srv)
	if _, err := p.Write(fragments(opText|rsv1, deflated(noise(5000), false), 1<<20)[:2000]); err !=
		nil {
		t.Fatal(err)
	}
	if err := p.Conn.(*tls.Conn).NetConn().Close(); err != nil {
		t.Fatal(err)
	}
	if r := <-results; r.err == nil || r.n > 0 {
		t.Errorf("got %d bytes, %v", r.n, r.err)
	}
}

func dialTLS(t testing.TB, srv *httptest.Server) *peer {
	t.Helper()
	return dialRaw(t, strings.Replace(srv.URL, "https", "tls", 1), "",
		"Sec-WebSocket-Extensions: permessage-deflate")
}

// A final block ends the compressed data before its message.
func TestConn_CompressedDataMayNotEndBeforeItsMessage(t *testing.T) {
	c, p := tcp(t, &wsconn.Options{Compression: true})
	p.send(frame(opText|rsv1, deflated("hello", true)))
	go func() {
		if code, err := p.untilClose(); code != statusProto {
			t.Errorf("close %d, %v", code, err)
		}
		_ = p.Close()
	}()
	if _, b, err := c.Read(t.Context(), nil); err == nil {
		t.Errorf("the last fragment has not come, but Read returned %q", b)
	}
}

func TestConn_AFrameInsideAFrameIsNotRead(t *testing.T) {
	c, p := tcp(t, &wsconn.Options{Compression: true})
	smuggled := deflated("hello", true) + strings.Repeat("\x00", 5000) +
		string(join(frame(fin|opText, "smuggled")))
	go func() {
		_, _ = p.Write(frame(fin|opText|rsv1, smuggled))
		_, _ = p.untilClose()
		_ = p.Close()
	}()
	for {
		_, b, err := c.Read(t.Context(), nil)
		if err != nil {
			break
		}
		if string(b) == "smuggled" {
			t.Error("a frame inside a frame was read")
		}
	}
	if _, ok := <-c.Done(); ok {
		t.Error("still open")
	}
}

// A sender may end its compressed data with a final block, and then has to add a byte (RFC 7692
// section 7.2.3.4).
func TestConn_CompressedDataMayEndWithAFinalBlock(t *testing.T) {
	for name, end := range map[string]string{
		"as it is": "",
		"with the byte that makes the tail a block": "\x00",
	} {
		t.Run(name, func(t *testing.T) {
			c, p := tcp(t, &wsconn.Options{Compression: true})
			p.send(join(frame(fin|opText|rsv1, deflated("hello", true)+end),
				frame(fin|opText, "next")))
			for _, want := range []string{"hello", "next"} {
				if _, b, err := c.Read(t.Context(), nil); string(b) != want {
					t.Errorf("%q, %v", b, err)
				}
			}
		})
	}
}
