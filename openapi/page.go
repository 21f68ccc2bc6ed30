package openapi

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/genropy/genro-asgi-go/internal/describe"
	"github.com/genropy/genro-asgi-go/problem"
)

// PageOptions say what a [Page] shows. All URLs are as in a link on the page: whole, or relative to
// it ("openapi.json"). One that begins with a single slash is a path of the app ("/openapi.json"),
// whatever prefix a proxy, http.StripPrefix or chiadapter.Mount takes away before the app.
type PageOptions struct {
	// Title is the page's title. Default: that of the first document.
	Title string
	// OpenAPI, OpenRPC and AsyncAPI are the URLs of the documents. Those that are empty are left
	// out; when all are, OpenAPI is "/openapi.json".
	OpenAPI, OpenRPC, AsyncAPI string
	// WebSocket is the URL of a wsx.Server, where the page calls methods and subscribes to
	// channels. Without OpenRPC and AsyncAPI the page asks it for both
	// (wsx.ServerOptions.Describe). A scheme of http or https counts as ws or wss. Default: none,
	// and the page only shows them.
	WebSocket string
	// JSONRPC is the URL of a wsx.JSONRPC, where the page calls methods by POST. Default: none.
	JSONRPC string
	// Servers are further servers that the page may call, such as "https://api.example.com": those
	// of the OpenAPI document that have another origin than the page. Default: none. The browser
	// asks them whether they allow it (CORS).
	Servers []string
}

//go:embed page
var pageFiles embed.FS

// pageScripts are the parts of the page's script, in their order.
var pageScripts = [...]string{
	"dom", "json", "schema", "fields", "credentials", "http", "socket",
	"rpc", "main",
}

type page struct {
	options PageOptions
	policy  string
	html    string // with names in {{ }}, which render fills in
	style   string
	script  string
	version string
}

// Page returns a handler of one HTML page that shows the documents and tries what they describe: it
// sends operations, calls methods and subscribes to channels. Nil options are the zero ones. A URL
// that cannot be read, or whose scheme is neither http nor https (ws and wss for WebSocket),
// panics.
//
//	r.Get("/docs", openapi.Page(&openapi.PageOptions{OpenAPI: "/openapi.json"}).ServeHTTP)
//
// The page is whole in itself, less than 40 kB, and loads nothing but the documents. It answers GET
// and HEAD at every path that it is asked for; other methods are 405, a problem. Its
// Content-Security-Policy lets it connect to its own origin and to those of the options, forbids
// every script but its own, and frames around it. It sends cookies as any page of its origin does;
// credentials that a user enters stay in the memory of the page. Browsers may keep it, and ask each
// time whether it is still the same (ETag).
//
// Whoever may see the page sees what the documents say: put it behind the middleware that
// authenticates if they are not public. The handler is safe for use by many goroutines.
func Page(o *PageOptions) http.Handler {
	p := &page{}
	if o != nil {
		p.options = *o
	}
	o = &p.options
	if o.OpenAPI == "" && o.OpenRPC == "" && o.AsyncAPI == "" {
		o.OpenAPI = "/openapi.json"
	}
	origins := []string{"'self'"}
	for _, u := range append([]string{o.OpenAPI, o.OpenRPC, o.AsyncAPI, o.JSONRPC}, o.Servers...) {
		origins = append(origins, originOf(u, "http", "https")...)
	}
	origins = append(origins, originOf(o.WebSocket, "http", "https", "ws", "wss")...)
	slices.Sort(origins)

	// No text of the scripts has one of these.
	operators := strings.NewReplacer(" => ", "=>", " = ", "=", " === ", "===", " !== ", "!==",
		" && ", "&&", " || ", "||", " ?? ", "??", " ? ", "?", " : ", ":", " + ", "+", " > ", ">",
		") {", "){", "if (", "if(")
	p.html, p.style = squeeze("index.html"), spaces.ReplaceAllString(squeeze("style.css"), "$1")
	for _, name := range pageScripts {
		p.script += operators.Replace(squeeze(name + ".js"))
	}
	p.policy = "default-src 'none'; script-src " + hashOf(p.script) + "; style-src " +
		hashOf(p.style) + "; img-src data:; connect-src " +
		strings.Join(slices.Compact(origins), " ") +
		"; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
		"require-trusted-types-for 'script'; trusted-types 'none'"
	sum := sha256.Sum256(append(p.render(""), p.policy...))
	p.version = base64.RawURLEncoding.EncodeToString(sum[:12])
	return p
}

