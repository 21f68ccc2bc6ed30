package wsxtasks

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/stopping"
	"github.com/genropy/genro-asgi-go/problem"
	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/wsx"
)

// maxPage is how many tasks a page has at most, and without a limit, as it is the default of
// tasks.Filter too: with metadata of 4 KiB and messages of 1 KiB they fit into a connection's
// out-queue of 1 MiB.
const maxPage = 100

type submitIn struct {
	Kind    string         `json:"kind"`
	Payload jsontext.Value `json:"payload"`
	ID      string         `json:"id"`
	WaitMS  int64          `json:"wait_ms"`
}

// Validate is called before the call, as for every method's params.
func (in submitIn) Validate() error { return validWait(in.WaitMS) }

type idIn struct {
	ID string `json:"id"`
}

type resultIn struct {
	ID     string `json:"id"`
	WaitMS int64  `json:"wait_ms"`
}

// Validate is called before the call.
func (in resultIn) Validate() error { return validWait(in.WaitMS) }

func validWait(ms int64) error {
	if ms < 0 {
		return badParam("/wait_ms", "wait_ms is not negative")
	}
	return nil
}

type listIn struct {
	States   []tasks.State     `json:"states"`
	Queue    string            `json:"queue"`
	Kind     string            `json:"kind"`
	Metadata map[string]string `json:"metadata"`
	Limit    int               `json:"limit"`
	Cursor   string            `json:"cursor"`
}

type listOut struct {
	Tasks []tasks.View `json:"tasks"`
	Next  string       `json:"next,omitzero"`
}

// Register adds the methods to d. It panics where a name is taken, as wsx.Handle does, and when d
// is nil.
func (b *Bridge) Register(d *wsx.Dispatcher) {
	if d == nil {
		panic("wsxtasks: Register: a Dispatcher is needed")
	}
	wsx.Handle(d, prefix+"submit", b.submit)
	wsx.Handle(d, prefix+"get", b.get)
	wsx.Handle(d, prefix+"list", b.list)
	wsx.Handle(d, prefix+"result", b.result)
	wsx.Handle(d, prefix+"cancel", b.cancel)
	wsx.Handle(d, prefix+"retry", b.retry)
	d.Describe(prefix+"submit",
		"Submits a task and, with wait_ms, waits for its end. An id makes it safe to repeat.")
	d.Describe(prefix+"get", "A task as it is now.")
	d.Describe(prefix+"list", "Tasks, newest first, page by page.")
	d.Describe(prefix+"result",
		"A task with its result, once it is done; with wait_ms, waits for that.")
	d.Describe(prefix+"cancel", "Cancels a task.")
	d.Describe(prefix+"retry", "Queues a task again that failed, died or was cancelled.")
}

func (b *Bridge) submit(ctx context.Context, in submitIn) (tasks.View, error) {
	if err := b.allow(ctx, tasks.Call{Operation: tasks.OpSubmit, Kind: in.Kind}); err != nil {
		return tasks.View{}, err
	}
	var opts tasks.SubmitOptions
	if b.opts.Submit != nil {
		o, err := b.opts.Submit(ctx, in.Kind)
		if err != nil {
			return tasks.View{}, refusal(err)
		}
		if o != nil {
			opts = *o
		}
	}
	if opts.ID == "" {
		opts.ID = in.ID
	}
	opts.Authorize = func(op tasks.Operation, t *tasks.Task) error {
		return b.allow(ctx, tasks.Call{Operation: op, Task: t})
	}
	t, err := b.m.Submit(ctx, in.Kind, in.Payload, &opts)
	if err != nil {
		return tasks.View{}, peerError(err)
	}
	if in.WaitMS == 0 || !b.mayRead(ctx, t) { // who may submit it may not read it, perhaps
		return t.View(), nil
	}
	done, err := b.await(ctx, t, in.WaitMS)
	switch {
	case err != nil:
		return tasks.View{}, err
	case !b.mayRead(ctx, done): // nor any more
		return t.View(), nil
	}
	v := done.View()
	v.Result = done.Result
	return v, nil
}

