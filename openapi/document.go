package openapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"iter"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/describe"
	"github.com/genropy/genro-asgi-go/problem"
)

// Document is the OpenAPI 3.1.1 document of routes. It is made once, on first use: when it is first
// served or written, after which routes that come later are not in it. It is safe for concurrent
// use.
type Document struct {
	made func() (content, error)
}

// content is a document as it is served.
type content struct {
	body []byte
	etag string
}

// New returns the document of routes, which are asked for when it is made. opts may be nil. For a
// chi router chiadapter.OpenAPI finds the routes by itself. It panics where routes is nil.
func New(routes iter.Seq[Route], opts *Options) *Document {
	if routes == nil {
		panic("openapi: New: the routes are nil")
	}
	var own Options
	if opts != nil {
		own = *opts
	}
	return &Document{made: sync.OnceValues(func() (content, error) {
		doc, err := build(slices.Collect(routes), &own)
		if err != nil {
			return content{}, err
		}
		body, err := json.Marshal(doc, json.Deterministic(true), jsontext.WithIndent("  "))
		if err != nil {
			return content{}, err
		}
		body = append(body, '\n')
		sum := sha256.Sum256(body)
		return content{body, `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}, nil
	})}
}

// WriteTo writes the document as JSON, without serving anything: the same bytes each time, for a
// file that is compared in CI. The error is w's, or says what of the routes cannot be told in
// OpenAPI: two operations that would be one, two with one operationId, a security scheme that
// nobody defined, a schema or an example that is no JSON.
func (d *Document) WriteTo(w io.Writer) (int64, error) {
	made, err := d.made()
	if err != nil {
		return 0, err
	}
	n, err := w.Write(made.body)
	return int64(n), err
}

// ServeHTTP answers GET and HEAD with the document, as application/json with an ETag. One that
// cannot be made is answered with 500, and the log says why. The route of a Document is not in it.
func (d *Document) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p, ok := w.(*describe.Probe); ok {
		p.Add(describe.Endpoint{Hidden: true})
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		problem.Write(w, r, problem.New(http.StatusMethodNotAllowed, ""))
		return
	}
	made, err := d.made()
	if err != nil {
		problem.Write(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("ETag", made.etag)
	h.Set("Cache-Control", "no-cache") // it is asked again, and answers 304
	h.Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(made.body))
}
