package typed

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/input"
	"github.com/genropy/genro-asgi-go/problem"
)

// decodeError is the answer to an input that does not decode. It quotes nothing of the input and
// nothing of the library's text.
func decodeError(err error) *problem.Error {
	if syntactic, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		if errors.Is(err, jsontext.ErrDuplicateName) {
			return invalidField(http.StatusBadRequest, err, syntactic.JSONPointer, GivenTwice)
		}
		return &problem.Error{
			Status: http.StatusBadRequest,
			Detail: fmt.Sprintf("The body is not valid JSON at byte %d.", syntactic.ByteOffset),
			Err:    err,
		}
	}
	if semantic, ok := errors.AsType[*json.SemanticError](err); ok {
		return invalidField(http.StatusUnprocessableEntity, err, semantic.JSONPointer,
			semanticDetail(semantic))
	}
	return &problem.Error{
		Status: http.StatusUnprocessableEntity, Detail: "The body is not valid.",
		Err: err,
	}
}

// invalidField is the problem of an input that is wrong in one member.
func invalidField(status int, cause error, pointer jsontext.Pointer, detail string) *problem.Error {
	e := problem.Invalid(problem.Field{In: "body", Pointer: string(pointer), Detail: detail})
	e.Status, e.Err = status, cause
	return e
}

// semanticDetail is what to tell the client of a value that does not fit its member.
func semanticDetail(err *json.SemanticError) string {
	if errors.Is(err, json.ErrUnknownName) {
		return "is not known here"
	}
	if enum, ok := errors.AsType[*enumError](err); ok {
		return enum.detail
	}
	if errors.Is(err, input.ErrDuration) {
		return notDuration
	}
	t := err.GoType
	switch {
	case t == nil:
		return notText
	case t == timeType:
		return notTime
	case DecodesItself(t):
		return notText
	}
	switch t.Kind() {
	case reflect.Bool:
		return notBool
	case reflect.String:
		return "must be a string"
	case reflect.Slice, reflect.Array, reflect.Struct, reflect.Map:
		return compositeDetail(err)
	default:
		return numericDetail(err)
	}
}

// numericDetail is semanticDetail for a member of a number's kind, or of one that has no detail.
func numericDetail(err *json.SemanticError) string {
	isNumber := err.JSONKind == jsontext.KindNumber
	var wrongKind, notDigits string // what is told, and what no integer of the kind has in it
	switch err.GoType.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		wrongKind, notDigits = notInteger, ".eE"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		wrongKind, notDigits = notUnsigned, ".eE-"
	case reflect.Float32, reflect.Float64:
		wrongKind = "must be a number"
	default:
		return notText
	}
	switch {
	case isNumber && err.Err == nil: // the option string
		return "must be a number in a string"
	case !isNumber && !errors.Is(err.Err, strconv.ErrRange):
		return wrongKind
	case bytes.ContainsAny(err.JSONValue, notDigits):
		return wrongKind
	}
	return outOfRange
}

// compositeDetail is semanticDetail for a member that has elements or members.
func compositeDetail(err *json.SemanticError) string {
	t := err.GoType
	k := t.Kind()
	if k == reflect.Slice || k == reflect.Array {
		switch isByte := t.Elem().Kind() == reflect.Uint8; {
		case isByte && k == reflect.Slice:
			return "must be bytes in base64"
		case isByte:
			return fmt.Sprintf("must be %d bytes in base64", t.Len())
		case k == reflect.Array:
			return fmt.Sprintf("must be an array of %d", t.Len())
		}
	}
	if err.JSONKind != jsontext.KindBeginObject && err.JSONKind != jsontext.KindBeginArray &&
		err.Err != nil {
		return notText
	}
	if k == reflect.Slice {
		return "must be an array"
	}
	return "must be an object"
}
