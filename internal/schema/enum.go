package schema

import "reflect"

// Enum returns the values that a type has, nil where it does not say: what its method Enum() []T
// returns, T the type itself. The values are comparable.
func Enum(t reflect.Type) []any {
	if t.Name() == "" || t.Kind() == reflect.Pointer || t.Kind() == reflect.Interface ||
		!t.Comparable() {
		return nil
	}
	m, ok := reflect.PointerTo(t).MethodByName("Enum")
	if !ok || m.Type.NumIn() != 1 || m.Type.NumOut() != 1 || m.Type.Out(0) != reflect.SliceOf(t) {
		return nil
	}
	list := m.Func.Call([]reflect.Value{reflect.New(t)})[0]
	values := make([]any, list.Len())
	for i := range values {
		values[i] = list.Index(i).Interface()
	}
	return values
}
