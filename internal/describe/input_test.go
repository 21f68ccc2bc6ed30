package describe_test

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/internal/describe"
	"github.com/genropy/genro-asgi-go/openapi"
	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
	"github.com/genropy/genro-asgi-go/tasks/taskshttp"
	"github.com/genropy/genro-asgi-go/wsx"
)

type (
	page struct {
		Limit int `query:"limit" default:"20"`
	}
	Where struct{ City string }
	whole struct {
		page
		*Where
		ID    int64             `path:"id" json:"key"`
		Since *time.Time        `header:"if-modified-since"`
		Sort  []string          `query:"sort"`
		Addr  []netip.Addr      `query:"addr"`
		Raw   string            `cookie:"raw"`
		Rest  map[string]string `json:",embed"`
		own   int
		Off   int `json:"-"`
	}
	form struct {
		Name  string           `form:"name"`
		Photo *asgi.FormFile   `form:"photo"`
		More  []*asgi.FormFile `form:"more"`
	}
	empty struct {
		_ int
		*page
	}
	loop struct { // a pointer leads back to it
		*loop        //nolint:unused // just what is tested
		Q     string `query:"q"`
	}
	left    struct{ page }
	right   struct{ page }
	diamond struct { // has the page on two ways, and one parameter of it
		left
		right
	}
	csv []string // reads its text itself
	two struct {
		// decode themselves, each of them, and the struct does not: two methods of one name are
		// none
		netip.Prefix
		netip.Addr
		Q string `query:"q"`
	}
	shapes struct {
		Raw     []byte  `query:"raw"`
		CSV     csv     `query:"csv"`
		Far     **int   `query:"far"`
		FarList *[]*int `query:"far-list"`
		Twice   string  `query:"first" header:"second"`
		Secret  string  `header:"authorization" json:"-"`
		private int     //nolint:unused // which nobody sends
	}
)

func (c *csv) UnmarshalText(b []byte) error {
	*c = strings.Split(string(b), ",")
	return nil
}

var _ = whole{}.own

// told is an input in one line each.
func told(in describe.Input) string {
	var b strings.Builder
	for _, p := range in.Params {
		fmt.Fprintf(&b, "%s %s %v list=%t required=%t default=%q file=%t member=%s\n", p.In, p.Name,
			p.Type, p.List, p.Required, p.Default, p.File, p.Member)
	}
	for _, m := range in.Body {
		fmt.Fprintf(&b, "%s %v without %v as %s\n", m.Type, m.Of, m.Without, m.WithoutName)
	}
	return b.String()
}

func TestInputOf(t *testing.T) {
	for _, c := range []struct {
		of   reflect.Type
		want string
	}{
		{
			reflect.TypeFor[*whole](),
			`query limit int list=false required=false default="20" file=false member=Limit
path id int64 list=false required=true default="" file=false member=key
header If-Modified-Since time.Time list=false required=false default="" file=false member=Since
query sort string list=true required=false default="" file=false member=Sort
query addr netip.Addr list=true required=false default="" file=false member=Addr
cookie raw string list=false required=false default="" file=false member=Raw
application/json [describe_test.whole] without [Limit key Since Sort Addr Raw] as wholeBody
`,
		},
		{
			reflect.TypeFor[form](),
			`form name string list=false required=false default="" file=false member=Name
form photo asgi.FormFile list=false required=false default="" file=true member=Photo
form more asgi.FormFile list=true required=false default="" file=true member=More
`,
		},
		{
			reflect.TypeFor[empty](),
			"query limit int list=false required=false default=\"20\" file=false member=Limit\n",
		},
		{
			reflect.TypeFor[loop](),
			"query q string list=false required=false default=\"\" file=false member=Q\n",
		},
		{
			reflect.TypeFor[diamond](),
			"query limit int list=false required=false default=\"20\" file=false member=Limit\n",
		},
		{
			reflect.TypeFor[two](),
			"query q string list=false required=false default=\"\" file=false " +
				"member=Q\napplication/json [describe_test.two] without [Q] as twoBody\n",
		},
		{
			reflect.TypeFor[shapes](),
			`query raw []uint8 list=false required=false default="" file=false member=Raw
query csv describe_test.csv list=false required=false default="" file=false member=CSV
query far int list=false required=false default="" file=false member=Far
query far-list int list=true required=false default="" file=false member=FarList
query first string list=false required=false default="" file=false member=Twice
header Authorization string list=false required=false default="" file=false member=-
`,
		},
		{reflect.TypeFor[struct{}](), ""},
		{reflect.TypeFor[[]int](), "application/json [[]int] without [] as \n"},
		{reflect.TypeFor[time.Time](), "application/json [time.Time] without [] as \n"},
		{
			reflect.TypeFor[struct {
				A int `query:"a"`
				B int
			}](),
			"query a int list=false required=false default=\"\" file=false " +
				"member=A\napplication/json [struct { A int \"query:\\\"a\\\"\"; B int }] " +
				"without [A] as \n",
		},
	} {
		in := describe.InputOf(c.of)
		if got := told(in); got != c.want {
			t.Errorf("%v:\n%swant\n%s", c.of, got, c.want)
		}
		if in.HasBody() !=
			(strings.Contains(c.want, "form ") || strings.Contains(c.want, "application/json")) {
			t.Errorf("%v: a body: %t", c.of, in.HasBody())
		}
	}
}

