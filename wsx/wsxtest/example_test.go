package wsxtest_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"testing/fstest"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/wsxclient"
	"github.com/genropy/genro-asgi-go/wsx/wsxtest"
)

// exampleT stands in for the *testing.T that a test has and an example has not.
type exampleT struct {
	testing.TB // nil: what is not here is not called

	cleanups []func()
}

func (t *exampleT) Helper()                  {}
func (t *exampleT) Context() context.Context { return context.Background() }
func (t *exampleT) Cleanup(f func())         { t.cleanups = append(t.cleanups, f) }
func (t *exampleT) Error(args ...any)        { fmt.Println(args...) }
func (t *exampleT) Fatal(args ...any)        { panic(fmt.Sprint(args...)) }

func (t *exampleT) end() {
	for len(t.cleanups) > 0 {
		last := len(t.cleanups) - 1
		f := t.cleanups[last]
		t.cleanups = t.cleanups[:last]
		f()
	}
}

// In a test, t is its *testing.T, and everything ends with it.
func ExampleNew() {
	t := &exampleT{}
	defer t.end()

	d := wsx.NewDispatcher()
	wsx.Handle(d, "double", func(_ context.Context, n int) (int, error) { return 2 * n, nil })
	c := wsxtest.New(t, d, nil, nil)
	fmt.Println(wsxclient.Call[int](t.Context(), c, "double", 21))
	// Output: 42 <nil>
}

// In a test, t is its *testing.T. The handler may be a router with the server in it.
func ExampleServe() {
	t := &exampleT{}
	defer t.end()

	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintln(w, r.Host, "is well")
	})
	client := wsxtest.Serve(t, mux)
	resp, err := client.Get("http://api.example/health")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(os.Stdout, resp.Body)
	// Output: api.example is well
}

// What a suite promises and no vector shows is told.
func ExampleLoadSuite() {
	suite, err := wsxtest.LoadSuite(fstest.MapFS{"ping.json": {Data: []byte(`{
		"rows": [
			{"id": "2.ping", "text": "An rpc.ping gets an rpc.pong with its id."},
			{"id": "2.pong", "text": "An rpc.pong is not answered."}
		],
		"vectors": [{
			"name": "pong", "rows": ["2.ping"],
			"steps": [
				{"connect": {}},
				{"send": {"type": "rpc.ping", "id": 7}},
				{"receive": {"type": "rpc.pong", "id": 7}}
			]
		}]
	}`)}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, row := range suite.Uncovered() {
		fmt.Println("nothing covers", row.ID+":", row.Text)
	}

	server := wsx.NewServer(wsx.NewDispatcher(), nil)
	srv := httptest.NewServer(server)
	defer srv.Close()
	ctx := context.Background()
	defer func() { _ = server.Stop(ctx) }()
	for _, v := range suite.Vectors {
		fmt.Println(v.Name, v.Run(ctx, &wsxtest.Target{URL: srv.URL}))
	}
	// Output:
	// nothing covers 2.pong: An rpc.pong is not answered.
	// ping/pong <nil>
}
