package tasks

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/problem"
)

// maxIdempotencyKey is the longest Idempotency-Key in bytes.
const maxIdempotencyKey = 256

func (h *handler) submit(w http.ResponseWriter, r *http.Request, base, kind string) error {
	if err := h.allow(Call{Request: r, Operation: OpSubmit, Kind: kind}); err != nil {
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
	var opts SubmitOptions
	if h.opts.Submit != nil {
		o, err := h.opts.Submit(r, kind)
		if err != nil {
			return refusal(err)
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
	t, err := h.m.Submit(r.Context(), kind, payload, &opts)
	if other, ok := errors.AsType[*ExistsError](err); ok && other.ID && key != "" {
		return &requestError{http.StatusUnprocessableEntity, "The Idempotency-Key was used with another payload.", err}
	}
	if err != nil {
		return err
	}
	if t.Revision > 1 || opts.ID != "" { // it may have been there before, and somebody else's
		if err := h.allow(Call{Request: r, Operation: OpGet, Task: t}); err != nil {
			return err
		}
	}
	location := t.ID // relative to the kind's own path
	if base != "" || strings.HasPrefix(r.RequestURI, "/"+url.PathEscape(kind)) {
		location = base + "/" + t.ID
	}
	w.Header().Set("Location", location)
	if t, err = h.await(w, r, t, wait, applied); err != nil {
		return err
	}
	v := t.View()
	if !t.State.Done() || wait == 0 {
		return answer(w, r, http.StatusAccepted, v)
	}
	v.Result = t.Result
	return answer(w, r, http.StatusOK, v)
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
		return "", &requestError{status: http.StatusBadRequest, detail: "The Idempotency-Key is not one string of 1 to 256 bytes."}
	}
	return key, nil
}

// body is a request's payload; an empty one is none.
func (h *handler) body(w http.ResponseWriter, r *http.Request) (jsontext.Value, error) {
	if err := jsonBody(r); err != nil {
		return nil, err
	}
	limit := int64(h.m.opts.MaxPayload)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, &requestError{http.StatusRequestEntityTooLarge, "The body may have " + strconv.FormatInt(tooLarge.Limit, 10) + " bytes.", err}
	}
	if err != nil {
		return nil, &requestError{http.StatusBadRequest, "The body could not be read.", err}
	}
	if len(body) == 0 {
		return nil, nil
	}
	if payload := jsontext.Value(body); payload.IsValid() {
		return payload, nil
	}
	return nil, &requestError{status: http.StatusBadRequest, detail: "The body is not JSON."}
}

// jsonBody refuses what a form of another site could send.
func jsonBody(r *http.Request) error {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/json" && !strings.HasSuffix(media, "+json") {
		return &requestError{http.StatusUnsupportedMediaType, "The Content-Type must be application/json.", err}
	}
	return nil
}

// wait is how long the client wants to wait for a task's end, and what Preference-Applied says of it.
func (h *handler) wait(r *http.Request) (wait time.Duration, applied string, err error) {
	if text := r.URL.Query().Get("wait"); text != "" {
		if wait, err = time.ParseDuration(text); err != nil || wait < 0 {
			return 0, "", &requestError{http.StatusBadRequest, "wait is a time such as 5s.", err}
		}
	}
	for _, header := range r.Header.Values("Prefer") {
		for p := range strings.SplitSeq(header, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
			if seconds, err := strconv.Atoi(value); strings.EqualFold(name, "wait") && err == nil && seconds >= 0 && wait == 0 {
				wait, applied = time.Duration(min(seconds, 1<<20))*time.Second, "wait="+value
			}
		}
	}
	return min(wait, max(0, h.opts.MaxWait)), applied, nil
}

// await waits for t's end, at most so long, and returns it as it is then.
func (h *handler) await(w http.ResponseWriter, r *http.Request, t *Task, wait time.Duration, applied string) (*Task, error) {
	if wait <= 0 || t.State.Done() {
		return t, nil
	}
	if applied != "" {
		w.Header().Set("Preference-Applied", applied)
	}
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	done, err := h.m.Wait(ctx, t.ID)
	switch {
	case err == nil:
		return done, nil
	case r.Context().Err() == nil && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrNotRunning)):
		return h.m.Info(r.Context(), t.ID)
	}
	return nil, err
}

func (h *handler) get(w http.ResponseWriter, r *http.Request, t *Task) error {
	return answer(w, r, http.StatusOK, t.View())
}

func (h *handler) result(w http.ResponseWriter, r *http.Request, t *Task) error {
	wait, applied, err := h.wait(r)
	if err != nil {
		return err
	}
	if t, err = h.await(w, r, t, wait, applied); err != nil {
		return err
	}
	switch {
	case !t.State.Done():
		w.Header().Set("Retry-After", "1")
		return answer(w, r, http.StatusAccepted, t.View())
	case t.State != Succeeded:
		p := problem.Problem{Status: statusOf(t.Err()), Extensions: map[string]any{"task": t.ID, "state": t.State}}
		if t.Error != nil && t.State != Cancelled {
			p.Extensions["error"] = t.View().Error
		}
		problem.Write(w, r, p)
		return nil
	case t.Result == nil:
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return answer(w, r, http.StatusOK, t.Result)
}

func (h *handler) cancel(w http.ResponseWriter, r *http.Request, t *Task) error {
	t, err := h.m.Cancel(r.Context(), t.ID)
	if err != nil {
		return err
	}
	return answer(w, r, http.StatusOK, t.View())
}

func (h *handler) retry(w http.ResponseWriter, r *http.Request, t *Task) error {
	if err := jsonBody(r); err != nil {
		return err
	}
	t, err := h.m.Retry(r.Context(), t.ID)
	if err != nil {
		return err
	}
	return answer(w, r, http.StatusAccepted, t.View())
}

// page is a page of a list.
type page struct {
	Tasks []View `json:"tasks"`
	Next  string `json:"next,omitzero"` // the cursor of the next page
}

func (h *handler) list(w http.ResponseWriter, r *http.Request, base string) error {
	if err := h.allow(Call{Request: r, Operation: OpList}); err != nil {
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
	out := page{Tasks: make([]View, 0, len(found)), Next: next}
	for _, t := range found {
		if h.allow(Call{Request: r, Operation: OpList, Task: t}) == nil {
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
func filterOf(query url.Values) (*Filter, error) {
	f := &Filter{Queue: query.Get("queue"), Kind: query.Get("kind"), Cursor: query.Get("cursor")}
	for _, text := range query["state"] {
		for name := range strings.SplitSeq(text, ",") {
			state := State(strings.TrimSpace(name))
			if !state.Done() && !state.Waiting() && state != Running {
				return nil, &requestError{status: http.StatusBadRequest, detail: "There is no such state."}
			}
			f.States = append(f.States, state)
		}
	}
	if text := query.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 1000 {
			return nil, &requestError{http.StatusBadRequest, "limit is a number from 1 to 1000.", err}
		}
		f.Limit = n
	}
	for name, values := range query {
		if key, ok := strings.CutPrefix(name, "meta."); ok {
			if f.Metadata == nil {
				f.Metadata = make(map[string]string)
			}
			f.Metadata[key] = values[0]
		}
	}
	return f, nil
}
