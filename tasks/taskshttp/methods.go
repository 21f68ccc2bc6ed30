package taskshttp

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/input"
	"github.com/genropy/genro-asgi-go/internal/stopping"
	"github.com/genropy/genro-asgi-go/problem"
	"github.com/genropy/genro-asgi-go/tasks"
)

// maxIdempotencyKey is the longest Idempotency-Key in bytes.
const maxIdempotencyKey = 256

func (h *handler) submit(w http.ResponseWriter, r *http.Request, base, kind string) error {
	if err := h.allow(tasks.Call{Request: r, Operation: tasks.OpSubmit, Kind: kind}); err != nil {
		return err
	}
	key, err := idempotencyKey(r)
	if err != nil {
		return err
	}
	wait, applied, err := h.wait(r)
	if err != nil {
		return err
	}
	payload, err := h.body(w, r)
	if err != nil {
		return err
	}
	opts, err := h.submitOptions(r, kind, key)
	if err != nil {
		return err
	}
	t, err := h.m.Submit(r.Context(), kind, payload, opts)
	if other, ok := errors.AsType[*tasks.ExistsError](err); ok && other.ID && key != "" {
		return &problem.Error{
			Status: http.StatusUnprocessableEntity,
			Detail: "The Idempotency-Key was used with another payload.", Err: err,
		}
	}
	if err != nil {
		return err
	}
	location := t.ID // relative to the kind's own path
	if base != "" || strings.HasPrefix(r.RequestURI, "/"+url.PathEscape(kind)) {
		location = base + "/" + t.ID
	}
	w.Header().Set("Location", location)
	if wait <= 0 || h.allow(tasks.Call{Request: r, Operation: tasks.OpGet, Task: t}) != nil {
		// who may submit it may not read it, perhaps
		return answer(w, r, http.StatusAccepted, t.View())
	}
	done, err := h.await(w, r, t, wait, applied)
	switch {
	case err != nil:
		return err
	// nor any more
	case !done.State.Done() ||
		h.allow(tasks.Call{Request: r, Operation: tasks.OpGet, Task: done}) != nil:
		return answer(w, r, http.StatusAccepted, t.View())
	}
	v := done.View()
	v.Result = done.Result
	return answer(w, r, http.StatusOK, v)
}

// submitOptions are those of a task that a request submits. The Idempotency-Key makes its ID, where
// there is no other.
func (h *handler) submitOptions(r *http.Request, kind, key string) (*tasks.SubmitOptions, error) {
	var opts tasks.SubmitOptions
	if h.opts.Submit != nil {
		o, err := h.opts.Submit(r, kind)
		if err != nil {
			return nil, refusal(err)
		}
		if o != nil {
			opts = *o
		}
	}
	if opts.ID == "" && key != "" {
		scope := kind + "\x00" + key
		if opts.Key != "" {
			scope += "\x00" + opts.Key
		}
		sum := sha256.Sum256([]byte(scope))
		opts.ID = base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:20])
	}
	opts.Authorize = func(op tasks.Operation, t *tasks.Task) error {
		return h.allow(tasks.Call{Request: r, Operation: op, Task: t})
	}
	return &opts, nil
}

// idempotencyKey is the Idempotency-Key (draft-ietf-httpapi-idempotency-key-header), quoted or not.
func idempotencyKey(r *http.Request) (string, error) {
	values := r.Header.Values("Idempotency-Key")
	if len(values) == 0 {
		return "", nil
	}
	key := strings.TrimSpace(values[0])
	if len(key) > 1 && key[0] == '"' && key[len(key)-1] == '"' {
		key = key[1 : len(key)-1]
	}
	if len(values) > 1 || key == "" || len(key) > maxIdempotencyKey {
		return "", problem.New(http.StatusBadRequest,
			"The Idempotency-Key is not one string of 1 to 256 bytes.")
	}
	return key, nil
}