func (b *Bridge) get(ctx context.Context, in idIn) (tasks.View, error) {
	t, err := b.find(ctx, tasks.OpGet, in.ID)
	if err != nil {
		return tasks.View{}, err
	}
	return t.View(), nil
}

func (b *Bridge) result(ctx context.Context, in resultIn) (tasks.View, error) {
	t, err := b.find(ctx, tasks.OpGet, in.ID)
	if err == nil && in.WaitMS > 0 {
		if t, err = b.await(ctx, t, in.WaitMS); err == nil {
			err = b.allow(ctx, tasks.Call{Operation: tasks.OpGet, Task: t}) // once more
		}
	}
	if err != nil {
		return tasks.View{}, err
	}
	v := t.View()
	if p := t.Problem(); p != nil {
		return tasks.View{}, p
	}
	v.Result = t.Result
	return v, nil
}

func (b *Bridge) cancel(ctx context.Context, in idIn) (tasks.View, error) {
	return b.change(ctx, tasks.OpCancel, in.ID, b.m.Cancel)
}

func (b *Bridge) retry(ctx context.Context, in idIn) (tasks.View, error) {
	return b.change(ctx, tasks.OpRetry, in.ID, b.m.Retry)
}

func (b *Bridge) change(ctx context.Context, op tasks.Operation, id string,
	do func(context.Context, string) (*tasks.Task, error),
) (tasks.View, error) {
	if _, err := b.find(ctx, op, id); err != nil {
		return tasks.View{}, err
	}
	t, err := do(ctx, id)
	if err != nil {
		return tasks.View{}, peerError(err)
	}
	return t.View(), nil
}

func (b *Bridge) list(ctx context.Context, in listIn) (listOut, error) {
	if err := b.allow(ctx, tasks.Call{Operation: tasks.OpList}); err != nil {
		return listOut{}, err
	}
	for i, s := range in.States {
		if !s.Done() && !s.Waiting() && s != tasks.Running {
			return listOut{}, badParam(jsontext.Pointer("/states/"+strconv.Itoa(i)),
				"there is no such state")
		}
	}
	if in.Limit < 0 || in.Limit > maxPage {
		return listOut{}, badParam("/limit", "limit is from 1 to 100")
	}
	page, next, err := b.m.List(ctx, &tasks.Filter{
		States: in.States, Queue: in.Queue, Kind: in.Kind, Metadata: in.Metadata, Limit: in.Limit,
		Cursor: in.Cursor,
	})
	if err != nil {
		return listOut{}, peerError(err)
	}
	out := listOut{Tasks: make([]tasks.View, 0, len(page)), Next: next}
	for _, t := range page {
		if b.allow(ctx, tasks.Call{Operation: tasks.OpList, Task: t}) != nil {
			continue
		}
		v := t.View()
		if v.Progress != nil && v.Progress.Data != nil {
			p := *v.Progress
			p.Data = nil
			v.Progress = &p
		}
		if v.Error != nil && v.Error.Problem != nil {
			e := *v.Error
			e.Problem = nil
			v.Error = &e
		}
		out.Tasks = append(out.Tasks, v)
	}
	return out, nil
}

// find returns the task, if the caller may do with it what is asked.
func (b *Bridge) find(ctx context.Context, op tasks.Operation, id string) (*tasks.Task, error) {
	t, err := b.m.Get(ctx, id)
	if err != nil {
		return nil, peerError(err)
	}
	return t, b.allow(ctx, tasks.Call{Operation: op, Task: t})
}

