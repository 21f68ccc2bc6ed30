package wsxtest

import (
	"errors"
	"fmt"
	"maps"
	"strings"
)

// kinds are the placeholders of a pattern that stand for a value of some kind.
var kinds = map[string]func(v any) bool{
	"$any":     func(any) bool { return true },
	"$string":  func(v any) bool { s, ok := v.(string); return ok && s != "" },
	"$number":  func(v any) bool { _, ok := v.(number); return ok },
	"$integer": func(v any) bool { n, ok := v.(number); return ok && n.integer() },
	"$boolean": func(v any) bool { _, ok := v.(bool); return ok },
	"$object":  func(v any) bool { _, ok := v.(map[string]any); return ok },
	"$array":   func(v any) bool { _, ok := v.([]any); return ok },
}

// The placeholders of a member's value that may lack, and of members that a pattern does not name.
const (
	absent   = "$absent"
	optional = "$optional"
	more     = "$more"
	save     = "$save:"
	anyOrder = "$unordered"
)

// checkPattern finds placeholders that do not exist.
func checkPattern(pattern any) error {
	switch p := pattern.(type) {
	case string:
		if !strings.HasPrefix(p, "$") || strings.HasPrefix(p, "${") || strings.HasPrefix(p, save) ||
			p == absent || p == optional || kinds[p] != nil {
			return nil
		}
		return fmt.Errorf("there is no placeholder %s", p)
	case []any:
		for _, e := range p {
			if err := checkPattern(e); err != nil {
				return err
			}
		}
	case map[string]any:
		if list, ok := p[anyOrder]; ok {
			if _, isList := list.([]any); !isList || len(p) != 1 {
				return errors.New("$unordered is an array and alone in its object")
			}
			return checkPattern(list)
		}
		for name, e := range p {
			if name == more {
				if e != true {
					return errors.New("$more is true or not there")
				}
				continue
			}
			if err := checkPattern(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// match tells how value differs from pattern, nil for not at all. What $save: names goes into vars,
// also when the rest differs.
func match(pattern, value any, vars map[string]any) error {
	return matchAt("", pattern, value, vars)
}

// matchAt is match of what stands at the JSON Pointer at of the whole.
func matchAt(at string, pattern, value any, vars map[string]any) error {
	switch p := pattern.(type) {
	case string:
		return matchText(at, p, value, vars)
	case []any:
		v, ok := value.([]any)
		if !ok || len(v) != len(p) {
			return differs(at, "is %v, want an array of %d", value, len(p))
		}
		for i := range p {
			if err := matchAt(fmt.Sprintf("%s/%d", at, i), p[i], v[i], vars); err != nil {
				return err
			}
		}
		return nil
	case map[string]any:
		if list, ok := p[anyOrder].([]any); ok {
			values, ok := value.([]any)
			if !ok || len(values) != len(list) {
				return differs(at, "is %v, want an array of %d", value, len(list))
			}
			return matchAll(list, values, vars)
		}
		v, ok := value.(map[string]any)
		if !ok {
			return differs(at, "is %v, want an object", value)
		}
		return matchObject(at, p, v, vars)
	}
	if !same(pattern, value) {
		return differs(at, "is %v, want %v", value, pattern)
	}
	return nil
}

// matchText is matchAt for a string, which may be a placeholder.
func matchText(at, pattern string, value any, vars map[string]any) error {
	if name, ok := strings.CutPrefix(pattern, save); ok {
		vars[name] = value
		return nil
	}
	kind := kinds[pattern]
	switch {
	case pattern == optional:
		return nil
	case pattern == absent:
		return differs(at, "is there")
	case kind != nil && kind(value):
		return nil
	case kind != nil:
		return differs(at, "is %v, want %s", value, pattern)
	}
	want, err := fill(pattern, vars)
	if err != nil {
		return err
	}
	if !same(want, value) {
		return differs(at, "is %v, want %v", value, want)
	}
	return nil
}

func differs(at, format string, args ...any) error {
	if at == "" {
		at = "the value"
	}
	return fmt.Errorf("%s %s", at, fmt.Sprintf(format, args...))
}

func matchObject(at string, pattern, value map[string]any, vars map[string]any) error {
	for name, p := range pattern {
		v, ok := value[name]
		switch {
		case name == more:
		case ok:
			if err := matchAt(at+"/"+name, p, v, vars); err != nil {
				return err
			}
		case p != absent && p != optional:
			return fmt.Errorf("%s/%s is missing", at, name)
		}
	}
	if pattern[more] == true {
		return nil
	}
	for name := range value {
		if _, ok := pattern[name]; !ok {
			return fmt.Errorf("%s/%s is there, which nobody asked for", at, name)
		}
	}
	return nil
}

// matchAll pairs every pattern with a value of its own, in any order.
func matchAll(patterns, values []any, vars map[string]any) error {
	if len(patterns) == 0 {
		return nil
	}
	var last error
	for i, v := range values {
		trial := maps.Clone(vars)
		if last = match(patterns[0], v, trial); last != nil {
			continue
		}
		rest := append(append([]any{}, values[:i]...), values[i+1:]...)
		if last = matchAll(patterns[1:], rest, trial); last == nil {
			maps.Copy(vars, trial)
			return nil
		}
	}
	return fmt.Errorf("no message for %v: %w", patterns[0], last)
}

// fill replaces ${name} by what is known under that name: as a value of its own kind when it is all
// of the text.
func fill(text string, vars map[string]any) (any, error) {
	var out strings.Builder
	for rest := text; ; {
		before, after, found := strings.Cut(rest, "${")
		out.WriteString(before)
		if !found {
			return out.String(), nil
		}
		name, after, closed := strings.Cut(after, "}")
		v, known := vars[name]
		if !closed || !known {
			return nil, fmt.Errorf("wsxtest: nothing is saved under the name in %q", text)
		}
		if "${"+name+"}" == text {
			return v, nil
		}
		fmt.Fprint(&out, v)
		rest = after
	}
}

// fillAll is fill for every string in value, members' names left alone.
func fillAll(value any, vars map[string]any) (any, error) {
	var err error
	switch v := value.(type) {
	case string:
		return fill(v, vars)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			if out[i], err = fillAll(v[i], vars); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		out := make(map[string]any, len(v))
		for name := range v {
			if out[name], err = fillAll(v[name], vars); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return value, nil
}
