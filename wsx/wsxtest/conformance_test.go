package wsxtest_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/wsxtest"
)

// suite is a suite of one row and of vectors with these steps.
func suite(t *testing.T, steps map[string]string) *wsxtest.Suite {
	t.Helper()
	var vectors []string
	for name, s := range steps {
		more := ""
		if s, found := strings.CutPrefix(s, "leftover "); found {
			more, steps[name] = `"leftover":true,`, s
		}
		vectors = append(vectors,
			fmt.Sprintf(`{"name":%q,"rows":["0.row"],%s"steps":[%s]}`, name, more, steps[name]))
	}
	s, err := wsxtest.LoadSuite(
		fstest.MapFS{
			"0.json": {
				Data: []byte(`{"section":"0","rows":[{"id":"0.row","text":"A row."}],"vectors":[` +
					strings.Join(vectors, ",") + `]}`),
			},
		})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// serveSocket serves a real server on a socket.
func serveSocket(t *testing.T) (url string, stop func()) {
	t.Helper()
	d := wsx.NewDispatcher()
	wsx.Handle(d, "echo",
		func(_ context.Context, in jsontext.Value) (jsontext.Value, error) { return in, nil })
	wsx.Handle(d, "sleep", func(ctx context.Context, ms int) (int, error) {
		select {
		case <-time.After(time.Duration(ms) * time.Millisecond):
		case <-ctx.Done():
		}
		return ms, ctx.Err()
	})
	n := 0
	wsx.Handle(d, "next", func(context.Context, struct{}) (int, error) { n++; return n, nil })
	s := wsx.NewServer(d, &wsx.ServerOptions{Logger: slog.New(slog.DiscardHandler)})
	mux := http.NewServeMux()
	mux.Handle("/ws", s)
	mux.HandleFunc("/rpc", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
		w.Header().Add("X-Two", "1")
		w.Header().Add("X-Two", "2")
		_, _ = io.Copy(w, r.Body)
	})
	srv := httptest.NewServer(mux)
	done := make(chan struct{})
	begin := make(chan struct{}, 8)
	go func() {
		defer close(done)
		<-begin
		_ = s.Stop(context.Background())
	}()
	stop = func() { begin <- struct{}{} }
	t.Cleanup(func() {
		stop()
		<-done
		srv.Close()
	})
	return srv.URL, stop
}

