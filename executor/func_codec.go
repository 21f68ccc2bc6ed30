package executor

import (
	"bytes"
	"context"
	"fmt"
	"reflect"

	"github.com/genropy/genro-asgi-go/internal/typed"
)

// compile makes a Func that is not registered. The error says what of its types cannot travel.
func compile[In, Out any](name string) (*Func[In, Out], error) {
	in, err := newInputCodec[In]()
	if err != nil {
		return nil, fmt.Errorf("the input: %w", err)
	}
	out, err := newOutputCodec[Out]()
	if err != nil {
		return nil, fmt.Errorf("the result: %w", err)
	}
	return &Func[In, Out]{name, in, out}, nil
}

// inputCodec reads inputs of one type from clients, and takes them to the worker. A []byte travels
// as it is.
type inputCodec[In any] struct {
	decoder *typed.Input  // nil for []byte
	encoder *typed.Output // the same
}

func newInputCodec[In any]() (*inputCodec[In], error) {
	if isBytes[In]() {
		return &inputCodec[In]{}, nil
	}
	decoder, err := typed.NewInput(reflect.TypeFor[In](), typed.Strict)
	if err != nil {
		return nil, err
	}
	encoder, err := typed.NewOutput(reflect.TypeFor[In]())
	return &inputCodec[In]{decoder, encoder}, err
}

func isBytes[T any]() bool {
	_, raw := any((*T)(nil)).(*[]byte)
	return raw
}

// validate asks what looks at inputs before the call. The error is an *InputError.
func (i *inputCodec[In]) validate(ctx context.Context, ex *Executor, name string, in *In) error {
	if i.decoder == nil {
		return nil
	}
	if err := i.decoder.Validate(ctx, ex.opts.Validator, in); err != nil {
		e := inputError(name, err)
		e.problem = typed.OfValidation(reflect.TypeFor[In](), err)
		return e
	}
	return nil
}

func (i *inputCodec[In]) send(b *bytes.Buffer, in *In) error {
	if i.encoder == nil {
		b.Write(*any(in).(*[]byte))
		return nil
	}
	if err := i.encoder.Write(b, in); err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	return nil
}

func (i *inputCodec[In]) receive(body []byte, in *In) error {
	if i.decoder == nil {
		*any(in).(*[]byte) = bytes.Clone(body)
		return nil
	}
	if err := i.decoder.DecodeAgain(body, in); err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	return nil
}

// outputCodec takes results of one type back from the worker. A []byte travels as it is.
type outputCodec[Out any] struct{ encoder *typed.Output } // nil for []byte

func newOutputCodec[Out any]() (*outputCodec[Out], error) {
	if isBytes[Out]() {
		return &outputCodec[Out]{}, nil
	}
	encoder, err := typed.NewOutput(reflect.TypeFor[Out]())
	if err == nil {
		err = typed.CheckReadable(reflect.TypeFor[Out]())
	}
	return &outputCodec[Out]{encoder}, err
}

func (o *outputCodec[Out]) write(b *bytes.Buffer, out *Out) error {
	if o.encoder == nil {
		b.Write(*any(out).(*[]byte))
		return nil
	}
	if err := o.encoder.Write(b, out); err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	return nil
}

// writeJSON is write, but for a []byte, which is a text in base64.
func (o *outputCodec[Out]) writeJSON(b *bytes.Buffer, out *Out) error {
	if o.encoder == nil {
		return typed.MarshalWrite(b, out)
	}
	return o.write(b, out)
}

func (o *outputCodec[Out]) read(body []byte, out *Out) error {
	if o.encoder == nil {
		*any(out).(*[]byte) = bytes.Clone(body)
		return nil
	}
	if err := typed.Unmarshal(body, out); err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	return nil
}
