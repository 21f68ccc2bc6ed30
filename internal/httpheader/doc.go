// Package httpheader reads and writes the values of HTTP headers that net/http leaves to others, or
// does not read as their RFC says.
//
//   - List: a header that is a comma-separated list (RFC 9110 section 5.6.1).
//   - WithRange: a Range header (RFC 9110 section 14.2) as http.ServeContent understands it.
//   - Disposition: a Content-Disposition with a file name (RFC 6266) that may come from anybody.
//   - ASCII: a URL as a Location header needs it (RFC 9110 section 10.2.2).
//
// The functions are pure, safe for concurrent use, and fail on no input: what is malformed is left
// to whoever answers it, or cut.
package httpheader
