package docs_test

import (
	"context"
	stdjson "encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/problem"
)

// read is a row of json.md: a body that is read into a T, by encoding/json and here. The row says
// what comes of it in truth.
func read[T any](goType, body string) string {
	var std, here T
	one := "error"
	if err := stdjson.Unmarshal([]byte(body), &std); err == nil {
		one = goText(std)
	}
	handler := asgi.Handle(func(_ context.Context, in T) (struct{}, error) {
		here = in
		return struct{}{}, nil
	})
	r := httptest.NewRequest("POST", "/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	other := goText(here)
	if w.Code != 204 {
		var p problem.Error
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
			return err.Error()
		}
		other = fmt.Sprint(p.Status)
		for _, f := range p.Fields {
			other += fmt.Sprintf(", `%s` %s", f.Pointer, f.Detail)
		}
	}
	body = strings.ReplaceAll(body, "\xff", `\xff`)
	return fmt.Sprintf("| %s | `%s` | %s | %s |", code(goType), body, one,
		strings.ReplaceAll(other, ", `` ", ", "))
}

func goText(v any) string {
	if text, ok := v.(jsontext.Value); ok {
		return code(string(text))
	}
	return code(fmt.Sprintf("%+v", v))
}

// code is text in Markdown's code quotes.
func code(text string) string {
	if strings.Contains(text, "`") {
		return "`` " + text + " ``"
	}
	return "`" + text + "`"
}

// written is a row of json.md: what becomes of a value, by encoding/json and here.
func written[T any](expression string, value T) (row string) {
	std, err := stdjson.Marshal(value)
	one := "`" + string(std) + "`"
	if err != nil {
		one = "error"
	}
	defer func() {
		if recover() != nil {
			row = fmt.Sprintf("| %s | %s | refused when it is registered |", code(expression), one)
		}
	}()
	w := httptest.NewRecorder()
	asgi.Handle(func(context.Context, struct{}) (T, error) { return value, nil }).ServeHTTP(w,
		httptest.NewRequest("GET", "/", nil))
	other := "`" + w.Body.String() + "`"
	if w.Code != 200 {
		other = fmt.Sprint(w.Code)
	}
	return fmt.Sprintf("| %s | %s | %s |", code(expression), one, other)
}

// Each row of the page's tables is what this program gets.
func TestJSON_RowsAreTrue(t *testing.T) {
	page, err := os.ReadFile("json.md")
	if err != nil {
		t.Fatal(err)
	}
	type named struct {
		Name string `json:"name"`
	}
	type inner struct {
		Names []string `json:"names,omitempty"`
	}
	rows := []string{
		read[named]("Name string `json:\"name\"`", `{"NAME":"Ada"}`),
		read[named]("Name string `json:\"name\"`", `{"name":"Ada","name":"Bob"}`),
		read[named]("Name string `json:\"name\"`", `{"name":"Ada","age":36}`),
		read[named]("Name string `json:\"name\"`", `{"name":"`+"\xff"+`"}`),
		read[named]("Name string `json:\"name\"`", `{"name":null}`),
		read[any]("any", `9007199254740993`),
		read[any]("any", `[1, 1.5]`),
		read[stdjson.Number]("json.Number", `12`),
		read[[2]int]("[2]int", `[1]`),
		read[[]byte]("[]byte", `"AQID"`),
		read[[3]byte]("[3]byte", `"AQID"`),
		read[[3]byte]("[3]byte", `[1,2,3]`),
		read[time.Duration]("time.Duration", `"1m30s"`),
		read[time.Duration]("time.Duration", `90`),
		read[jsontext.Value]("jsontext.Value", `{"a":1}`),

		written("[]string(nil)", []string(nil)),
		written("map[string]int(nil)", map[string]int(nil)),
		written("N int `json:\"n,omitempty\"`", struct {
			N int `json:"n,omitempty"`
		}{}),
		written("N int `json:\"n,omitzero\"`", struct {
			N int `json:"n,omitzero"`
		}{}),
		written("S string `json:\"s,omitempty\"`", struct {
			S string `json:"s,omitempty"`
		}{}),
		written("In inner `json:\"in,omitempty\"`", struct {
			In inner `json:"in,omitempty"`
		}{}),
		written("B bool `json:\"b,string\"`", struct {
			B bool `json:"b,string"`
		}{}),
		written("N int `json:\"n,string\"`", struct {
			N int `json:"n,string"`
		}{}),
		written("[]byte{1, 2, 3}", []byte{1, 2, 3}),
		written("[3]byte{1, 2, 3}", [3]byte{1, 2, 3}),
		written("90 * time.Second", 90*time.Second),
		written(`"<a & b>"`, "<a & b>"),
		written(`"\xff"`, "\xff"),
		written(`json.Number("12")`, stdjson.Number("12")),
		written("json.RawMessage(`{\"a\":1}`)", stdjson.RawMessage(`{"a":1}`)),
		written("jsontext.Value(`{\"a\":1}`)", jsontext.Value(`{"a":1}`)),
	}
	for _, row := range rows {
		if !strings.Contains(string(page), row+"\n") {
			t.Errorf("the page has not:\n%s", row)
		}
	}
	if listed := strings.Count(string(page), "\n| `"); listed != len(rows) {
		t.Errorf("the page has %d rows, of which %d are tested", listed, len(rows))
	}
}

func TestJSON_MapsAreInNoOrder(t *testing.T) {
	all := map[string]int{"a": 1, "b": 2, "c": 3, "d": 4}
	for range 1000 {
		w := httptest.NewRecorder()
		asgi.Handle(func(context.Context, struct{}) (map[string]int, error) {
			return all, nil
		}).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if w.Body.String() != `{"a":1,"b":2,"c":3,"d":4}` {
			return
		}
	}
	t.Error("a map was in order a thousand times")
}

type pointerMethod struct{}

func (*pointerMethod) MarshalJSON() ([]byte, error) { return []byte(`"by the method"`), nil }

func TestJSON_MethodsOfPointersAreCalled(t *testing.T) {
	value := map[string]pointerMethod{"a": {}}
	if std, err := stdjson.Marshal(value); err != nil || string(std) != `{"a":{}}` {
		t.Error(string(std), err)
	}
	if got := written("m", value); !strings.Contains(got, `{"a":"by the method"}`) {
		t.Error(got)
	}
}

func TestJSON_NestsAndEnds(t *testing.T) {
	for body, want := range map[string]string{
		strings.Repeat("[", 32) + strings.Repeat("]", 32): " `",
		strings.Repeat("[", 33) + strings.Repeat("]", 33): " 400",
		`1 2`: " 400",
	} {
		if got := read[any]("any",
			body); !strings.Contains(got[strings.LastIndex(got[:len(got)-2], "|"):], want) {
			t.Errorf("%s: %s", body, got)
		}
	}
}
