package asgi

import (
	"encoding"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/genropy/genro-asgi-go/internal/typed"
)

// output is how values of one type are answered. It is made once, at registration, and then only
// read.
type output struct {
	json     *typed.Output
	headers  []outputHeader
	statuses []int // that the status tag lists, the first for zero; nil where there is none
	status   []int // the index of the field that has the status, nil where the tag's is fixed
}

// outputHeader is a field that becomes a header.
type outputHeader struct {
	name   string
	index  []int
	of     reflect.Type // of one line, as far as documents go
	list   bool         // each element is a line of its own
	format func(v reflect.Value) ([]string, error)
}

// newOutput compiles the output for t. A type that cannot be answered is a mistake of the program:
// it panics.
func newOutput(t reflect.Type) *output {
	var err error
	o := &output{}
	if o.json, err = typed.NewOutput(t); err != nil {
		panic(fmt.Sprintf("asgi: Handle: %v", err))
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() == reflect.Struct {
		o.compile(t, t, nil)
	}
	return o
}

func (o *output) compile(root, t reflect.Type, index []int) {
	for f := range t.Fields() {
		at := slices.Concat(index, f.Index)
		fail := func(format string, args ...any) {
			panic(fmt.Sprintf("asgi: Handle: %v: field %s: %s", root, f.Name,
				fmt.Sprintf(format, args...)))
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		header, isHeader := f.Tag.Lookup("header")
		statuses, isStatus := f.Tag.Lookup("status")
		switch {
		case isStatus:
			o.addStatus(f, at, statuses, fail)
		case isHeader && f.IsExported() &&
			(f.Tag.Get("json") == "-" || slices.Contains(strings.Split(options, ","), "omitzero")):
			format := headerFormat(f.Type, header)
			if format == nil {
				fail("a %v cannot be the header %s", f.Type, header)
			}
			h := outputHeader{
				name: http.CanonicalHeaderKey(header), index: at, of: f.Type,
				format: format,
			}
			switch {
			case h.name == "Set-Cookie":
				h.of = reflect.TypeFor[string]()
			case f.Type.Kind() == reflect.Slice:
				h.of, h.list = f.Type.Elem(), true
			}
			o.headers = append(o.headers, h)
		case f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct:
			o.compile(root, f.Type, at)
		}
	}
}

func (o *output) addStatus(f reflect.StructField, at []int, list string,
	fail func(string, ...any),
) {
	if o.statuses != nil {
		fail("another field has a status tag")
	}
	for text := range strings.SplitSeq(list, ",") {
		status, err := strconv.Atoi(text)
		if err != nil || !isAnswer(status) {
			fail("its status tag has %q, which is no status from 200 to 599", text)
		}
		o.statuses = append(o.statuses, status)
	}
	switch {
	case f.Type.Kind() == reflect.Int && f.IsExported():
		o.status = at
	case f.Type != reflect.TypeFor[struct{}]() || len(o.statuses) > 1:
		fail("a status is an exported int, or for one status a struct{}")
	}
}

func isAnswer(status int) bool { return status >= 200 && status <= 599 }

// headerFormat gives the lines of a header, none for a zero value. It is nil for a type that is
// none.
func headerFormat(t reflect.Type, name string) func(reflect.Value) ([]string, error) {
	one := func(text func(v reflect.Value) (string, error)) func(reflect.Value) ([]string, error) {
		return func(v reflect.Value) ([]string, error) {
			if v.IsZero() {
				return nil, nil
			}
			line, err := text(v)
			return []string{line}, err
		}
	}
	switch {
	case http.CanonicalHeaderKey(name) == "Set-Cookie":
		return cookieFormat(t)
	case t == reflect.TypeFor[time.Time]():
		return one(func(v reflect.Value) (string, error) {
			// RFC 9110 section 5.6.7
			return v.Interface().(time.Time).UTC().Format(http.TimeFormat), nil
		})
	case t.Implements(reflect.TypeFor[encoding.TextMarshaler]()):
		return one(func(v reflect.Value) (string, error) {
			text, err := v.Interface().(encoding.TextMarshaler).MarshalText()
			return string(text), err
		})
	}
	switch t.Kind() {
	case reflect.String:
		return one(func(v reflect.Value) (string, error) { return v.String(), nil })
	case reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64,
		reflect.Float32, reflect.Float64:
		return one(func(v reflect.Value) (string, error) { return fmt.Sprint(v.Interface()), nil })
	case reflect.Slice:
		if t.Elem().Kind() == reflect.String {
			return func(v reflect.Value) ([]string, error) {
				lines := make([]string, v.Len())
				for i := range lines {
					lines[i] = v.Index(i).String()
				}
				return lines, nil
			}
		}
	}
	return nil
}

// cookieFormat is headerFormat for Set-Cookie.
func cookieFormat(t reflect.Type) func(reflect.Value) ([]string, error) {
	switch t {
	case reflect.TypeFor[Cookie]():
		return func(v reflect.Value) ([]string, error) {
			if v.IsZero() {
				return nil, nil
			}
			return cookieLines(v.Interface().(Cookie))
		}
	case reflect.TypeFor[[]Cookie]():
		return func(v reflect.Value) ([]string, error) {
			return cookieLines(v.Interface().([]Cookie)...)
		}
	}
	return nil
}

func cookieLines(cookies ...Cookie) (lines []string, err error) {
	for _, cookie := range cookies {
		line, err := cookie.header()
		if err != nil {
			return nil, err
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// answer is the status and the headers of what v, a pointer to a value of the type, points to. A
// status of 0 is that no tag says one.
func (o *output) answer(v any) (status int, headers http.Header, err error) {
	if len(o.statuses) == 0 && len(o.headers) == 0 {
		return 0, nil, nil
	}
	value := reflect.ValueOf(v).Elem()
	if value.Kind() == reflect.Pointer {
		if value.IsNil() {
			return 0, nil, nil
		}
		value = value.Elem()
	}
	if o.statuses != nil {
		status = o.statuses[0]
	}
	if o.status != nil {
		if said := int(value.FieldByIndex(o.status).Int()); said != 0 {
			status = said
		}
		if !slices.Contains(o.statuses, status) {
			return 0, nil, fmt.Errorf("asgi: status %d of %v is not in its status tag", status,
				value.Type())
		}
	}
	for _, h := range o.headers {
		lines, err := h.format(value.FieldByIndex(h.index))
		if err != nil {
			return 0, nil, fmt.Errorf("asgi: header %s of %v: %w", h.name, value.Type(), err)
		}
		if len(lines) == 0 {
			continue
		}
		if headers == nil {
			headers = make(http.Header, len(o.headers))
		}
		headers[h.name] = append(headers[h.name], lines...)
	}
	return status, headers, nil
}
