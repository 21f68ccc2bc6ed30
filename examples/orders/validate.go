package main

import (
	"errors"
	"reflect"
	"strings"

	"github.com/go-playground/validator/v10"

	"github.com/genropy/genro-asgi-go/problem"
)

// newValidator makes a function that holds a value to its validate tags, and whose errors name the
// fields as their sender does.
func newValidator() func(any) error {
	v := validator.New(validator.WithRequiredStructEnabled())
	v.RegisterTagNameFunc(place)
	return func(in any) error {
		var wrong validator.ValidationErrors
		err := v.Struct(in)
		if !errors.As(err, &wrong) {
			if errors.As(err, new(*validator.InvalidValidationError)) {
				// it has no tags: a time.Time
				return nil
			}
			return err
		}
		fields := make([]problem.Field, len(wrong))
		for i, w := range wrong {
			fields[i] = fieldOf(w)
		}
		return problem.Invalid(fields...)
	}
}

// place calls a field "/body/items" or "/query/limit", and an embedded struct, of which its sender
// does not know, "/".
func place(f reflect.StructField) string {
	for _, in := range []string{"path", "query", "header", "cookie", "form"} {
		if name, ok := f.Tag.Lookup(in); ok {
			return "/" + in + "/" + name
		}
	}
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	switch {
	case name == "" && f.Anonymous:
		return "/"
	case name == "":
		name = f.Name
	}
	return "/body/" + name
}

// fieldOf makes "UpdateIn././body/items[0]./body/sku", as the validator calls it, the field
// /items/0/sku of the body.
func fieldOf(w validator.FieldError) problem.Field {
	f := problem.Field{Detail: "is " + w.Tag()} // "is required"
	if w.Param() != "" {
		f.Detail = "must satisfy " + w.Tag() + "=" + w.Param()
	}
	for _, part := range strings.Split(w.Namespace(), "./")[1:] {
		in, name, named := strings.Cut(part, "/")
		if !named {
			continue
		}
		if f.In == "" {
			f.In = in
		}
		// RFC 6901
		f.Pointer += "/" +
			strings.NewReplacer("~", "~0", "/", "~1", "[", "/", "]", "").Replace(name)
	}
	return f
}
