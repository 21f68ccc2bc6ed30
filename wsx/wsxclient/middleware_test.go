package wsxclient_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/wsxclient"
	"github.com/genropy/genro-asgi-go/wsx/wsxtest"
)

// tracing puts a trace's context into what is sent.
func tracing(ctx context.Context, call *wsxclient.CallInfo,
	next func(ctx context.Context) error,
) error {
	call.Meta["tracestate"] = "a=1"
	call.Meta["traceparent"] = "00-" + call.Method
	call.Meta["timeout_ms"], call.Meta["window"], call.Meta["progress"] = "no", "no", "no"
	return next(ctx)
}

func TestCallMiddleware_WritesMeta(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := &wsxclient.Options{CallMiddleware: []wsxclient.CallMiddleware{tracing}}
		c := fake(t, opts, func(c *websocket.Conn) error {
			return errors.Join(
				expect(c, `{"type":"rpc.request","id":1,"method":"a","params":[1],`+
					`"meta":{"timeout_ms":1000,"traceparent":"00-a","tracestate":"a=1"}}`),
				say(c, `{"type":"rpc.response","id":1,"result":7}`),
				expect(c, `{"type":"rpc.notify","method":"n","params":1,`+
					`"meta":{"traceparent":"00-n","tracestate":"a=1"}}`),
				expect(c, `{"type":"rpc.request","id":2,"method":"s",`+
					`"meta":{"window":9,"traceparent":"00-s","tracestate":"a=1"}}`),
				say(c, `{"type":"rpc.stream","id":2,"item":3,"seq":0}`),
				say(c, `{"type":"rpc.response","id":2,"result":7}`),
				// a call with Retry has the same meta every time
				expect(c, `{"type":"rpc.request","id":3,"method":"r",`+
					`"meta":{"traceparent":"00-r","tracestate":"a=1"}}`),
				say(c, `{"type":"rpc.error","id":3,"error":{"code":"UNAVAILABLE","message":""}}`),
				expect(c, `{"type":"rpc.request","id":4,"method":"r",`+
					`"meta":{"traceparent":"00-r","tracestate":"a=1"}}`),
				say(c, `{"type":"rpc.response","id":4,"result":7}`), untilClosed(c))
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if got, err := wsxclient.Call[int](ctx, c, "a", []int{1}); got != 7 || err != nil {
			t.Error(got, err)
		}
		if err := c.Notify(t.Context(), "n", 1); err != nil {
			t.Error(err)
		}
		for got, err := range wsxclient.Stream[int](t.Context(), c, "s", nil,
			&wsx.StreamOptions{Buffer: 9}) {
			if got != 3 || err != nil {
				t.Error(got, err)
			}
		}
		if got, err := wsxclient.CallWith[int](t.Context(), c, "r", nil,
			&wsxclient.CallOptions{Retry: true}); got != 7 || err != nil {
			t.Error(got, err)
		}
	})
}

func TestCallMiddleware_WritesMetaInJSONRPC(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := fake(t, &wsxclient.Options{
			JSONRPC: true, CallMiddleware: []wsxclient.CallMiddleware{
				func(ctx context.Context, call *wsxclient.CallInfo,
					next func(ctx context.Context) error,
				) error {
					if !call.JSONRPC {
						t.Error("it is JSON-RPC")
					}
					if call.Method == "plain" {
						return next(ctx)
					}
					return tracing(ctx, call, next)
				},
			},
		}, func(c *websocket.Conn) error {
			return errors.Join(
				expect(c, `{"jsonrpc":"2.0","id":1,"method":"a",`+
					`"meta":{"traceparent":"00-a","tracestate":"a=1"}}`),
				say(c, `{"jsonrpc":"2.0","id":1,"result":7}`),
				expect(c, `{"jsonrpc":"2.0","method":"n","params":[1],`+
					`"meta":{"traceparent":"00-n","tracestate":"a=1"}}`),
				expect(c, `{"jsonrpc":"2.0","id":2,"method":"plain"}`),
				say(c, `{"jsonrpc":"2.0","id":2,"result":7}`), untilClosed(c))
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second) // is not sent
		defer cancel()
		if got, err := wsxclient.Call[int](ctx, c, "a", nil); got != 7 || err != nil {
			t.Error(got, err)
		}
		if err := c.Notify(t.Context(), "n", []int{1}); err != nil {
			t.Error(err)
		}
		if got, err := wsxclient.Call[int](t.Context(), c, "plain", nil); got != 7 || err != nil {
			t.Error(got, err)
		}
	})
}

