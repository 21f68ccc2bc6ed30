package asgiotel_test

import (
	"bufio"
	"bytes"
	"os"
	"testing"

	"github.com/go-json-experiment/json"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.uber.org/goleak"

	"github.com/genropy/genro-asgi-go/executor"
	asgiotel "github.com/genropy/genro-asgi-go/otel"
)

// spansFile names, in the environment of processes that the tests start, the file that they write
// their spans to.
const spansFile = "ASGIOTEL_TEST_SPANS"

func TestMain(m *testing.M) {
	if path := os.Getenv(spansFile); path != "" {
		watch := asgiotel.New(&asgiotel.Options{TracerProvider: tracesInto(path)})
		executor.UseWorker(watch.Worker)
	}
	executor.Main()
	if isService() {
		serve()
		return
	}
	goleak.VerifyTestMain(m)
}

// tracesInto is a provider that has written each span to the file when it has ended.
func tracesInto(path string) *sdktrace.TracerProvider {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	exporter, err := stdouttrace.New(stdouttrace.WithWriter(f))
	if err != nil {
		panic(err)
	}
	return sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
}

// writtenSpan is a span of another process, as stdouttrace writes it.
type writtenSpan struct {
	Name                string
	SpanContext, Parent writtenContext
	SpanKind            int
	Links               []struct{ SpanContext writtenContext }
}

type writtenContext struct{ TraceID, SpanID string }

// written reads the spans that other processes have written to a file.
func written(t testing.TB, path string) (spans []writtenSpan) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(bytes.NewReader(raw))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var s writtenSpan
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			t.Fatal(err)
		}
		spans = append(spans, s)
	}
	return spans
}
