package wsx

import (
	"context"
	"errors"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
	"github.com/genropy/genro-asgi-go/wsx/internal/documents"
)

// DescribeOptions say what [Dispatcher.Documents] and the method wsx.describe tell of. nil and the
// zero value are valid.
type DescribeOptions struct {
	// Title and Version are the API's, in both documents: "WSX API" and "0.0.0" when empty.
	Title, Version string
	// Doc is the description of both documents, in CommonMark; none when empty.
	Doc string
	// Hub has the channels of the AsyncAPI document. nil is none for Documents and [JSONRPC], and
	// ServerOptions.Hub for a [Server].
	Hub *Hub
	// Hide leaves out the methods and channel patterns of these names, and types that only they
	// have. They may be called all the same. It must answer alike each time, as answers are kept.
	// nil hides nothing.
	Hide func(name string) bool
	// Authorize is asked before each answer of wsx.describe and rpc.discover, with the context of
	// the call: [IdentityFrom] tells who asks. An error refuses: a *[Error] as it is, any other as
	// PERMISSION_DENIED. nil answers everybody who may call at all. Documents does not ask.
	Authorize func(ctx context.Context) error
}

// Documents describes d's methods as a document of OpenRPC 1.3 and, with DescribeOptions.Hub,
// channels as one of AsyncAPI 3.0, as the package's section on it says. They are the same bytes
// each time. It panics when d is nil. opts may be nil. The error is for a type whose JSONSchema
// method returns what is not JSON.
func (d *Dispatcher) Documents(opts *DescribeOptions) (openRPC, asyncAPI jsontext.Value,
	err error,
) {
	if d == nil {
		panic("wsx: Documents: the dispatcher is nil")
	}
	if opts == nil {
		opts = &DescribeOptions{}
	}
	described, err := opts.describe(d.table.Load(), opts.channels())
	return described.OpenRPC, described.AsyncAPI, err
}

// description is what wsx.describe answers.
type description struct {
	OpenRPC  jsontext.Value `json:"openrpc"`
	AsyncAPI jsontext.Value `json:"asyncapi"`
}

func (o *DescribeOptions) describe(table *map[string]*method,
	channels *[]configured,
) (described description, err error) {
	info := documents.Info{Title: o.Title, Version: o.Version, Doc: o.Doc}
	if described.OpenRPC, err = documents.OpenRPC(&info, o.methods(*table)); err != nil {
		return description{}, err
	}
	var all []documents.Channel
	if channels != nil {
		for _, c := range *channels {
			if !o.hides(c.pattern) {
				all = append(all, documents.Channel{
					Pattern: c.pattern, Doc: c.opts.Doc, Payload: c.opts.Payload,
				})
			}
		}
	}
	if described.AsyncAPI, err = documents.AsyncAPI(&info, all); err != nil {
		return description{}, err
	}
	return described, nil
}

// methods are those of the table that are not hidden.
func (o *DescribeOptions) methods(table map[string]*method) (all []documents.Method) {
	for name, m := range table {
		if o.hides(name) {
			continue
		}
		described := documents.Method{
			Name: m.Name, Kind: m.Kind, Doc: m.Doc, In: m.In, Out: m.Out, Item: m.Item,
		}
		if m.positional != nil {
			described.ByPosition = append([]string{}, m.positional.names...)
			described.Single = m.positional.only
		}
		all = append(all, described)
	}
	return all
}

// channels are the hub's, those of one moment: the pointer is another when they change. nil is
// none.
func (o *DescribeOptions) channels() *[]configured {
	if o.Hub == nil {
		return nil
	}
	return o.Hub.config.Load()
}

func (o *DescribeOptions) hides(name string) bool { return o.Hide != nil && o.Hide(name) }

// describer answers wsx.describe and rpc.discover. What it answers is made once for each state of
// methods and channels, so that asking costs a caller more than it costs the server.
type describer struct {
	dispatcher *Dispatcher
	opts       DescribeOptions

	mu       lockorder.Mutex
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
	// OpenRPC 1.3, "Service Discovery Method"
	own["rpc.discover"] = builtin("rpc.discover", nil, r.discover)
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
		q.result.b = append(q.result.b, *document...)
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