// await waits for t's end, for so long at most and until the server stops, and returns it as it is
// then.
func (b *Bridge) await(ctx context.Context, t *tasks.Task, ms int64) (*tasks.Task, error) {
	wait := min(time.Duration(min(ms, 1<<32))*time.Millisecond, b.opts.MaxWait)
	if wait == 0 || t.State.Done() {
		return t, nil
	}
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	defer context.AfterFunc(stopping.From(ctx), cancel)()
	done, err := b.m.Wait(waiting, t.ID)
	if err != nil && ctx.Err() == nil &&
		(waiting.Err() != nil || errors.Is(err, tasks.ErrNotRunning)) {
		done, err = b.m.Get(ctx, t.ID)
	}
	if err != nil {
		return nil, peerError(err)
	}
	return done, nil
}

// allow is the one check of every way to a task.
func (b *Bridge) allow(ctx context.Context, c tasks.Call) error {
	kind := c.Kind
	if c.Task != nil {
		kind = c.Task.Kind
	}
	switch {
	case kind != "" && !b.serves(kind):
		return &wsx.Error{Code: wsx.CodeNotFound}
	case c.Operation == tasks.OpEvents && c.Task == nil && b.opts.Kinds == nil &&
		b.opts.Authorize == nil:
		// a pattern, of which there is nothing to tell
		return &wsx.Error{Code: wsx.CodeSubscriptionDenied}
	}
	if b.opts.Authorize == nil {
		return nil
	}
	return refusal(b.opts.Authorize(ctx, c))
}

func (b *Bridge) mayRead(ctx context.Context, t *tasks.Task) bool {
	return b.allow(ctx, tasks.Call{Operation: tasks.OpGet, Task: t}) == nil
}

func (b *Bridge) serves(kind string) bool {
	if b.opts.Kinds == nil {
		return b.opts.Authorize != nil
	}
	return slices.Contains(b.opts.Kinds, kind)
}

// refusal is an error of the program's that refuses a call.
func refusal(err error) error {
	if err == nil {
		return nil
	}
	if problem.Of(err) != nil { // a wsx.Error too
		return err
	}
	code := wsx.CodePermissionDenied
	if status := statusOf(err); status >= 400 && status <= 499 {
		code = codeOf(status)
	}
	return &wsx.Error{Code: code, Err: err}
}

// codeOf is the code of an HTTP status.
func codeOf(status int) string { return wsx.PeerError(&problem.Error{Status: status}).Code }

// peerError is an error of the manager's with what of it is for the client; the rest wsx maps by
// its status.
func peerError(err error) error {
	var input *tasks.InputError
	switch {
	case errors.As(err, &input):
		return badPayload(input, err)
	// the package's own text, of what the client sent
	case errors.Is(err, tasks.ErrInvalid) || errors.Is(err, tasks.ErrTooLarge):
		return &wsx.Error{
			Code:    codeOf(statusOf(err)),
			Message: strings.TrimPrefix(err.Error(), "tasks: "), Err: err,
		}
	case errors.Is(err, tasks.ErrStoreFull):
		return &wsx.Error{Code: wsx.CodeResourceExhausted, Err: err}
	}
	return err
}

// badPayload tells what is wrong with the member payload of the params.
func badPayload(input *tasks.InputError, cause error) *problem.Error {
	p := *input.Problem()
	p.Err, p.Fields = cause, slices.Clone(p.Fields)
	for i := range p.Fields {
		if f := &p.Fields[i]; f.In == "" || f.In == "body" {
			f.Pointer = "/payload" + f.Pointer
		}
	}
	if p.Extensions = maps.Clone(p.Extensions); p.Extensions == nil {
		p.Extensions = make(map[string]any, 1)
	}
	p.Extensions["path"] = string("/payload" + input.Path)
	return &p
}

func badParam(path jsontext.Pointer, message string) *wsx.Error {
	return &wsx.Error{
		Code: wsx.CodeInvalidParams, Message: message,
		Details: map[string]any{"path": string(path)},
	}
}

// statusOf is the status that an error carries, or 500.
func statusOf(err error) int {
	if coded, ok := errors.AsType[interface {
		error
		StatusCode() int
	}](err); ok {
		return coded.StatusCode()
	}
	return http.StatusInternalServerError
}
