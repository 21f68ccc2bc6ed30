package wsxtest

import (
	"bufio"
	"net"
	"testing"
	"time"
)

// What the run's end has closed on this side has not been ended by the server: no step may take the
// one for the other.
func TestRawConn_ItsOwnEndIsNotTheServers(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	_ = near.Close()
	c := &rawConn{net: near, r: bufio.NewReader(near), w: bufio.NewWriter(near)}
	soon := time.Now().Add(time.Second)
	if err := c.gone(soon); err == nil {
		t.Error("the server has ended the connection")
	}
	if _, _, err := c.message(soon); err == nil {
		t.Error("there is a message")
	}
	r := &run{timeout: time.Second}
	if err := r.writing(c, &step{}, func() error { return nil }); err == nil {
		t.Error("it can be written to")
	}
}
