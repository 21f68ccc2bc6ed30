// Package typed reads the input of one typed function and writes its output, in the same way at
// every door of this module: an HTTP body, the params of a call, the payload of a task, the bytes
// that go to a worker process. The same input gets the same verdict wherever it comes in.
//
//	in, err := typed.NewInput(reflect.TypeFor[In](), typed.Strict) // at registration
//	…
//	err = in.Decode(body, &v)  // a *problem.Error: what the caller may know
//	err = in.Validate(ctx, &v) // what Validate methods and the app's validator say
//
// # Types are judged at registration
//
// [NewInput] and [NewOutput] say which member of a type no JSON can become: a channel, a function,
// a complex number, a map whose keys are structs, a wrong tag, an interface with methods in an
// input, and an io.Reader, an io.Writer or an error in an output.
//
// # How an input is read
//
// By json/v2 (github.com/go-json-experiment/json): names match in their exact case and occur once,
// and text is UTF-8. Beyond that:
//
//   - A member that the type lacks is refused, unless the input is Lenient.
//   - A time.Duration is a text such as "1m30s" (time.ParseDuration), in both directions.
//   - An integer in an any keeps its value: what a float64 would change is an int64, a uint64 or,
//     where neither holds it, a jsontext.Value. All other numbers there are a float64.
//   - A type with a method Enum() []T, T the type itself, has these values only.
//   - A field with a tag `default:"20"` has that value where the member is missing. The field is a
//     bool, a number, a text, a time, a duration or a type with UnmarshalText, of the type itself
//     or of a struct that it holds by value; anywhere else [NewInput] refuses the tag.
//   - Nothing at all, and null, is the zero value with its defaults. A pointer is nil then.
//
// # What is told
//
// A [problem.Error] of 400 for what is no JSON, and of 422 with the field and what it must be for a
// value that does not fit. It quotes nothing of the input and names no Go type.
package typed
