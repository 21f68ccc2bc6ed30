package describe

import (
	"reflect"
	"runtime"
	"strings"
)

// FunctionName is the name of a Go function without its package and receiver, "" for one that has
// none: a function literal.
func FunctionName(f any) string {
	v := reflect.ValueOf(f)
	if v.Kind() != reflect.Func || v.IsNil() {
		return ""
	}
	name := runtime.FuncForPC(v.Pointer()).Name()
	name = strings.TrimSuffix(strings.ReplaceAll(name, "[...]", ""), "-fm") // of a method value
	name = name[strings.LastIndexByte(name, '/')+1:]
	name = name[strings.LastIndexByte(name, '.')+1:]
	if strings.Trim(strings.TrimPrefix(name, "func"), "0123456789") == "" { // main.main.func1.2
		return ""
	}
	return name
}
