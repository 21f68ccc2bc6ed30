package wsconn_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/genropy/genro-asgi-go/internal/leakcheck"
	"github.com/genropy/genro-asgi-go/internal/wsconn"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

// newServer upgrades every request and hands the connection to handle in a goroutine of its own, as
// users of the package do.
func newServer(t testing.TB, opts *wsconn.Options, handle func(*wsconn.Conn)) *httptest.Server {
	t.Helper()
	var wg sync.WaitGroup
	srv := httptest.NewUnstartedServer(upgrader(t, opts, &wg, handle))
	t.Cleanup(func() { srv.Close(); wg.Wait() })
	return srv
}

func upgrader(t testing.TB, opts *wsconn.Options, wg *sync.WaitGroup,
	handle func(*wsconn.Conn),
) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if ref := wsconn.Check(w, r, nil); ref != nil {
			http.Error(w, ref.Detail, ref.Status)
			return
		}
		// here, as the server does not wait for this goroutine once the connection is taken over
		wg.Add(1)
		c, err := wsconn.Upgrade(w, r, opts)
		if err != nil {
			wg.Done()
			t.Error(err)
			return
		}
		go func() {
			defer wg.Done()
			defer func() { _ = c.CloseNow() }()
			handle(c)
		}()
	}
}

func serve(t testing.TB, opts *wsconn.Options, handle func(*wsconn.Conn)) string {
	t.Helper()
	srv := newServer(t, opts, handle)
	srv.Start()
	return srv.URL
}

func echo(t testing.TB) func(c *wsconn.Conn) {
	return func(c *wsconn.Conn) {
		var buf []byte
		for {
			typ, b, err := c.Read(context.Background(), buf[:0])
			if err != nil {
				return
			}
			if err := c.Queue(context.Background(), typ, b); err != nil &&
				!errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
			buf = b
		}
	}
}

// hijacked is a response writer whose connection is nc.
type hijacked struct {
	*httptest.ResponseRecorder
	nc net.Conn
}

func (h hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.nc, bufio.NewReadWriter(bufio.NewReader(h.nc), bufio.NewWriter(h.nc)), nil
}

func handshake() *http.Request {
	r := httptest.NewRequest(http.MethodGet, "http://app.example/", nil)
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "websocket")
	r.Header.Set("Sec-WebSocket-Version", "13")
	r.Header.Set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	return r
}