// body is a request's payload; an empty one is none. It is JSON by its Content-Type, which no form
// of another site can send, or there is none and the request is not another site's.
func (h *handler) body(w http.ResponseWriter, r *http.Request) (jsontext.Value, error) {
	typed := len(r.Header["Content-Type"]) > 0
	if typed && !input.IsJSON(r.Header) || !typed &&
		new(http.CrossOriginProtection).Check(r) != nil {
		return nil, problem.New(http.StatusUnsupportedMediaType,
			"The Content-Type must be application/json.")
	}
	if coding := r.Header["Content-Encoding"]; len(coding) > 0 &&
		!strings.EqualFold(coding[0], "identity") {
		return nil, problem.New(http.StatusUnsupportedMediaType,
			"The body must have no Content-Encoding.")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(h.m.Options().MaxPayload)))
	tooLarge, ok := errors.AsType[*http.MaxBytesError](err)
	switch {
	case ok:
		return nil, problem.From(tooLarge)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, &problem.Error{
			Status: http.StatusRequestTimeout,
			Detail: "The body took too long.", Err: err,
		}
	case err != nil:
		return nil, &problem.Error{
			Status: http.StatusBadRequest,
			Detail: "The body could not be read.", Err: err,
		}
	case len(body) == 0:
		return nil, nil
	case !typed:
		return nil, problem.New(http.StatusUnsupportedMediaType,
			"The Content-Type must be application/json.")
	case input.NestsDeeper(body, input.MaxDepth):
		return nil, problem.New(http.StatusBadRequest,
			"The body nests more than "+strconv.Itoa(input.MaxDepth)+" levels deep.")
	}
	if payload := jsontext.Value(body); payload.IsValid() {
		return payload, nil
	}
	return nil, problem.New(http.StatusBadRequest, "The body is not JSON.")
}

// wait is how long the client wants to wait for a task's end, and what Preference-Applied says of
// it.
func (h *handler) wait(r *http.Request) (wait time.Duration, applied string, err error) {
	if text := r.URL.Query().Get("wait"); text != "" {
		if wait, err = time.ParseDuration(text); err != nil || wait < 0 {
			return 0, "", &problem.Error{
				Status: http.StatusBadRequest,
				Detail: "wait is a time such as 5s.", Err: err,
			}
		}
	}
	for _, header := range r.Header.Values("Prefer") {
		for p := range strings.SplitSeq(header, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
			if seconds, err := strconv.Atoi(value); strings.EqualFold(name, "wait") && err == nil &&
				seconds >= 0 && wait == 0 {
				wait, applied = time.Duration(min(seconds, 1<<20))*time.Second, "wait="+value
			}
		}
	}
	return min(wait, max(0, h.opts.MaxWait)), applied, nil
}

// await waits for t's end, at most so long and until the server stops or the credentials end, and
// returns it as it is then.
func (h *handler) await(w http.ResponseWriter, r *http.Request, t *tasks.Task, wait time.Duration,
	applied string,
) (*tasks.Task, error) {
	if wait <= 0 || t.State.Done() {
		return t, nil
	}
	if applied != "" {
		w.Header().Set("Preference-Applied", applied)
	}
	until := time.Now().Add(wait)
	if expiry := stopping.Expiry(r.Context()); !expiry.IsZero() && expiry.Before(until) {
		until = expiry
	}
	ctx, cancel := context.WithDeadline(r.Context(), until)
	defer cancel()
	defer context.AfterFunc(stopping.From(ctx), cancel)()
	done, err := h.m.Wait(ctx, t.ID)
	if err != nil && r.Context().Err() == nil &&
		(ctx.Err() != nil || errors.Is(err, tasks.ErrNotRunning)) {
		return h.m.Get(r.Context(), t.ID)
	}
	return done, err
}

func (h *handler) get(w http.ResponseWriter, r *http.Request, t *tasks.Task) error {
	return answer(w, r, http.StatusOK, t.View())
}