type wordKey struct{}

func TestCallMiddleware_IsAroundAllThatIsSent(t *testing.T) {
	var seen []string
	mark := func(name string) wsxclient.CallMiddleware {
		return func(ctx context.Context, call *wsxclient.CallInfo,
			next func(ctx context.Context) error,
		) error {
			word, _ := ctx.Value(wordKey{}).(string)
			seen = append(seen, fmt.Sprintf("%s%s %s notify=%t stream=%t", word, name, call.Method,
				call.Notify, call.Stream))
			err := next(context.WithValue(ctx, wordKey{}, word+name+">"))
			if err != nil {
				err = fmt.Errorf("%s: %w", name, err)
			}
			seen = append(seen, fmt.Sprint(name, " ", err))
			return err
		}
	}
	check := func(want ...string) {
		t.Helper()
		if !slices.Equal(seen, want) {
			t.Errorf("%q, want %q", seen, want)
		}
		seen = nil
	}
	c := wsxtest.New(t, bothWays(), nil, &wsxclient.Options{
		CallMiddleware: []wsxclient.CallMiddleware{mark("A"), mark("B")},
	})
	ctx := t.Context()
	if got, err := wsxclient.Call[point](ctx, c, "mirror", point{1, 2}); got.X != 2 || err != nil {
		t.Error(got, err)
	}
	check("A mirror notify=false stream=false", "A>B mirror notify=false stream=false",
		"B <nil>", "A <nil>")
	_, err := wsxclient.Call[string](ctx, c, "mirror", point{1, 2}) // which no string is
	if err == nil || !strings.HasPrefix(err.Error(), "A: B: wsx: decode the result") {
		t.Error(err)
	}
	seen = nil
	_, err = wsxclient.Call[int](ctx, c, "none", nil)
	if !errors.Is(err, wsx.NewError(wsx.CodeMethodNotFound, "")) ||
		!strings.HasPrefix(err.Error(), "A: B: ") {
		t.Error(err)
	}
	seen = nil
	if err := c.Notify(ctx, "note", 1); err != nil {
		t.Error(err)
	}
	check("A note notify=true stream=false", "A>B note notify=true stream=false", "B <nil>",
		"A <nil>")
	var items []int
	for item, err := range wsxclient.Stream[int](ctx, c, "count", 3, nil) {
		items = append(items, item)
		seen = append(seen, fmt.Sprint(item, err))
	}
	check("A count notify=false stream=true", "A>B count notify=false stream=true", "0 <nil>",
		"1 <nil>", "2 <nil>", "B <nil>", "A <nil>")
	for _, err := range wsxclient.Stream[int](ctx, c, "count", 3, nil) {
		if err != nil {
			t.Error(err)
		}
		break
	}
	check("A count notify=false stream=true", "A>B count notify=false stream=true", "B <nil>",
		"A <nil>")
	for _, err := range wsxclient.Stream[int](ctx, c, "none", 3, nil) {
		if !errors.Is(err, wsx.NewError(wsx.CodeMethodNotFound, "")) ||
			!strings.HasPrefix(err.Error(), "A: B: ") {
			t.Error(err)
		}
	}
}

