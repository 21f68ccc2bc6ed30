package httpheader

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"strconv"
	"strings"
)

// WithRange is r with a Range header that http.ServeContent reads as RFC 9110 sections 14.1 and
// 14.2 have it. By itself it takes another unit for a malformed one, a range of no bytes for one
// that can be served, a number beyond an int64 for none, and looks at Range in requests that are no
// GET. size is that of the file.
func WithRange(r *http.Request, size int64) *http.Request {
	sent := r.Header["Range"]
	if len(sent) == 0 {
		return r
	}
	value := ""
	if r.Method == http.MethodGet && len(sent) == 1 && size > 0 { // of no bytes there are no ranges
		unit, set, ok := strings.Cut(sent[0], "=")
		if ok && strings.EqualFold(strings.TrimSpace(unit), "bytes") {
			value = "bytes=" + byteRanges(set, size)
		}
	}
	if value == sent[0] {
		return r
	}
	r = r.WithContext(r.Context()) // a copy
	r.Header = maps.Clone(r.Header)
	delete(r.Header, "Range")
	if value != "" {
		r.Header["Range"] = []string{value}
	}
	return r
}

// byteRanges leaves a malformed set as it is, which ServeContent answers with 416.
func byteRanges(set string, size int64) string {
	var kept []string
	for spec := range strings.SplitSeq(set, ",") {
		if spec = strings.Trim(spec, " \t"); spec == "" {
			continue
		}
		first, last, ok := strings.Cut(spec, "-")
		from, fromOK := position(first)
		to, toOK := position(last)
		switch {
		case !ok || first == "" && !toOK || first != "" && !fromOK || last != "" && !toOK:
			return set
		case first == "" && to == 0: // no bytes: not satisfiable
		case first == "":
			kept = append(kept, "-"+strconv.FormatInt(to, 10))
		case last == "":
			kept = append(kept, strconv.FormatInt(from, 10)+"-")
		default:
			kept = append(kept, fmt.Sprintf("%d-%d", from, to))
		}
	}
	if kept == nil && strings.Contains(set, "-") {
		// not satisfiable either, and ServeContent knows it
		return strconv.FormatInt(size, 10) + "-"
	}
	return strings.Join(kept, ",")
}

// position reads digits; a number that is too large is the largest.
func position(s string) (int64, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		n = math.MaxInt64
	}
	return n, true
}