func TestRunSuite_PassesARightServer(t *testing.T) {
	url, _ := serveSocket(t)
	wsxtest.RunSuite(t, suite(t, map[string]string{
		"values": `{"connect":{"subprotocols":["wsx.v1"],"subprotocol":"wsx.v1"}},` +
			`{"send":{"type":"rpc.request","id":"${run}","method":"echo","params":{"a":[1]}}},` +
			`{"receive":{"type":"rpc.response","id":"${run}","result":{"a":[1]}}}`,
		"text": `{"connect":{}},{"text":["{\"type\":\"rpc.request\",\"id\":1.0,` +
			`\"method\":\"echo\",\"params\":\"",{"repeat":"ab","times":40000},"\"}"]},` +
			`{"closed":1009}`,
		"verbatim": `{"connect":{}},{"text":"{\"type\":\"rpc.ping\",\"id\":1.0}"},` +
			`{"receive":{"type":"rpc.pong","id":1},"contains":["1.0"],"lacks":["2.0"]}`,
		"binary": `{"connect":{}},{"binary":"{\"type\":\"rpc.ping\"}"},` +
			`{"receive":{"type":"rpc.pong"}}`,
		"frames": `{"connect":{}},{"frames":[{"opcode":1,"fin":false,"payload":"{\"type\":"},` +
			`{"opcode":9,"payload":"x"},{"opcode":0,"payload":"\"rpc.ping\"}"}]},{"pong":"x"},` +
			`{"receive":{"type":"rpc.pong"}}`,
		"pings": `{"connect":{}},{"ping":"x"},{"pong":"x"}`,
		"bad frame": `{"connect":{}},{"frames":[{"opcode":1,"masked":false,"payload":"{}"}]},` +
			`{"closed":1002}`,
		"unordered": `{"connect":{}},{"send":{"type":"rpc.request","id":1,"method":"sleep",` +
			`"params":50}},{"send":{"type":"rpc.ping"}},{"unordered":[{"type":"rpc.response",` +
			`"id":1,"result":50},{"type":"rpc.pong"}]}`,
		"until": `{"connect":{}},{"repeat":{"times":3,"steps":[{"send":{"type":"rpc.ping",` +
			`"id":"${i}"}}]}},{"until":{"type":"rpc.pong","id":2},"skip":{"type":"rpc.pong",` +
			`"id":"$integer"}}`,
		"poll": `{"connect":{}},{"poll":{"send":{"type":"rpc.request","id":1,` +
			`"method":"next"},"until":{"type":"rpc.response","id":1,"result":5},` +
			`"else":{"type":"rpc.response","id":1,"result":"$integer"}},"contains":["5"]}`,
		"close": `{"connect":{"small":true}},{"close":1000}`,
		"drop": `{"connect":{}},{"connect":{},"on":"b"},{"drop":true},` +
			`{"send":{"type":"rpc.ping"},"on":"b"},{"receive":{"type":"rpc.pong"},"on":"b"}`,
		"refused": `{"connect":{"headers":{"Origin":"https://evil.example"},"status":403,` +
			`"answer":{"headers":{"Content-Type":"application/problem+json","X":"$absent"},` +
			`"json":{"status":403,"$more":true}}}}`,
		"rebound": `{"connect":{"headers":{"Host":"a.example",` +
			`"Origin":["http://a.example"],"X":[]}}}`,
		"http": `{"http":{"json":{"run":"${run}"},` +
			`"answer":{"headers":{"Content-Type":"application/json","X-Two":"1, ` +
			`2"},"json":{"run":"${run}"},"contains":["${run}"],"lacks":["!"]}}}`,
		"http text": `{"http":{"method":"PUT","path":"/rpc?a=1",` +
			`"headers":{"Content-Type":"text/x"},"text":"",` +
			`"answer":{"headers":{"Content-Type":"text/x"},"empty":true}}},` +
			`{"http":{"method":"GET","path":"/nothing","status":404}}`,
		"leftover": `leftover {"connect":{}},{"send":{"type":"rpc.ping"}}`,
		"stop": `{"connect":{}},{"send":{"type":"rpc.request","id":1,"method":"sleep",` +
			`"params":100}},{"send":{"type":"rpc.ping"}},{"receive":{"type":"rpc.pong"}},` +
			`{"stop":true},{"receive":{"type":"rpc.response","id":1,"result":100}},{"closed":1001}`,
	}), &wsxtest.Target{URL: url, Start: func() (string, func(), error) {
		url, stop := serveSocket(t)
		return url, stop, nil
	}})
}

func TestRunSuite_SkipsWhatNeedsAServerOfItsOwn(t *testing.T) {
	s := suite(t, map[string]string{"stop": `{"connect":{}},{"stop":true},{"closed":1001}`})
	target := &wsxtest.Target{URL: "http://127.0.0.1:1"}
	wsxtest.RunSuite(t, s, target)
	if err := s.Vectors[0].Run(t.Context(), target); err == nil ||
		!strings.Contains(err.Error(), "Start") {
		t.Error(err)
	}
}

func TestVector_RunEndsWithItsContext(t *testing.T) {
	url, _ := serveSocket(t)
	s := suite(t,
		map[string]string{
			"wait": `{"connect":{}},{"receive":{}}`,
			"poll": `{"connect":{}},{"poll":{"send":{"type":"rpc.ping"},"until":[],` +
				`"else":"$any"}}`,
		})
	for _, v := range s.Vectors {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if err := v.Run(ctx, &wsxtest.Target{URL: url, Timeout: time.Hour}); err == nil {
			t.Errorf("%s passed", v.Name)
		}
		cancel()
	}
}

func TestVector_RunWantsAURL(t *testing.T) {
	s := suite(t, map[string]string{"wait": `{"connect":{}}`})
	for _, url := range []string{
		"", "ws://127.0.0.1:1", "127.0.0.1:1", "http://",
		"http://127.0.0.1:1",
	} {
		if err := s.Vectors[0].Run(t.Context(), &wsxtest.Target{URL: url}); err == nil {
			t.Errorf("%q is served", url)
		}
	}
}