func (h *handler) result(w http.ResponseWriter, r *http.Request, t *tasks.Task) error {
	wait, applied, err := h.wait(r)
	if err != nil {
		return err
	}
	if t, err = h.await(w, r, t, wait, applied); err != nil {
		return err
	}
	if wait > 0 {
		if err := h.allow(tasks.Call{Request: r, Operation: tasks.OpGet, Task: t}); err != nil {
			return err // not any more
		}
	}
	switch {
	case !t.State.Done():
		w.Header().Set("Retry-After", "1")
		return answer(w, r, http.StatusAccepted, t.View())
	case t.State != tasks.Succeeded:
		return t.Problem()
	case t.Result == nil:
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return answer(w, r, http.StatusOK, t.Result)
}

func (h *handler) cancel(w http.ResponseWriter, r *http.Request, t *tasks.Task) error {
	t, err := h.m.Cancel(r.Context(), t.ID)
	if err != nil {
		return err
	}
	return answer(w, r, http.StatusOK, t.View())
}

func (h *handler) retry(w http.ResponseWriter, r *http.Request, t *tasks.Task) error {
	if _, err := h.body(w, r); err != nil {
		return err
	}
	t, err := h.m.Retry(r.Context(), t.ID)
	if err != nil {
		return err
	}
	return answer(w, r, http.StatusAccepted, t.View())
}

// taskPage is a page of a list.
type taskPage struct {
	Tasks []tasks.View `json:"tasks"`
	Next  string       `json:"next,omitzero"` // the cursor of the next page
}

func (h *handler) list(w http.ResponseWriter, r *http.Request, base string) error {
	if err := h.allow(tasks.Call{Request: r, Operation: tasks.OpList}); err != nil {
		return err
	}
	query := r.URL.Query()
	f, err := filterOf(query)
	if err != nil {
		return err
	}
	found, next, err := h.m.List(r.Context(), f)
	if err != nil {
		return err
	}
	out := taskPage{Tasks: make([]tasks.View, 0, len(found)), Next: next}
	for _, t := range found {
		if h.allow(tasks.Call{Request: r, Operation: tasks.OpList, Task: t}) == nil {
			out.Tasks = append(out.Tasks, t.View())
		}
	}
	if next != "" {
		query.Set("cursor", next)
		w.Header().Set("Link", "<"+base+"/?"+query.Encode()+`>; rel="next"`) // RFC 8288
	}
	return answer(w, r, http.StatusOK, out)
}

// filterOf reads the query of a list.
func filterOf(query url.Values) (*tasks.Filter, error) {
	f := &tasks.Filter{
		Queue: query.Get("queue"), Kind: query.Get("kind"),
		Cursor: query.Get("cursor"),
	}
	for _, text := range query["state"] {
		for name := range strings.SplitSeq(text, ",") {
			state := tasks.State(strings.TrimSpace(name))
			if !state.Done() && !state.Waiting() && state != tasks.Running {
				return nil, problem.New(http.StatusBadRequest, "There is no such state.")
			}
			f.States = append(f.States, state)
		}
	}
	if text := query.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 1000 {
			return nil, &problem.Error{
				Status: http.StatusBadRequest,
				Detail: "limit is a number from 1 to 1000.", Err: err,
			}
		}
		f.Limit = n
	}
	for name, values := range query {
		key, ok := strings.CutPrefix(name, "meta.")
		if !ok && strings.HasSuffix(name, "]") {
			// as clients write it that are generated from the OpenAPI document
			key, ok = strings.CutPrefix(strings.TrimSuffix(name, "]"), "meta[")
		}
		switch {
		// a filter that is not understood would show what it was to leave out
		case !ok && (name == "meta" || strings.HasPrefix(name, "meta[")):
			return nil, problem.New(http.StatusBadRequest,
				"Metadata is selected by meta.NAME or meta[NAME].")
		case !ok:
			continue
		case len(values) > 1:
			return nil, problem.New(http.StatusBadRequest, "The same metadata is selected twice.")
		case f.Metadata == nil:
			f.Metadata = make(map[string]string)
		}
		f.Metadata[key] = values[0]
	}
	return f, nil
}