func TestOf_AsksWhatIsOurs(t *testing.T) {
	typed := asgi.Handle(func(context.Context, whole) (struct{}, error) { return struct{}{}, nil })
	app := asgi.New(typed)
	server := wsx.NewServer(nil, nil)
	for name, h := range map[string]http.Handler{
		"typed": typed, "wrapped": (&asgi.Limits{}).Wrap(typed), "an app": app, "live": app.Live(),
		"ready": app.Ready(),
		"socket": asgi.HandleWebSocket(func(context.Context, *asgi.WebSocket) error { return nil },
			nil),
		"server": server, "its method": http.HandlerFunc(server.ServeHTTP),
		"JSON-RPC":                 wsx.JSONRPC(wsx.NewDispatcher(), nil),
		"a method of an interface": http.HandlerFunc(http.Handler(server).ServeHTTP),
		"of a function":            http.HandlerFunc(typed.ServeHTTP),
	} {
		if found, ok := describe.Of(h); !ok || len(found) != 1 {
			t.Errorf("%s: %v %t", name, found, ok)
		}
	}
	if inner := describe.Inner(app); reflect.ValueOf(inner).Pointer() !=
		reflect.ValueOf(typed).Pointer() || describe.Inner(typed) != nil {
		t.Error("an app tells its handler, and nobody else has one")
	}
	if _, ok := describe.Of(asgi.New(foreign{t})); ok {
		t.Error("an app tells of a foreign handler")
	}
	if inner := describe.Inner(asgi.New(foreign{t})); inner != (foreign{t}) {
		t.Errorf("%v", inner)
	}
	auth := wsx.Authenticator(func(*http.Request, string) (wsx.Identity, error) {
		return wsx.Identity{}, nil
	})
	for want, mw := range map[describe.Auth]func(http.Handler) http.Handler{
		describe.Bearer: auth.Middleware, describe.BearerOptional: auth.Optional,
	} {
		if e, ok := describe.Middleware(mw); !ok || e.Auth != want {
			t.Errorf("%+v %t", e, ok)
		}
	}
}

// What is around a handler tells what that tells, and what it adds itself, of each operation; and
// nothing where that tells nothing.
func TestOf_AddsWhatIsAround(t *testing.T) {
	jobs := taskshttp.Handler(tasks.New(memstore.New(), nil), nil)
	inside, ok := describe.Of(jobs)
	if !ok || len(inside) < 2 {
		t.Fatalf("%v %t", inside, ok)
	}
	auth := wsx.Authenticator(func(*http.Request, string) (wsx.Identity, error) {
		return wsx.Identity{}, nil
	})
	for range 2 { // to ask changes nothing
		found, ok := describe.Of(auth.Middleware((&asgi.Limits{}).Wrap(asgi.New(jobs))))
		if !ok || len(found) != len(inside) {
			t.Fatalf("%d operations of %d, %t", len(found), len(inside), ok)
		}
		for i := range found {
			if found[i].Auth != describe.Bearer || inside[i].Auth != describe.NoAuth ||
				found[i].Path != inside[i].Path || found[i].Method != inside[i].Method {
				t.Errorf("%+v\nof %+v", found[i], inside[i])
			}
			if want := append(slices.Clone(inside[i].Errors), 400, 401, 403,
				500); !slices.Equal(found[i].Errors, want) {
				t.Errorf("%v, want %v", found[i].Errors, want)
			}
		}
	}
	for name, around := range map[string]func(http.Handler) http.Handler{
		"a middleware": auth.Middleware, "limits": (&asgi.Limits{}).Wrap,
		"an app": func(h http.Handler) http.Handler { return asgi.New(h) },
	} {
		if found, ok := describe.Of(around(foreign{t})); ok || found != nil {
			t.Errorf("%s around a foreign handler tells %v", name, found)
		}
	}
	described := openapi.Describe(foreign{t}, openapi.Operation{Summary: "S"})
	if found, ok := describe.Of(described); !ok || len(found) != 1 ||
		found[0].Operation.(openapi.Operation).Summary != "S" {
		t.Errorf("%v %t", found, ok)
	}
	if e, ok := describe.Middleware(
		openapi.Defaults(openapi.Operation{Tags: []string{"t"}})); !ok ||
		len(e.Operation.(openapi.Operation).Tags) != 1 {
		t.Errorf("%+v %t", e, ok)
	}
	if e, ok := describe.Middleware((&asgi.Limits{}).Wrap); ok {
		t.Errorf("%+v of a middleware that adds nothing", e)
	}
}

// An app in an app hands on to that, and that to its handler.
func TestInner(t *testing.T) {
	inmost := &foreign{t}
	inner := asgi.New(inmost)
	outer := asgi.New(inner)
	if describe.Inner(outer) != http.Handler(inner) ||
		describe.Inner(inner) != http.Handler(inmost) || describe.Inner(inmost) != nil ||
		describe.Inner(nil) != nil {
		t.Error("somebody is not found, or found too early")
	}
	if got := describe.Inner(http.HandlerFunc(outer.ServeHTTP)); got != nil &&
		got != http.Handler(inner) {
		t.Errorf("%v", got)
	}
}

func TestProbe_LosesWhatIsWritten(t *testing.T) {
	var p describe.Probe
	p.Header().Set("X", "y")
	p.WriteHeader(200)
	if n, err := p.Write([]byte("abc")); n != 3 || err != nil || len(p.Header()) != 0 {
		t.Errorf("%d %v %v", n, err, p.Header())
	}
}