func TestSuite_ListsWhatNothingCovers(t *testing.T) {
	s, err := wsxtest.LoadSuite(
		fstest.MapFS{
			"0.json": {
				Data: []byte(
					`{"section":"0","rows":[{"id":"a","text":"A"},{"id":"b","text":"B",` +
						`"tests":["wsx.TestB"]},{"id":"c","text":"C"}],
		"vectors":[{"name":"v","rows":["a"],"steps":[{"connect":{}}]}]}`),
			},
		})
	if err != nil {
		t.Fatal(err)
	}
	if left := s.Uncovered(); len(left) != 1 || left[0].ID != "c" {
		t.Errorf("%v", left)
	}
}

func TestLoadSuite_RefusesWhatIsNotInTheFormat(t *testing.T) {
	vector := func(steps string) string {
		return `{"section":"0","rows":[{"id":"a","text":"A"}],"vectors":[{"name":"v",` +
			`"rows":["a"],"steps":[` + steps + `]}]}`
	}
	for name, doc := range map[string]string{
		"not JSON":               `{`,
		"an unknown member":      `{"section":"0","row":[]}`,
		"an unknown step":        vector(`{"sent":1}`),
		"an unknown qualifier":   vector(`{"connect":{},"expect":1}`),
		"no action":              vector(`{"on":"x"}`),
		"two actions":            vector(`{"send":1,"receive":1}`),
		"an unknown placeholder": vector(`{"receive":{"a":["$strnig"]}}`),
		"one in unordered":       vector(`{"unordered":["$strnig"]}`),
		"one in skip":            vector(`{"closed":1,"skip":"$strnig"}`),
		"one in a poll":          vector(`{"poll":{"send":1,"until":"$strnig","else":1}}`),
		"one in an HTTP answer":  vector(`{"http":{"answer":{"json":"$strnig"}}}`),
		"one in a refusal":       vector(`{"connect":{"answer":{"json":"$strnig"}}}`),
		"a false more":           vector(`{"receive":{"$more":false}}`),
		"unordered beside more":  vector(`{"receive":{"$unordered":[],"a":1}}`),
		"skip alone":             vector(`{"receive":1,"skip":1}`),
		"until without skip":     vector(`{"until":1}`),
		"contains of nothing":    vector(`{"send":1,"contains":["x"]}`),
		"an empty repeat":        vector(`{"repeat":{"times":0,"steps":[{"connect":{}}]}}`),
		"a fault in a repeat":    vector(`{"repeat":{"times":1,"steps":[{}]}}`),
		"half a poll":            vector(`{"poll":{"send":1,"until":1}}`),
		"a bad part of a text":   vector(`{"text":[{"repeat":"x"}]}`),
		"bad hex":                vector(`{"text":[{"hex":"xx"}]}`),
		"no text":                vector(`{"text":5}`),
		"no part":                vector(`{"text":[5]}`),
		"a bad header":           vector(`{"connect":{"headers":{"A":5}}}`),
		"no steps":               vector(``),
		"no rows": `{"section":"0","vectors":[{"name":"v","rows":[],` +
			`"steps":[{"connect":{}}]}]}`,
		"a row of nobody": `{"section":"0","vectors":[{"name":"v","rows":["x"],` +
			`"steps":[{"connect":{}}]}]}`,
		"a row twice": `{"section":"0","rows":[{"id":"a","text":"A"},{"id":"a",` +
			`"text":"A"}]}`,
		"a row without text": `{"section":"0","rows":[{"id":"a"}]}`,
		"a name twice": `{"section":"0","rows":[{"id":"a","text":"A"}],` +
			`"vectors":[{"name":"v","rows":["a"],"steps":[{"connect":{}}]},{"name":"v",` +
			`"rows":["a"],"steps":[{"connect":{}}]}]}`,
	} {
		if _, err := wsxtest.LoadSuite(fstest.MapFS{"0.json": {Data: []byte(doc)}}); err == nil {
			t.Errorf("%s is loaded", name)
		}
	}
}
