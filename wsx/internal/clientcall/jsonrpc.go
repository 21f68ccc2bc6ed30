package clientcall

import (
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// ErrNoStreams is what a stream gets in JSON-RPC.
var ErrNoStreams = errors.New("wsx: JSON-RPC has no streams: Call gets the result")

// JSONRPCRequest is [Request] in JSON-RPC, whose meta is what more has and nothing else. It fails
// for params that JSON-RPC does not have.
func JSONRPCRequest(method string, params []byte,
	more map[string]string,
) (encode func(id []byte) []byte, err error) {
	params, err = JSONRPCParams(method, params)
	return func(id []byte) []byte {
		return wire.AppendJSONRPC(nil, id, method, params, wire.AppendMeta(nil, more))
	}, err
}

// JSONRPCParams is params as JSON-RPC has them (specification section 4.2), nil for none.
func JSONRPCParams(method string, params []byte) ([]byte, error) {
	switch kind := jsontext.Value(params).Kind(); {
	case len(params) == 0 || kind == 'n':
		return nil, nil
	case kind != '{' && kind != '[':
		return nil,
			fmt.Errorf(
				"wsx: the params of %q are neither an array nor an object, as JSON-RPC wants them",
				method)
	}
	return params, nil
}

// JSONRPCID is the id of a call as it was sent, from one that came back: not every peer keeps it
// byte for byte, as the specification asks for. A number may come as a string or with a fraction of
// zero. What is no such number is returned as it is.
func JSONRPCID(id []byte) []byte {
	if len(id) > 2 && id[0] == '"' && id[len(id)-1] == '"' {
		id = id[1 : len(id)-1]
	}
	const whole = 1 << 53 // above it a float64 is no exact number
	if n, err := strconv.ParseFloat(string(id), 64); err == nil && n == math.Trunc(n) && n >= 0 &&
		n < whole {
		return strconv.AppendUint(nil, uint64(n), 10)
	}
	return id
}

// JSONRPCCancel is rpc.cancel, which peers of this protocol know and others, as it is a
// notification, must leave unanswered.
func JSONRPCCancel(id []byte) []byte {
	params := append(append([]byte(`{"id":`), id...), '}')
	return wire.AppendJSONRPC(nil, nil, "rpc.cancel", params, nil)
}
