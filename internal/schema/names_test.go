package schema_test

import (
	"math/rand/v2"
	"net/textproto"
	"net/url"
	"reflect"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/internal/schema"
)

// Names are the same in whatever order types are asked for.
func TestDefinitions_NamesThatMeet(t *testing.T) {
	type inner struct{ Other bool }
	type treeInput struct{ Own bool }
	type AZaz09_é struct{ Letters bool } //nolint:asciicheck // just what is tested
	type ask struct {
		t    reflect.Type
		dir  schema.Direction
		want string
	}
	asks := []ask{
		{reflect.TypeFor[tree](), schema.Encode, "tree"},
		{reflect.TypeFor[tree](), schema.Decode, "treeInput2"},
		// a type's own name goes before one that was made
		{reflect.TypeFor[treeInput](), schema.Encode, "treeInput"},
		{reflect.TypeFor[AZaz09_é](), schema.Encode, "AZaz09__"},
		{reflect.TypeFor[A](), schema.Decode, "AInput"},
		{reflect.TypeFor[A](), schema.Encode, "A"},
		{reflect.TypeFor[deep](), schema.Decode, "deep"},
		{reflect.TypeFor[list](), schema.Decode, "list"}, // alike in both directions
		{reflect.TypeFor[list](), schema.Encode, "list"},
		{reflect.TypeFor[emptyOmits](), schema.Encode, "emptyOmits"},
		{reflect.TypeFor[generic[map[string]*inner]](), schema.Encode, "genericmapstringinner"},
		{reflect.TypeFor[textproto.Error](), schema.Encode, "TextprotoError"}, // of two packages
		{reflect.TypeFor[textproto.Error](), schema.Decode, "TextprotoErrorInput"},
		{reflect.TypeFor[url.Error](), schema.Encode, "UrlError"},
	}
	for range 20 {
		rand.Shuffle(len(asks), func(i, j int) { asks[i], asks[j] = asks[j], asks[i] })
		d := schema.New("#/x/")
		made := make([]*schema.Schema, len(asks))
		for i, a := range asks {
			made[i] = d.Schema(a.t, a.dir)
		}
		all := d.All()
		for i, a := range asks {
			b, err := json.Marshal(made[i])
			if want := `{"$ref":"#/x/` + a.want + `"}`; err != nil || string(b) != want ||
				all[a.want] == nil {
				t.Fatalf("%v: %s, want %s, %v", a.t, b, want, err)
			}
			if d.Resolve(all[a.want]) != all[a.want] {
				t.Error("what is no reference is itself")
			}
		}
	}
}

// A name that was given is nobody else's, whenever the others are asked for.
func TestDefinitions_Call(t *testing.T) {
	d := schema.New("")
	d.Call(reflect.TypeFor[stated](), "inner")
	d.Schema(reflect.TypeFor[inner](), schema.Encode)
	d.Schema(reflect.TypeFor[stated](), schema.Encode)
	all := d.All()
	if len(all) != 2 || all["inner"] == nil || string(all["inner"].Own) != `{"type":"integer"}` ||
		all["inner2"] == nil {
		t.Errorf("%v", all)
	}
}
