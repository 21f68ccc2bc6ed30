package wsx

import (
	"context"
	"errors"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// DescribeOptions say what [Describe] and the method wsx.describe tell of. nil and the zero value are valid.
type DescribeOptions struct {
	// Title and Version are the API's, in both documents: "WSX API" and "0.0.0" when empty.
	Title, Version string
	// Doc is the description of both documents, in CommonMark; none when empty.
	Doc string
	// Hub has the channels of the AsyncAPI document. nil is none for Describe and [JSONRPC], and ServerOptions.Hub for a [Server].
	Hub *Hub
	// Hide leaves out the methods and channel patterns of these names, and types that only they have. They may be called all the same. It
	// must answer alike each time, as answers are kept. nil hides nothing.
	Hide func(name string) bool
	// Authorize is asked before each answer of wsx.describe and rpc.discover, with the context of the call: [IdentityFrom] tells who asks. An error
	// refuses: a *[Error] as it is, any other as PERMISSION_DENIED. nil answers everybody who may call at all. Describe does not ask.
	Authorize func(ctx context.Context) error
}

// Description is what [Describe] returns and wsx.describe answers.
type Description struct {
	// OpenRPC is a document of OpenRPC 1.3: the methods.
	OpenRPC jsontext.Value `json:"openrpc"`
	// AsyncAPI is a document of AsyncAPI 3.0: the channels.
	AsyncAPI jsontext.Value `json:"asyncapi"`
}

// Describe returns documents of d's methods and, with DescribeOptions.Hub, of channels, as the package's section on it says. They are the same
// bytes each time. opts may be nil. The error is for a type whose JSONSchema method returns what is not JSON.
func Describe(d *Dispatcher, opts *DescribeOptions) (Description, error) {
	if opts == nil {
		opts = &DescribeOptions{}
	}
	return opts.describe(d.table.Load(), opts.channels())
}

func (o *DescribeOptions) describe(table *map[string]*method, channels *[]configured) (described Description, err error) {
	if described.OpenRPC, err = encodeDocument(o.openRPC(*table)); err != nil {
		return Description{}, err
	}
	if described.AsyncAPI, err = encodeDocument(o.asyncAPI(channels)); err != nil {
		return Description{}, err
	}
	return described, nil
}

func encodeDocument(document any) (jsontext.Value, error) {
	return json.Marshal(document, json.Deterministic(true))
}

// channels are the hub's, those of one moment: the pointer is another when they change. nil is none.
func (o *DescribeOptions) channels() *[]configured {
	if o.Hub == nil {
		return nil
	}
	return o.Hub.config.Load()
}

func (o *DescribeOptions) hides(name string) bool { return o.Hide != nil && o.Hide(name) }

// documentInfo is the Info Object of both specifications.
type documentInfo struct {
	Title       string `json:"title"`
	Version     string `json:"version"`
	Description string `json:"description,omitzero"`
}

func (o *DescribeOptions) info() documentInfo {
	i := documentInfo{Title: o.Title, Version: o.Version, Description: o.Doc}
	if i.Title == "" {
		i.Title = "WSX API"
	}
	if i.Version == "" {
		i.Version = "0.0.0"
	}
	return i
}

// describer answers wsx.describe and rpc.discover. What it answers is made once for each state of methods and channels, so that asking costs
// a caller more than it costs the server.
type describer struct {
	dispatcher *Dispatcher
	opts       DescribeOptions

	mu       sync.Mutex
	table    *map[string]*method // what the answers are of
	channels *[]configured
	openRPC  []byte
	whole    []byte
}

// describing returns the methods of the protocol that describe d, none where opts is nil.
func describing(d *Dispatcher, opts *DescribeOptions, hub *Hub) map[string]*method {
	own := make(map[string]*method)
	if opts == nil {
		return own
	}
	r := &describer{dispatcher: d, opts: *opts}
	if r.opts.Hub == nil {
		r.opts.Hub = hub
	}
	own["wsx.describe"] = builtin("wsx.describe", nil, r.describe)
	own["rpc.discover"] = builtin("rpc.discover", nil, r.discover) // OpenRPC 1.3, "Service Discovery Method"
	return own
}

func (r *describer) describe(ctx context.Context, q *Request) error {
	return r.answer(ctx, q, &r.whole)
}

func (r *describer) discover(ctx context.Context, q *Request) error {
	return r.answer(ctx, q, &r.openRPC)
}

func (r *describer) answer(ctx context.Context, q *Request, document *[]byte) error {
	if r.opts.Authorize != nil {
		if err := r.opts.Authorize(ctx); err != nil {
			if _, ok := errors.AsType[*Error](err); !ok {
				err = &Error{Code: CodePermissionDenied, Err: err}
			}
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.refreshLocked(); err != nil {
		return err
	}
	if !q.Notify {
		q.result = append(q.result, *document...)
	}
	return nil
}

func (r *describer) refreshLocked() error {
	table, channels := r.dispatcher.table.Load(), r.opts.channels()
	if table == r.table && channels == r.channels {
		return nil
	}
	described, err := r.opts.describe(table, channels)
	if err != nil {
		return err
	}
	whole, err := json.Marshal(described)
	if err != nil {
		return err
	}
	r.table, r.channels, r.openRPC, r.whole = table, channels, described.OpenRPC, whole
	return nil
}
