package tasks

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
)

// plainTask is a Task without its methods.
type plainTask Task

// MarshalJSONTo writes durations as nanoseconds: JSON v2 has no way of its own for them.
func (t *Task) MarshalJSONTo(enc *jsontext.Encoder) error {
	return json.MarshalEncode(enc, (*plainTask)(t), jsonv1.FormatDurationAsNano(true))
}

// UnmarshalJSONFrom is its opposite.
func (t *Task) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	return json.UnmarshalDecode(dec, (*plainTask)(t), jsonv1.FormatDurationAsNano(true))
}
