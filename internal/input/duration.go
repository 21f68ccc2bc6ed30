package input

import (
	"errors"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// ErrDuration is the error of what ReadDuration cannot take.
var ErrDuration = errors.New("not a duration such as 1m30s")

// ReadDuration reads a time.Duration from a text that time.ParseDuration takes. Null is 0.
func ReadDuration() *json.Unmarshalers { return readDuration }

var readDuration = json.UnmarshalFromFunc(func(dec *jsontext.Decoder, d *time.Duration) error {
	token, err := dec.ReadToken()
	if err != nil {
		return err
	}
	switch token.Kind() {
	case jsontext.KindNull:
		*d = 0
		return nil
	case jsontext.KindString:
		if *d, err = time.ParseDuration(token.String()); err == nil {
			return nil
		}
	}
	return ErrDuration
})

// WriteDuration writes a time.Duration as its String method does.
func WriteDuration() *json.Marshalers { return writeDuration }

var writeDuration = json.MarshalToFunc(func(enc *jsontext.Encoder, d time.Duration) error {
	return enc.WriteToken(jsontext.String(d.String()))
})
