package page_test

import (
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/openapi"
)

// hostile has markup wherever a text may be, references in circles, and links to what no page
// should follow.
const hostile = `{
	"openapi": "3.1.1",
	"info": ` +
	`{"title": "<script>alert(1)</script>", "version": "<b>1</b>", "description": "<img src=x ` +
	`onerror=alert(1)>"},
	"servers": [{"url": "{x}", "variables": {"x": {"default": "javascript:alert(1)//"}}}],
	"tags": [{"name": "<svg onload=alert(1)>", "description": "<iframe src=//evil.example>"}],
	"paths": {"/<style>*{display:none}</style>/{a}": {"post": {
		"operationId": "\"><img src=x>", "tags": ["<svg onload=alert(1)>"], "summary": "<a ` +
	`href=javascript:alert(1)>x</a>",
		"parameters": ` +
	`[{"name": "a", "in": "path", "required": true, "schema": {"$ref": ` +
	`"#/components/schemas/__proto__"}}, {"name": "constructor", "in": "query", "schema": ` +
	`{"$ref": "#/components/schemas/A"}}],
		"requestBody": ` +
	`{"content": {"application/json": {"schema": {"$ref": "#/components/schemas/A"}}}},
		"responses": ` +
	`{"200": {"description": "<form>", "content": {"text/html": {"example": ` +
	`"<script>alert(1)</script>"}}}}
	}}},
	"components": {"schemas": {
		"A": ` +
	`{"properties": {"__proto__": {"type": "object", "properties": {"polluted": {"default": ` +
	`true}}}, "b": {"$ref": "#/components/schemas/B"}, "<i>": {"enum": ["<b>"], "description": ` +
	`"<u>"}}},
		"B": ` +
	`{"anyOf": [{"$ref": "#/components/schemas/A"}, {"type": "array", "items": {"$ref": ` +
	`"#/components/schemas/B"}}], "allOf": [{"$ref": "#/components/schemas/C"}]},
		"C": {"$ref": "#/components/schemas/D"}, "D": {"$ref": "#/components/schemas/C"},
		"__proto__": {"type": "string"}
	}}
}`

// documents serves a page of the document that current returns.
func documents(current func() string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/openapi.json",
		func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(current())) })
	mux.Handle("/docs", openapi.Page(nil))
	return mux
}

func TestPage_HostileDocument(t *testing.T) {
	b, base := serve(t, documents(func() string { return hostile }))
	b.open(base + "/docs")
	b.openEverything()
	if got := b.text(
		`document.getElementById('title').textContent + document.querySelector('.item .about, ` +
			`.item p').ownerDocument.querySelectorAll('img, svg, iframe, b, u, i, main style, ` +
			`main script, [onerror], [onload]').length`); got != "<script>alert(1)</script>0" {
		t.Errorf("the title and the elements that became markup are %s", got)
	}
	if got := b.text(
		`[...document.querySelectorAll('a')].map((a) => a.protocol).filter((p) => ` +
			`!/^https?:$/.test(p)).join()`); got != "" {
		t.Errorf("there are links of %s", got)
	}
	if got := b.text(`{}.polluted`); got != "undefined" {
		t.Errorf("the prototype of all objects is changed: %s", got)
	}
	b.eval(`document.querySelector('.item summary').focus()`, nil)
	b.fill("a", "x")
	if line, _ := b.answer(); !strings.HasPrefix(line, "No answer: ") {
		t.Errorf("a server that is a script is answered %s", line)
	}
	b.mu.Lock()
	for _, p := range b.problems {
		if strings.Contains(p, "exceptionDetails") {
			t.Errorf("console: %s", p)
		}
	}
	b.problems = nil // the policy's refusal of that server
	b.mu.Unlock()
}

// oddities are put one at a time in place of any part of a document.
var oddities = []any{
	nil, true, false, 3.0, "text", "#/",
	[]any{},
	[]any{nil, 1.0, "x"},
	map[string]any{},
	map[string]any{"$ref": "#/paths"},
	map[string]any{"$ref": 7.0},
}

// parts calls visit for every member and element of a value, with a function that puts something
// else in its place.
func parts(v any, visit func(put func(any))) {
	switch v := v.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			value := v[name]
			visit(func(x any) { v[name] = x })
			parts(value, visit)
		}
	case []any:
		for i, value := range v {
			visit(func(x any) { v[i] = x })
			parts(value, visit)
		}
	}
}

// The page says so where a document is wrong in some place: it throws nothing, and what else there
// is can be opened. PAGE_ODD says how many documents, by default 6.
func TestPage_OddDocuments(t *testing.T) {
	var current string
	b, base := serve(t, documents(func() string { return current }))
	n := 6
	if s := os.Getenv("PAGE_ODD"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	random := rand.New(rand.NewPCG(1, uint64(n)))
	for i := range n {
		var doc any
		if err := json.Unmarshal(document, &doc); err != nil {
			t.Fatal(err)
		}
		count := 0
		parts(doc, func(func(any)) { count++ })
		where, what := random.IntN(count), oddities[random.IntN(len(oddities))]
		at := 0
		parts(doc, func(put func(any)) {
			if at == where {
				put(what)
			}
			at++
		})
		text, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		current = string(text)
		b.open(base + "/docs")
		b.openEverything()
		b.mu.Lock()
		if len(b.problems) > 0 {
			t.Errorf("document %d: %s\n%s", i, strings.Join(b.problems, "\n"), current)
			b.problems = nil
		}
		b.mu.Unlock()
	}
	for _, broken := range []string{"", "{", "null", "[]", "7", `{"openapi":"3.1.1"}`} {
		current = broken
		b.load(base + "/docs")
		b.until(`document.getElementById('state').textContent === ''`)
		b.quiet()
	}
}