// upgradeConn makes a server's connection of nc without a handshake on the wire. Its peer speaks
// frames from the first byte.
func upgradeConn(t testing.TB, nc net.Conn, opts *wsconn.Options) *wsconn.Conn {
	t.Helper()
	r := handshake()
	if opts != nil && opts.Compression {
		r.Header.Set("Sec-WebSocket-Extensions", "permessage-deflate")
	}
	c, err := wsconn.Upgrade(hijacked{httptest.NewRecorder(), nc}, r, opts)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// pipe is a server's connection and its peer in memory, for synctest.
func pipe(t testing.TB, opts *wsconn.Options) (*wsconn.Conn, *peer) {
	t.Helper()
	server, client := net.Pipe()
	return upgradeConn(t, server, opts), &peer{client, bufio.NewReader(client)}
}

// tcpPair is a socket and its other end on the loopback interface.
func tcpPair(t testing.TB) (server, client *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return s.(*net.TCPConn), c.(*net.TCPConn)
}

// tcp is a server's connection and its peer over a socket.
func tcp(t testing.TB, opts *wsconn.Options) (*wsconn.Conn, *peer) {
	t.Helper()
	server, client := tcpPair(t)
	t.Cleanup(func() { _ = client.Close() })
	return upgradeConn(t, server, opts), &peer{client, bufio.NewReader(client)}
}

const (
	opCont, opText, opBinary  = 0, 1, 2
	opClose, opPing, opPong   = 8, 9, 10
	fin, rsv1, rsv2, rsv3     = 0x80, 0x40, 0x20, 0x10
	unmasked                  = 0
	masked                    = 0x80
	keyBytes                  = "\x5a\x01\xc3\x77"
	statusNormal, statusProto = 1000, 1002
)

// head is a frame header; first holds FIN, the reserved bits and the opcode.
func head(first byte, n int, mask byte) []byte {
	var h []byte
	switch {
	case n < 126:
		h = []byte{first, mask | byte(n)}
	case n < 1<<16:
		h = binary.BigEndian.AppendUint16([]byte{first, mask | 126}, uint16(n))
	default:
		h = binary.BigEndian.AppendUint64([]byte{first, mask | 127}, uint64(n))
	}
	if mask != 0 {
		h = append(h, keyBytes...)
	}
	return h
}

// frame is a client's frame.
func frame(first byte, payload string) []byte {
	b := head(first, len(payload), masked)
	for i := range len(payload) {
		b = append(b, payload[i]^keyBytes[i&3])
	}
	return b
}

func closing(code int, reason string) []byte {
	return frame(fin|opClose, string([]byte{byte(code >> 8), byte(code)})+reason)
}

func join(frames ...[]byte) []byte { return bytes.Join(frames, nil) }

// peer is the other end of a connection, on the level of frames.
type peer struct {
	net.Conn
	br *bufio.Reader
}

type got struct {
	first   byte
	payload []byte
}

// next reads one unmasked frame.
func (p *peer) next() (got, error) {
	var h [8]byte
	if _, err := io.ReadFull(p.br, h[:2]); err != nil {
		return got{}, err
	}
	g, n := got{first: h[0]}, uint64(h[1])
	switch n {
	case 126:
		if _, err := io.ReadFull(p.br, h[:2]); err != nil {
			return g, err
		}
		n = uint64(binary.BigEndian.Uint16(h[:2]))
	case 127:
		if _, err := io.ReadFull(p.br, h[:8]); err != nil {
			return g, err
		}
		n = binary.BigEndian.Uint64(h[:8])
	}
	if n > 1<<30 {
		return g, fmt.Errorf("frame of %d bytes", n)
	}
	g.payload = make([]byte, n)
	_, err := io.ReadFull(p.br, g.payload)
	return g, err
}

func (g got) code() int {
	if len(g.payload) < 2 {
		return 0
	}
	return int(binary.BigEndian.Uint16(g.payload))
}

func (g got) String() string {
	names := map[byte]string{opText: "text", opBinary: "binary", opPing: "ping", opPong: "pong"}
	if g.first == fin|opClose {
		return fmt.Sprintf("close %d", g.code())
	}
	if g.first&fin == 0 || g.first&(rsv1|rsv2|rsv3) != 0 {
		return fmt.Sprintf("first byte %#x", g.first)
	}
	s := string(g.payload)
	if len(s) > 64 {
		s = fmt.Sprintf("%s...%d", s[:8], len(s))
	}
	return strings.TrimSpace(names[g.first&0xf] + " " + s)
}

// all reads frames until the connection ends. What ended it is in the last element unless it was
// the end of the stream.
func (p *peer) all() []string {
	var out []string
	for {
		g, err := p.next()
		if err != nil {
			if err != io.EOF {
				out = append(out, err.Error())
			}
			return out
		}
		out = append(out, g.String())
	}
}

// send writes in the background: a pipe takes nothing that is not read.
func (p *peer) send(b []byte) { go func() { _, _ = p.Write(b) }() }

// untilClose reads until a close frame and returns its code, or -1 and the error.
func (p *peer) untilClose() (int, error) {
	for {
		g, err := p.next()
		if err != nil {
			return -1, err
		}
		if g.first&0xf == opClose {
			return g.code(), nil
		}
	}
}

// dialRaw does the handshake over TCP by hand; early goes out together with it.
func dialRaw(t testing.TB, url, early string, headers ...string) *peer {
	t.Helper()
	scheme, host, _ := strings.Cut(url, "://")
	nc, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	if scheme == "tls" {
		nc = tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
	}
	t.Cleanup(func() { _ = nc.Close() })
	p := &peer{nc, bufio.NewReader(nc)}
	head := append([]string{
		"GET / HTTP/1.1", "Host: " + host, "Connection: Upgrade", "Upgrade: websocket",
		"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
	}, headers...)
	if _, err := io.WriteString(nc, strings.Join(head, "\r\n")+"\r\n\r\n"+early); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(p.br, nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("answer %s", resp.Status)
	}
	return p
}
