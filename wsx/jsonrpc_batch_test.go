package wsx_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx"
)

func echoes(n int) (elements []string) {
	for i := range n {
		elements = append(elements, jsonrpc(fmt.Sprint(i), "echo", ""))
	}
	return elements
}

func TestJSONRPC_ABatchLongerThanTheRoomInFlightEnds(t *testing.T) {
	d := wsx.NewDispatcher()
	var running, most atomic.Int32
	wsx.Handle(d, "wait", func(ctx context.Context, _ struct{}) (struct{}, error) {
		n := running.Add(1)
		defer running.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		<-time.After(time.Millisecond)
		return struct{}{}, nil
	})
	synctest.Test(t, func(t *testing.T) {
		s := dial(t, d, &wsx.ServerOptions{MaxInFlight: 3})
		var send, want []string
		for i := range 40 {
			send = append(send, jsonrpc(fmt.Sprint(i), "wait", ""))
			want = append(want, jsonrpcResult(fmt.Sprint(i), "null"))
		}
		s.send(array(send[:20]...), array(send[20:]...))
		for _, want := range []string{array(want[:20]...), array(want[20:]...)} {
			if got := s.read(); !sameJSONRPC(t, got, want) {
				t.Error(got)
			}
		}
	})
	if most.Load() != 3 {
		t.Errorf("%d at a time", most.Load())
	}
}

func TestJSONRPC_ABatchKeepsItsIDsUntilItIsAnswered(t *testing.T) {
	d, contexts, release := handing()
	s := dial(t, d, nil)
	s.send(array(jsonrpc("1", "echo", "[1]"), jsonrpc("2", "hand", "")))
	<-contexts
	s.send(jsonrpc("1", "echo", "[2]"), request("1", "echo", "3"), jsonrpc("3", "echo", "[4]"))
	s.expect(jsonrpcFault("1", -32600, "a request with this id is in flight", "INVALID_REQUEST",
		""),
		fault("1", "INVALID_REQUEST", "a request with this id is in flight"),
		jsonrpcResult("3", "[4]"))
	release <- struct{}{}
	if got := s.read(); !sameJSONRPC(t, got,
		array(jsonrpcResult("1", "[1]"), jsonrpcResult("2", "null"))) {
		t.Error(got)
	}
	s.send(jsonrpc("1", "echo", "[5]"))
	s.expect(jsonrpcResult("1", "[5]"))
}

func TestJSONRPC_LimitsTheAnswerToABatch(t *testing.T) {
	d := wsx.NewDispatcher()
	wsx.Handle(d, "long",
		func(_ context.Context, n int) (string, error) { return strings.Repeat("x", n), nil })
	s := dial(t, d, nil)
	h := wsx.JSONRPC(d, nil)
	var elements []string
	for i := range 20 {
		elements = append(elements, jsonrpc(fmt.Sprint(i), "long", "[100000]"))
	}
	s.send(array(elements...))
	_, _, over := post(t, h, array(elements...))
	for name, got := range map[string]string{"socket": s.read(), "HTTP": over} {
		var answers []jsontext.Value
		decodeAnswer(t, got, &answers)
		refused := strings.Count(got,
			`"error":{"code":-32029,"message":"the answer to the batch would be too `+
				`long","data":{"code":"RESOURCE_EXHAUSTED"}}`)
		if len(got) > 1<<20 || len(answers) != 20 || refused < 9 || refused > 11 {
			t.Errorf("%s: %d answers, %d refused, %d bytes", name, len(answers), refused, len(got))
		}
	}
	// Amplification (threats): 10,901 elements in 32 KiB, and as many small requests as may be.
	flood := "[" + strings.TrimSuffix(strings.Repeat("1, ", 10901), ", ") + "]"
	small := array(echoes(20)...)
	s.send(flood)
	if got := s.read(); len(got) > len(flood) {
		t.Error(got)
	}
	s.send(small)
	if got := s.read(); len(got) > 10*len(small) {
		t.Errorf("%d bytes for %d", len(got), len(small))
	}
}

func TestJSONRPC_CountsEachElementForTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dial(t, callDispatcher(), &wsx.ServerOptions{MessageRate: 1, MessageBurst: 3})
		s.send(array(echoes(5)...))
		got := s.read()
		if strings.Count(got, `"code":"RESOURCE_EXHAUSTED","details":{"retry_after_ms":1001}`) !=
			2 || strings.Count(got, `"result"`) != 3 {
			t.Error(got)
		}
		s.send(array(echoes(2)...)) // there is no token for its first either
		if got := s.read(); strings.Count(got, `"code":-32029`) != 2 {
			t.Error(got)
		}
		s.send(jsonrpc("1", "echo", ""))
		if got := s.read(); !strings.Contains(got, `"code":-32029`) {
			t.Error(got)
		}
		s.send("[]")
		if got := s.read(); !strings.Contains(got, `"code":-32029`) {
			t.Error(got)
		}
		s.send(array(echoes(20)...))
		s.expectClosed(4429)
	})
}
