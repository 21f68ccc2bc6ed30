package main

import (
	"context"
	"crypto/sha1" // RFC 6455 section 4.2.2 asks for it
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"

	"github.com/coder/websocket"
)

// floorHandler serves what the others' work costs at the least.
func floorHandler() (http.Handler, error) {
	mux := http.NewServeMux()
	f := &rawFeed{}
	mux.HandleFunc("/echo",
		func(w http.ResponseWriter, r *http.Request) {
			eachMessage(w, r, func(b []byte) []byte { return b })
		})
	mux.HandleFunc("/feed", f.subscribe)
	mux.HandleFunc("/publish", func(w http.ResponseWriter, r *http.Request) {
		eachMessage(w, r, func(b []byte) []byte {
			f.publish(b)
			return []byte("ok")
		})
	})
	return mux, nil
}

// eachMessage answers the messages of a connection of coder/websocket, read into one buffer.
func eachMessage(w http.ResponseWriter, r *http.Request, answer func([]byte) []byte) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow() // it has ended
	ctx := context.Background()
	buf := make([]byte, 4096)
	for {
		typ, rd, err := c.Reader(ctx)
		if err != nil {
			return
		}
		n, err := readAll(rd, buf)
		if err != nil || c.Write(ctx, typ, answer(buf[:n])) != nil {
			return
		}
	}
}

func readAll(r io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) {
		m, err := r.Read(buf[n:])
		n += m
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
	return n, io.ErrShortBuffer
}

// rawFeed is a fan-out with nothing around it.
type rawFeed struct {
	mu    sync.Mutex
	conns []net.Conn
}

// subscribe upgrades by hand.
func (f *rawFeed) subscribe(w http.ResponseWriter, r *http.Request) {
	sum := sha1.Sum([]byte(r.Header.Get("Sec-Websocket-Key") +
		"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	nc, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	f.mu.Lock()
	f.conns = append(f.conns, nc)
	f.mu.Unlock()
	_, _ = io.WriteString(nc,
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "+
			"Upgrade\r\nSec-WebSocket-Accept: "+
			// the reader tells when it is gone
			base64.StdEncoding.EncodeToString(sum[:])+"\r\n\r\n")
	go f.read(nc)
}

// read waits for the end of the connection.
func (f *rawFeed) read(nc net.Conn) {
	buf := make([]byte, 64)
	for {
		if _, err := nc.Read(buf); err != nil {
			break
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if i := slices.Index(f.conns, nc); i >= 0 {
		f.conns = slices.Delete(f.conns, i, i+1)
	}
	_ = nc.Close()
}

func (f *rawFeed) publish(payload []byte) {
	frame := appendHeader(nil, len(payload), 0)
	frame = append(frame, payload...)
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, nc := range f.conns {
		_, _ = nc.Write(frame) // the reader tells when it is gone
	}
}