func TestCallMiddleware_DecidesWhatTheCallerGets(t *testing.T) {
	errNo := errors.New("no")
	c := wsxtest.New(t, bothWays(), nil, &wsxclient.Options{
		CallMiddleware: []wsxclient.CallMiddleware{
			func(ctx context.Context, call *wsxclient.CallInfo,
				next func(ctx context.Context) error,
			) error {
				if call.JSONRPC {
					t.Error("it is not JSON-RPC")
				}
				switch call.Method {
				case "refused":
					return errNo
				case "forgotten":
					return nil
				}
				err := next(ctx)
				if call.Method == "none" {
					return nil
				}
				return cmp.Or(next(ctx), err, errNo) // twice, and at last an error
			},
		},
	})
	ctx := t.Context()
	for _, send := range []func(method string) error{
		func(method string) error {
			_, err := wsxclient.Call[int](ctx, c, method, nil)
			return err
		},
		func(method string) error { return c.Notify(ctx, method, nil) },
		func(method string) (last error) {
			for _, err := range wsxclient.Stream[int](ctx, c, method, nil, nil) {
				last = err
			}
			return last
		},
	} {
		if err := send("refused"); !errors.Is(err, errNo) {
			t.Error(err)
		}
		if err := send("forgotten"); err == nil || !strings.Contains(err.Error(), "next") {
			t.Error(err)
		}
		if err := send("none"); err != nil {
			t.Error(err)
		}
	}
	n := 0
	for _, err := range wsxclient.Stream[int](ctx, c, "count", 3, nil) {
		if n++; err != nil {
			t.Error(err)
		}
		break // and is not asked again, whatever the middleware does
	}
	if n != 1 {
		t.Error(n)
	}
	n = 0
	for _, err := range wsxclient.Stream[int](ctx, c, "count", 3, nil) {
		if n++; n == 7 && !errors.Is(err, errNo) {
			t.Error(err)
		}
	}
	if n != 7 {
		t.Error(n)
	}
}

func TestDial_PanicsForMiddlewareThatIsNil(t *testing.T) {
	defer func() {
		if text, ok := recover().(string); !ok || !strings.HasPrefix(text, "wsx: ") {
			t.Error("no panic with a text of this package")
		}
	}()
	_, _ = wsxclient.Dial(t.Context(), "ws://nowhere.test/",
		&wsxclient.Options{CallMiddleware: []wsxclient.CallMiddleware{nil}})
}

func TestOptionsMethods_SeeTheMetaOfTheServersCalls(t *testing.T) {
	for dialect, request := range map[string]string{
		"WSX": `{"type":"rpc.request","id":"s","method":"parent",` +
			`"meta":{"traceparent":"00-1"}}`,
		"JSON-RPC": `{"jsonrpc":"2.0","id":"s","method":"parent","meta":{"traceparent":"00-1"}}`,
	} {
		t.Run(dialect, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := wsx.NewDispatcher()
				d.Use(func(next wsx.Handler) wsx.Handler {
					return func(ctx context.Context, r *wsx.Request) error {
						var meta struct {
							TraceParent string `json:"traceparent"`
						}
						if err := json.Unmarshal(r.Meta, &meta); err != nil {
							return err
						}
						return next(context.WithValue(ctx, wordKey{}, meta.TraceParent), r)
					}
				})
				wsx.Handle(d, "parent", func(ctx context.Context, _ struct{}) (string, error) {
					word, _ := ctx.Value(wordKey{}).(string)
					return word, nil
				})
				fake(t, &wsxclient.Options{JSONRPC: dialect != "WSX", Methods: d},
					func(c *websocket.Conn) error {
						defer func() { _ = c.Close(websocket.StatusNormalClosure, "") }()
						if err := say(c, request); err != nil {
							return err
						}
						_, b, err := c.Read(context.Background())
						var answer struct {
							Result jsontext.Value `json:"result"`
						}
						if err == nil {
							err = json.Unmarshal(b, &answer)
						}
						if string(answer.Result) != `"00-1"` {
							t.Errorf("%s", b)
						}
						return err
					})
				synctest.Wait()
			})
		})
	}
}
