package clientcall_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx/internal/clientcall"
)

func TestEncodeParams(t *testing.T) {
	for want, params := range map[string]any{
		"": nil, "null": (*int)(nil),
		`{"a":1}`: map[string]int{"a": 1}, "[1]": jsontext.Value("[1]"),
	} {
		if got, err := clientcall.EncodeParams("m", params); string(got) != want || err != nil {
			t.Errorf("%v: %s %v, want %s", params, got, err, want)
		}
	}
	if _, err := clientcall.EncodeParams("m", func() {}); err == nil ||
		!strings.Contains(err.Error(), `params of "m"`) {
		t.Error(err)
	}
}

func TestDecode(t *testing.T) {
	var raw jsontext.Value
	if err := clientcall.Decode("the result", "m", []byte(`{"a":1}`), &raw); err != nil ||
		string(raw) != `{"a":1}` {
		t.Error(err, raw)
	}
	var some struct{ B int }
	if err := clientcall.Decode("the result", "m", []byte(`{"a":1,"B":2}`), &some); err != nil ||
		some.B != 2 {
		t.Error(err, some)
	}
	if err := clientcall.Decode("the result", "m", []byte(`{"B":"x"}`), &some); err == nil ||
		!strings.Contains(err.Error(), `decode the result of "m"`) {
		t.Error(err)
	}
}

func TestRequest_Meta(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		for _, row := range []struct {
			ctx      context.Context
			params   []byte
			window   int
			progress bool
			want     string
		}{
			{t.Context(), nil, 0, false, `{"type":"rpc.request","id":1,"method":"m"}`},
			{
				t.Context(), []byte("[1]"), 8, true,
				`{"type":"rpc.request","id":1,"method":"m","params":[1],"meta":{"window":8,` +
					`"progress":true}}`,
			},
			{
				ctx, nil, 0, false,
				`{"type":"rpc.request","id":1,"method":"m","meta":{"timeout_ms":1500}}`,
			},
		} {
			if got := clientcall.Request(row.ctx, "m", row.params, row.window,
				row.progress, nil)([]byte("1")); string(got) != row.want {
				t.Errorf("%s, want %s", got, row.want)
			}
		}
		<-time.After(2 * time.Second) // of the bubble's clock
		more := map[string]string{"a": "b"}
		got := string(clientcall.Request(ctx, "m", nil, 0, false, more)([]byte("1")))
		if !strings.Contains(got, `"timeout_ms":1,"a":"b"}`) {
			t.Error(got) // a deadline that is past is not one that is absent
		}
	})
}

// items runs a loop over a stream that the peer serves with these messages.
func items(t *testing.T, o clientcall.StreamOptions, messages ...string) (got []int, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		peer := newPeer()
		table := &clientcall.Table{Peer: peer}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for item, itemErr := range clientcall.Items[int](t.Context(),
				func() (*clientcall.Table, error) { return table, nil }, "m", nil, nil, o) {
				if err = itemErr; err == nil {
					got = append(got, item)
				}
			}
		}()
		synctest.Wait()
		for _, m := range messages {
			table.Item(read(t, m))
			synctest.Wait()
		}
		table.Answer([]byte("1"), clientcall.Reply{Result: []byte(`"all"`)})
		<-done
		if asked := strings.Contains(peer.sent[0], `"progress":true`); asked !=
			(o.OnProgress != nil) || !strings.Contains(peer.sent[0], `"window":256`) {
			t.Error(peer.sent[0])
		}
	})
	return got, err
}

func TestItems(t *testing.T) {
	var result string
	var reports []string
	o := clientcall.StreamOptions{
		Result:     &result,
		OnProgress: func(r jsontext.Value) { reports = append(reports, string(r)) },
	}
	got, err := items(t, o, streamItem(0, "10"),
		`{"type":"rpc.stream","id":1,"item":null,"seq":1,"meta":{"progress":5}}`,
		streamItem(2, "11"))
	if !slices.Equal(got, []int{10, 11}) || err != nil || result != "all" ||
		!slices.Equal(reports, []string{"5"}) {
		t.Error(got, err, result, reports)
	}
	if got, err := items(t, clientcall.StreamOptions{}, streamItem(0, "10")); len(got) != 1 ||
		err != nil {
		t.Error(got, err)
	}
	if got, err := items(t, clientcall.StreamOptions{}, streamItem(0, "10"), streamItem(1, `"x"`),
		streamItem(2, "11")); len(got) != 1 || err == nil {
		t.Error(got, err)
	}
	var number int
	if got, err := items(t, clientcall.StreamOptions{Result: &number},
		streamItem(0, "10")); len(got) != 1 || err == nil {
		t.Error(got, err)
	}
}

func TestItems_NotBegun(t *testing.T) {
	none := func() (*clientcall.Table, error) { return nil, errLost }
	for _, params := range []any{nil, func() {}} {
		n := 0
		for _, err := range clientcall.Items[int](t.Context(), none, "m", params, nil,
			clientcall.StreamOptions{}) {
			if n++; err == nil {
				t.Error("no error")
			}
		}
		if n != 1 {
			t.Error(n, "rounds")
		}
	}
}
