package main

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
)

func TestOrders_FromCreatedToSent(t *testing.T) {
	s := serve(t)
	ada, staff := token(t, "ada", ""), token(t, "sam", "staff")
	created := s.send(ada, "POST", "/orders", tea)
	o := as[Order](t, created, 201)
	path := created.header.Get("Location")
	if path != "/orders/"+strconv.FormatInt(o.ID, 10) || o.Customer != "ada" || o.State != Open ||
		o.Cents != 300 || o.Version != 1 {
		t.Fatalf("%s %+v", path, o)
	}
	if got := as[Order](t, s.send(ada, "GET", path, ""), 200); got.ID != o.ID ||
		!got.Created.Equal(o.Created) || got.Note != "for Ada" {
		t.Errorf("%+v", got)
	}
	o = as[Order](t,
		s.send(ada, "PUT", path, `{"version":1,"items":[{"sku":"tea","quantity":3,"cents":150}]}`),
		200)
	if o.Cents != 450 || o.Note != "" || o.Version != 2 {
		t.Errorf("%+v", o)
	}
	if o = as[Order](t, s.send(staff, "POST", path+"/send", ""), 200); o.State != Sent ||
		o.Version != 3 {
		t.Errorf("%+v", o)
	}
	p, _ := wrong(t, s.send(ada, "POST", path+"/cancel", ""))
	if p.Status != 409 || p.Code != "ORDER_SENT" {
		t.Errorf("%+v", p)
	}
}

func TestOrders_ListPageByPage(t *testing.T) {
	s := serve(t)
	ada, bob, staff := token(t, "ada", ""), token(t, "bob", ""), token(t, "sam", "staff")
	if got := s.send(ada, "GET", "/orders", ""); got.body != `{"orders":[]}` {
		t.Errorf("nothing is %s", got.body)
	}
	var ids []int64
	for range 5 {
		ids = append(ids, s.order(ada).ID)
	}
	foreign := s.order(bob).ID
	s.send(ada, "POST", orderPath(ids[4])+"/cancel", "")
	var seen []int64
	for path, pages := "/orders?limit=2", 0; path != ""; pages++ {
		page := as[Page](t, s.send(ada, "GET", path, ""), 200)
		for _, o := range page.Orders {
			seen = append(seen, o.ID)
		}
		if path = ""; page.Next != 0 {
			path = "/orders?limit=2&after=" + strconv.FormatInt(page.Next, 10)
		}
		if pages > 2 {
			t.Fatal("it never ends")
		}
	}
	if len(seen) != 5 || seen[0] != ids[4] || seen[4] != ids[0] {
		t.Errorf("%v, want %v from the end", seen, ids)
	}
	open := as[Page](t, s.send(ada, "GET", "/orders?state=open", ""), 200)
	if len(open.Orders) != 4 || open.Next != 0 {
		t.Errorf("%+v", open)
	}
	if all := as[Page](t, s.send(staff, "GET", "/orders", ""), 200); len(all.Orders) != 6 ||
		all.Orders[0].ID != foreign {
		t.Errorf("%+v", all)
	}
}

func TestOrders_Import(t *testing.T) {
	s := serve(t)
	ada, market, other := token(t, "ada", ""), token(t, "market", "partner"), token(t, "bazaar",
		"partner")
	// more than we know
	const in = `{"reference":"m-1","customer":"ada","items":[{"sku":"tea","quantity":1,` +
		`"cents":150,"colour":"green"}],"campaign":{"id":7}}`
	first := s.send(market, "POST", "/import", in)
	o := as[Imported](t, first, 201)
	if first.header.Get("Location") != orderPath(o.ID) {
		t.Errorf("%v %+v", first.header, o)
	}
	if again := as[Imported](t, s.send(market, "POST", "/import", in), 200); again.ID != o.ID {
		t.Errorf("%+v", again)
	}
	if another := as[Imported](t, s.send(other, "POST", "/import", in), 201); another.ID == o.ID {
		t.Error("references of two partners are the same")
	}
	if got := as[Order](t, s.send(ada, "GET", orderPath(o.ID), ""), 200); got.Customer != "ada" {
		t.Errorf("%+v", got)
	}
}