func (p *page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if probe, ok := w.(*describe.Probe); ok {
		probe.Add(describe.Endpoint{Hidden: true})
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		problem.Write(w, r,
			&problem.Error{
				Status: http.StatusMethodNotAllowed,
				Header: http.Header{"Allow": {"GET, HEAD"}},
			})
		return
	}
	root := rootOf(r)
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", p.policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", `"`+p.version+"-"+strconv.Itoa(len(root))+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(p.render(root)))
}

// render is the page as it is below the app's root.
func (p *page) render(root string) []byte {
	o := &p.options
	var documents strings.Builder
	for _, d := range []struct {
		name, url string
	}{{"OpenAPI", o.OpenAPI}, {"OpenRPC", o.OpenRPC}, {"AsyncAPI", o.AsyncAPI}} {
		if d.url != "" {
			documents.WriteString(`<a href="` + html.EscapeString(below(root, d.url)) + `">` +
				d.name + "</a>\n")
		}
	}
	return []byte(strings.NewReplacer("{{title}}", html.EscapeString(cmp.Or(o.Title, "API")),
		"{{given}}", html.EscapeString(o.Title),
		"{{root}}", root, "{{documents}}", documents.String(),
		"{{webSocket}}", html.EscapeString(below(root, o.WebSocket)), "{{jsonRPC}}",
		html.EscapeString(below(root, o.JSONRPC)),
		"{{style}}", p.style, "{{script}}", p.script).Replace(p.html))
}

// rootOf is the way from the page to the app's root, as a relative URL. What was taken away in
// front of the path is not the app's, and is in the browser's address.
func rootOf(r *http.Request) string {
	path := r.URL.EscapedPath()
	if u, err := url.ParseRequestURI(r.RequestURI); err == nil &&
		!strings.HasSuffix(u.EscapedPath(), path) {
		path = u.EscapedPath() // a middleware has changed its end, which counts
	}
	return "./" + strings.Repeat("../", max(strings.Count(path, "/")-1, 0))
}

// below makes a URL that is a path of the app relative.
func below(root, u string) string {
	if strings.HasPrefix(u, "/") && !strings.HasPrefix(u, "//") {
		return root + u[1:]
	}
	return u
}

// host is what a source of a Content-Security-Policy may be (CSP level 3, section 2.3.1).
var host = regexp.MustCompile(`^[A-Za-z0-9.-]+(:[0-9]+)?$`)

// originOf is the origin of a URL that is not relative, as a source for the policy.
func originOf(text string, schemes ...string) []string {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		panic("openapi: Page: " + err.Error())
	case u.Host == "" && u.Scheme == "":
		return nil
	case !host.MatchString(u.Host), u.Scheme != "" && !slices.Contains(schemes, u.Scheme):
		panic("openapi: Page: " + strconv.Quote(text) + " is not a URL of " +
			strings.Join(schemes, ", "))
	case u.Scheme == "":
		return []string{u.Host}
	case slices.Contains(schemes, "ws"):
		return []string{strings.Replace(u.Scheme, "http", "ws", 1) + "://" + u.Host}
	}
	return []string{u.Scheme + "://" + u.Host}
}

// spaces are those that CSS can do without.
var spaces = regexp.MustCompile(`\s*([{};:,])\s*`)

// hashOf is the source of a policy that allows the text inline.
func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// squeeze is a file of the page without indentation, lines of comment, and ends of lines behind
// characters where none is needed.
func squeeze(name string) string {
	text, err := pageFiles.ReadFile("page/" + name)
	if err != nil {
		panic("openapi: Page: " + err.Error())
	}
	var b strings.Builder
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "//") {
			continue
		}
		b.WriteString(line)
		if !strings.ContainsRune("{};,([", rune(line[len(line)-1])) {
			b.WriteByte('\n')
		}
	}
	return b.String()
}
