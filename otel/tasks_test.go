package asgiotel_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	asgiotel "github.com/genropy/genro-asgi-go/otel"
	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
)

// runOne submits a task with metadata and runs it, and returns what became of it.
func runOne(ctx context.Context, r *rig, in string, metadata map[string]string,
	outer ...tasks.Middleware,
) *tasks.Task {
	r.t.Helper()
	jobs := tasks.New(memstore.New(), &tasks.Options{Middleware: append(outer, r.Run)})
	defer func() { _ = jobs.Stop(context.Background()) }()
	kind := tasks.Register(jobs, "report", 1, func(_ context.Context, in string) (string, error) {
		if in != "" {
			return "", errors.New(in)
		}
		return in, nil
	}, nil)
	if _, err := kind.Submit(ctx, in, &tasks.SubmitOptions{Metadata: metadata}); err != nil {
		r.t.Fatal(err)
	}
	task, err := jobs.RunNext(ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	return task
}

func TestRun_IsAChildOfWhoSubmitted(t *testing.T) {
	r := newRig(t, asgiotel.Options{})
	task := runOne(t.Context(), r, "", map[string]string{"traceparent": parent})
	s := r.only("process report")
	if s.Parent.SpanID().String() != "b7ad6b7169203331" || len(s.Links) != 1 ||
		s.Links[0].SpanContext.SpanID() != s.Parent.SpanID() {
		t.Errorf("parent %v, links %v", s.Parent, s.Links)
	}
	for key, want := range map[string]string{
		"messaging.system": "genro.tasks", "messaging.operation.name": "process",
		"messaging.operation.type": "process", "messaging.message.id": task.ID,
		"genro.task.kind": "report", "genro.task.attempt": "1",
	} {
		if got := attr(s, key); got != want {
			t.Errorf("%s is %q, not %q", key, got, want)
		}
	}
	if s.SpanKind != trace.SpanKindConsumer || s.Status.Code != codes.Unset {
		t.Error(s.SpanKind, s.Status)
	}
}

func TestRun_IsARootWithoutMetadata(t *testing.T) {
	r := newRig(t, asgiotel.Options{})
	runOne(t.Context(), r, "", nil)
	if s := r.only("process report"); s.Parent.IsValid() || len(s.Links) != 0 {
		t.Errorf("parent %v, links %v", s.Parent, s.Links)
	}
}

func TestRun_OnlyLinksWhereThatIsWanted(t *testing.T) {
	r := newRig(t, asgiotel.Options{LinkOnly: true})
	runOne(t.Context(), r, "", map[string]string{"traceparent": parent})
	if s := r.only("process report"); s.Parent.IsValid() || len(s.Links) != 1 {
		t.Errorf("parent %v, links %v", s.Parent, s.Links)
	}
}

func TestRun_IsAChildOfTheSpanUnderWay(t *testing.T) {
	for _, opts := range []asgiotel.Options{{}, {LinkOnly: true}} {
		r := newRig(t, opts)
		runOne(t.Context(), r, "", map[string]string{"traceparent": parent},
			func(ctx context.Context, _ *tasks.Run, next func(ctx context.Context) error) error {
				ctx, span := r.tracer.Start(ctx, "cron")
				defer span.End()
				return next(ctx)
			})
		s := r.only("process report")
		childOf(t, s, r.only("cron"))
		if len(s.Links) != 1 || s.Links[0].SpanContext.SpanID().String() != "b7ad6b7169203331" {
			t.Errorf("links %v", s.Links)
		}
	}
}

func TestRun_MarksWhatFailed(t *testing.T) {
	r := newRig(t, asgiotel.Options{})
	if task := runOne(t.Context(), r, "no paper", nil); task.State != tasks.Failed {
		t.Fatal(task.State)
	}
	s := r.only("process report")
	if s.Status.Code != codes.Error || attr(s, "error.type") != "*errors.errorString" {
		t.Error(s.Status, s.Attributes)
	}
	want := map[string]uint64{
		"error.type=*errors.errorString,genro.task.kind=report,messaging.operation.name=process," +
			"messaging.operation.type=process,messaging.system=genro.tasks": 1,
	}
	if got := r.points("messaging.process.duration"); !maps.Equal(got, want) {
		t.Errorf("%v, not %v", got, want)
	}
}

// submitter is a manager whose submits r watches.
func submitter(r *rig) (*tasks.Manager, *tasks.Kind[string, string]) {
	jobs := tasks.New(memstore.New(), &tasks.Options{
		Middleware: []tasks.Middleware{r.Run},
		SubmitMiddleware: []func(context.Context, *tasks.Submission,
			func(context.Context) error) error{r.Submit},
	})
	r.t.Cleanup(func() { _ = jobs.Stop(context.Background()) })
	echo := func(_ context.Context, in string) (string, error) { return in, nil }
	return jobs, tasks.Register(jobs, "report", 1, echo, nil)
}

func TestSubmit_IsWhatItsRunBelongsTo(t *testing.T) {
	r := newRig(t, asgiotel.Options{})
	jobs, report := submitter(r)
	ctx, span := r.tracer.Start(t.Context(), "request")
	given := map[string]string{"customer": "ada"}
	task, err := report.Submit(ctx, "x", &tasks.SubmitOptions{Metadata: given})
	span.End()
	if err != nil || len(given) != 1 || task.Metadata["customer"] != "ada" {
		t.Fatal(task, err)
	}
	if _, err := jobs.RunNext(t.Context()); err != nil {
		t.Fatal(err)
	}
	submit, process := r.only("submit report"), r.only("process report")
	childOf(t, submit, r.only("request"))
	childOf(t, process, submit)
	linksTo(t, process, submit)
	if submit.SpanKind != trace.SpanKindProducer || attr(submit, "messaging.message.id") !=
		task.ID || attr(submit, "messaging.destination.name") != "default" ||
		attr(submit, "messaging.operation.type") != "send" {
		t.Error(submit.SpanKind, submit.Attributes)
	}
}

func TestSubmit_OfManyHasASpanForEach(t *testing.T) {
	r := newRig(t, asgiotel.Options{})
	jobs, report := submitter(r)
	ctx, span := r.tracer.Start(t.Context(), "request")
	added, err := report.SubmitMany(ctx, []string{"a", "b", "c"}, nil)
	span.End()
	if err != nil {
		t.Fatal(err)
	}
	submits := map[string]tracetest.SpanStub{} // by task
	for _, s := range r.spans.GetSpans() {
		if s.Name == "submit report" {
			childOf(t, s, r.only("request"))
			submits[attr(s, "messaging.message.id")] = s
		}
	}
	r.spans.Reset()
	for range added {
		task, err := jobs.RunNext(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		childOf(t, r.only("process report"), submits[task.ID])
		r.spans.Reset()
	}
	if len(submits) != 3 {
		t.Errorf("%d submits", len(submits))
	}
}

func TestSubmit_LeavesNoTaskRefusedForItsMetadata(t *testing.T) {
	for _, size := range []int{30, 31, 32} {
		r := newRig(t, asgiotel.Options{})
		_, report := submitter(r)
		full := map[string]string{}
		for i := range size {
			full[fmt.Sprint("key", i)] = "value"
		}
		task, err := report.Submit(t.Context(), "x", &tasks.SubmitOptions{Metadata: full})
		if err != nil {
			t.Fatal(err)
		}
		if carried := task.Metadata["traceparent"] != ""; carried != (size < 32) {
			t.Errorf("%d entries: carried %v", size, carried)
		}
	}
	r := newRig(t, asgiotel.Options{})
	_, report := submitter(r)
	large := map[string]string{"large": strings.Repeat("x", 4090)}
	_, err := report.Submit(t.Context(), "x", &tasks.SubmitOptions{Metadata: large})
	if err != nil {
		t.Error(err)
	}
}

func TestSubmit_MarksWhatIsRefused(t *testing.T) {
	r := newRig(t, asgiotel.Options{})
	_, report := submitter(r)
	_, err := report.Submit(t.Context(), "x", &tasks.SubmitOptions{Queue: "nowhere"})
	if !errors.Is(err, tasks.ErrNotFound) {
		t.Fatal(err)
	}
	if s := r.only("submit report"); s.Status.Code != codes.Error ||
		attr(s, "error.type") != "NOT_FOUND" {
		t.Error(s.Status, s.Attributes)
	}
}