// upload sends files, of a name and content each, as the form fields "file".
func (s *service) upload(bearer, path string, files ...string) answer {
	s.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for i := 0; i < len(files); i += 2 {
		part, err := w.CreatePart(
			textproto.MIMEHeader{
				"Content-Disposition": {`form-data; name="file"; filename="` + files[i] + `"`},
			})
		if err == nil {
			_, err = part.Write([]byte(files[i+1]))
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		s.t.Fatal(err)
	}
	return s.send(bearer, "POST", path, body.String(), "Content-Type", w.FormDataContentType())
}

const pdf = "%PDF-1.7\n"

func TestOrders_Attachments(t *testing.T) {
	s := serve(t)
	ada := token(t, "ada", "")
	path := orderPath(s.order(ada).ID) + "/attachments"
	big := pdf + strings.Repeat("x", 2<<20) // more than another route takes
	sent := s.upload(ada, path, "../../invoice.pdf", big)
	a := as[Attachment](t, sent, 201)
	if a.Name != "invoice.pdf" || a.Type != "application/pdf" || a.Size != len(big) {
		t.Errorf("%+v", a)
	}
	got := s.send(ada, "GET", sent.header.Get("Location"), "")
	disposition := got.header.Get("Content-Disposition")
	if got.status != 200 || got.body != big ||
		got.header.Get("Content-Type") != "application/pdf" ||
		!strings.Contains(disposition, "invoice.pdf") {
		t.Errorf("%d %v, %d bytes", got.status, got.header, len(got.body))
	}
}

// Each error of each route, as a client sees it.
func TestOrders_Errors(t *testing.T) {
	s := serve(t)
	ada, bob, staff, market := token(t, "ada", ""), token(t, "bob", ""), token(t, "sam",
		"staff"), token(t, "market", "partner")
	mine := orderPath(s.order(ada).ID)
	sent, cancelled := orderPath(s.order(ada).ID), orderPath(s.order(ada).ID)
	s.send(staff, "POST", sent+"/send", "")
	s.send(ada, "POST", cancelled+"/cancel", "")
	expired, err := testKeys.issue("ada", "", -time.Second)
	if err != nil {
		t.Fatal(err)
	}
	forged, err := keys("another key that is long enough, too").issue("ada", "staff", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	// {"alg":"none"}
	const none = "eyJhbGciOiJub25lIn0.eyJpc3MiOiJvcmRlcnMiLCJzdWIiOiJhZGEiLCJleHAiOjQ4MDAwMDAwMDB9."
	update := `{"version":1,` + tea[1:]
	for name, c := range map[string]struct {
		bearer, method, path, body string
		status                     int
		code, fields               string
	}{
		"no token":          {"", "GET", "/orders", "", 401, "UNAUTHENTICATED", ""},
		"an expired token":  {expired, "GET", "/orders", "", 401, "UNAUTHENTICATED", ""},
		"a forged token":    {forged, "GET", "/orders", "", 401, "UNAUTHENTICATED", ""},
		"an unsigned token": {none, "GET", "/orders", "", 401, "UNAUTHENTICATED", ""},
		"no such path":      {ada, "GET", "/nowhere", "", 404, "", ""},
		"no such method":    {ada, "DELETE", "/orders", "", 405, "", ""},
		"no such order":     {ada, "GET", "/orders/999", "", 404, "", ""},
		"another's order":   {bob, "GET", mine, "", 404, "", ""},
		"another's update":  {bob, "PUT", mine, update, 404, "", ""},
		"another's cancel":  {bob, "POST", mine + "/cancel", "", 404, "", ""},
		"an id that is none": {
			ada, "GET", "/orders/x", "", 422, "",
			"path/id must be an integer",
		},
		"no body": {ada, "POST", "/orders", "", 400, "", ""},
		"no JSON": {ada, "POST", "/orders", "{", 400, "", ""},
		"a wrong type": {
			ada, "POST", "/orders", `{"items":7}`, 422, "",
			"body/items must be an array",
		},
		"an unknown member": {
			ada, "POST", "/orders", `{"itmes":[]}`, 422, "",
			"body/itmes is not known here",
		},
		"no items": {
			ada, "POST", "/orders", `{"items":[]}`, 422, "",
			"body/items must satisfy min=1",
		},
		"a bad item": {
			ada, "POST", "/orders", `{"items":[{"sku":"","quantity":0}]}`, 422,
			"", "body/items/0/sku is required; body/items/0/quantity must satisfy min=1",
		},
		"a long note": {
			ada, "POST", "/orders",
			tea[:len(tea)-2] + strings.Repeat("x", 500) + `"}`, 422, "",
			"body/note must satisfy max=500",
		},
		"too large": {
			ada, "POST", "/orders", tea + strings.Repeat(" ", 1<<20), 413, "",
			"",
		},
		"a bad limit": {
			ada, "GET", "/orders?limit=101&after=-1", "", 422, "",
			"query/limit must satisfy max=100; query/after must satisfy min=0",
		},
		"a bad state": {
			ada, "GET", "/orders?limit=ten&state=lost", "", 422, "",
			`query/state must be one of "open", "sent", "cancelled"; query/limit must be ` +
				`an integer`,
		},
		"an old version": {
			ada, "PUT", mine, strings.Replace(update, "1", "2", 1), 409,
			"STALE_VERSION", "",
		},
		"no version": {ada, "PUT", mine, tea, 422, "", "body/version must satisfy min=1"},
		"an update, sent": {
			ada, "PUT", sent, strings.Replace(update, "1", "2", 1), 409,
			"ORDER_SENT", "",
		},
		"a cancel, sent": {ada, "POST", sent + "/cancel", "", 409, "ORDER_SENT", ""},
		"a cancel, cancelled": {
			ada, "POST", cancelled + "/cancel", "", 409, "ORDER_CANCELLED",
			"",
		},
		"a send by a customer": {ada, "POST", mine + "/send", "", 403, "", ""},
		"a send, cancelled": {
			staff, "POST", cancelled + "/send", "", 409, "ORDER_CANCELLED",
			"",
		},
		"an import by others": {
			ada, "POST", "/import",
			`{"reference":"r","customer":"ada",` + tea[1:], 403, "", "",
		},
		"a bad import": {
			market, "POST", "/import", tea, 422, "",
			"body/reference is required; body/customer is required",
		},
		"no form":              {ada, "POST", mine + "/attachments", "{}", 415, "", ""},
		"no such attachment":   {ada, "GET", mine + "/attachments/1", "", 404, "", ""},
		"another's attachment": {bob, "GET", mine + "/attachments/1", "", 404, "", ""},
		"no handshake":         {ada, "GET", "/ws", "", 426, "", ""},
		"no such job":          {ada, "GET", "/jobs/x", "", 404, "", ""},
		"no such kind of job":  {ada, "POST", "/jobs/x", "{}", 404, "", ""},
		"a bad job": {
			ada, "POST", "/jobs/export", `{"state":"lost"}`, 422, "",
			`body/state must be one of "open", "sent", "cancelled"`,
		},
		"a job of nobody":      {"", "POST", "/jobs/export", "{}", 401, "UNAUTHENTICATED", ""},
		"no such list of jobs": {ada, "GET", "/jobs/?limit=x", "", 400, "", ""},
		"no JSON-RPC":          {ada, "POST", "/rpc", "", 415, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := s.send(c.bearer, c.method, c.path, c.body)
			p, fields := wrong(t, a)
			if a.status != c.status || p.Status != c.status || p.Code != c.code ||
				fields != c.fields {
				t.Errorf("status %d, code %q, fields %q", a.status, p.Code, fields)
			}
		})
	}
	for name, c := range map[string]struct {
		files  []string
		path   string
		status int
		fields string
	}{
		"no file": {nil, mine, 422, "form/file is required"},
		"two files": {
			[]string{"a", pdf, "b", pdf},
			mine, 422,
			"form/file must be given once",
		},
		"of another type": {[]string{"a.pdf", "<html>"}, mine, 415, ""},
		"too large":       {[]string{"a.pdf", pdf + strings.Repeat("x", 5<<20)}, mine, 413, ""},
		"no such order":   {[]string{"a.pdf", pdf}, "/orders/999", 404, ""},
		"no id":           {[]string{"a.pdf", pdf}, "/orders/x", 422, "path/id must be an integer"},
	} {
		t.Run("upload "+name, func(t *testing.T) {
			a := s.upload(ada, c.path+"/attachments", c.files...)
			if _, fields := wrong(t, a); a.status != c.status || fields != c.fields {
				t.Errorf("status %d, fields %q", a.status, fields)
			}
		})
	}
}

func TestOrders_HealthAndCORS(t *testing.T) {
	s := serve(t)
	for _, path := range []string{"/live", "/ready"} {
		if a := s.send("", "GET", path, ""); a.status != 200 {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	for origin, want := range map[string]string{
		"https://shop.example": "https://shop.example",
		"https://evil.example": "",
	} {
		a := s.send("", http.MethodOptions, "/orders", "", "Origin", origin,
			"Access-Control-Request-Method", "PUT",
			"Access-Control-Request-Headers", "authorization")
		if got := a.header.Get("Access-Control-Allow-Origin"); got != want {
			t.Errorf("%s: %q", origin, got)
		}
		// A problem can be read by the page as well.
		if got := s.send("", "GET", "/orders", "", "Origin",
			origin).header.Get("Access-Control-Allow-Origin"); got != want {
			t.Errorf("%s, 401: %q", origin, got)
		}
	}
}

// The documents are what the command prints, and name every route.
func TestOrders_Documents(t *testing.T) {
	s := serve(t)
	_, doc, err := newApp(config{}, nil, memstore.New(), asgi.Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	var printed bytes.Buffer
	if _, err := doc.WriteTo(&printed); err != nil {
		t.Fatal(err)
	}
	served := s.send("", "GET", "/openapi.json", "")
	if served.status != 200 || served.body != printed.String() {
		t.Errorf("%d, served %d bytes and printed %d", served.status, len(served.body),
			printed.Len())
	}
	var paths struct {
		Paths map[string]map[string]struct {
			ID        string         `json:"operationId"`
			Responses map[string]any `json:"responses"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(printed.Bytes(), &paths); err != nil {
		t.Fatal(err)
	}
	for route, want := range map[string]string{
		"GET /orders": "listOrders 200", "POST /orders": "createOrder 201 422",
		"GET /orders/{id}": "getOrder 200 404", "PUT /orders/{id}": "updateOrder 409",
		"POST /orders/{id}/cancel": "cancelOrder 409", "POST /orders/{id}/send": "sendOrder 403",
		"POST /orders/{id}/attachments":             "attach 201 413 415",
		"GET /orders/{id}/attachments/{attachment}": "getAttachment 200",
		"POST /import": "importOrder 200 201", "POST /jobs/export": "submit.export 202",
		"GET /jobs/{id}/result": "getResult 200 202 409", "POST /rpc": "callJSONRPC 200 204",
		"GET /ws": "openWebSocket 101 426", "GET /ready": "ready 503",
	} {
		method, path, _ := strings.Cut(route, " ")
		op := paths.Paths[path][strings.ToLower(method)]
		id, statuses, _ := strings.Cut(want, " ")
		if op.ID != id {
			t.Errorf("%s: operationId %q, want %q", route, op.ID, id)
		}
		for status := range strings.FieldsSeq(statuses) {
			if op.Responses[status] == nil {
				t.Errorf("%s: no %s", route, status)
			}
		}
	}
	for path, part := range map[string]string{
		"/openrpc.json":  `"orders.create"`,
		"/asyncapi.json": `"orders.{token1}"`, "/docs": "<title>",
	} {
		if a := s.send("", "GET", path, ""); a.status != 200 || !strings.Contains(a.body, part) {
			t.Errorf("%s: %d, %d bytes", path, a.status, len(a.body))
		}
	}
}
