package asgi

import (
	"net/http"
	"sync/atomic"
	"time"

	"github.com/genropy/genro-asgi-go/internal/counting"
	"github.com/genropy/genro-asgi-go/internal/histogram"
	"github.com/genropy/genro-asgi-go/internal/httpconn"
	"github.com/genropy/genro-asgi-go/stats"
)

// AppStats is what an App has counted since it was made. No name in it comes from a client: it has
// as many values as there are fields.
type AppStats struct {
	// State is how far the App has come: "new" until its components are started, "running",
	// "unready" for App.ShutdownDelay, "draining" while it waits for requests and components, and
	// "stopped".
	State string `json:"state"`

	// Requests are those that reached the App.
	Requests RequestStats `json:"requests"`

	// Connections are those of the server that Run or Serve has. Open are neither closed nor
	// hijacked: those of WebSockets have left.
	Connections OpenStats `json:"connections"`

	// SSE are the streams of server-sent events: those of SSE, and those of package wsx, tasks and
	// executor that requests of this App began.
	SSE OpenStats `json:"sse"`

	// Streams are those of Stream and StreamFunc.
	Streams OpenStats `json:"streams"`

	// WebSockets are those that handlers of HandleWebSocket have accepted. A wsx.Server counts its
	// own.
	WebSockets OpenStats `json:"websockets"`

	// Panics are those of HTTP and WebSocket handlers that middleware.Errors or the App has seen:
	// what chi's Recoverer catches further in is not among them. http.ErrAbortHandler is none.
	Panics uint64 `json:"panics"`

	// Background is the first Background among the App's components; zero without one.
	Background BackgroundStats `json:"background"`
}

// RequestStats counts requests. In an App mounted in another one they are requests of both.
type RequestStats struct {
	// InFlight are those whose handler has not returned. One whose connection was hijacked, as for
	// a WebSocket, is over with that.
	InFlight int `json:"in_flight"`

	// Total are those that are over: the sum of the five below. Each counts by the first digit of
	// its status; 101 is that of a hijacked connection, 499 that of a client that was gone before
	// the answer began. A panic before the answer began, which no middleware has answered, is 500.
	Total     uint64 `json:"total"`
	Status1xx uint64 `json:"status_1xx"`
	Status2xx uint64 `json:"status_2xx"`
	Status3xx uint64 `json:"status_3xx"`
	Status4xx uint64 `json:"status_4xx"`
	Status5xx uint64 `json:"status_5xx"`

	// Aborted are those of Total whose connection, or stream of HTTP/2, was cut because the handler
	// panicked, with http.ErrAbortHandler for one: the answer had begun and could not be ended.
	Aborted uint64 `json:"aborted"`

	// Latency is how long the handlers took, with all middleware inside of the App. What lasts by
	// its nature is left out: hijacked connections, and requests whose handler has set a write
	// deadline itself, as every stream does.
	Latency stats.Histogram `json:"latency"`
}

// OpenStats counts what opens and closes.
type OpenStats struct {
	Open  int    `json:"open"`  // how many there are now
	Total uint64 `json:"total"` // how many there have been, those that are open included
}

// Stats is what the App has counted. It stops nothing and takes no lock but that of the Background;
// counts of one call may be some requests apart from each other. It may be called at any time, in
// every State.
//
// Streams, WebSockets and panics that middleware.Errors has caught count in the innermost App that
// the request has reached.
func (a *App) Stats() AppStats {
	s := AppStats{
		State:       a.shutdown.state(a.isStarted.Load()),
		Requests:    a.requests.read(),
		SSE:         openStats(a.counts.Open(counting.Events)),
		Streams:     openStats(a.counts.Open(counting.Stream)),
		WebSockets:  openStats(a.counts.Open(counting.WebSocket)),
		Connections: openStats(a.conns.Connections()),
		Panics:      a.counts.Panics(),
	}
	s.Requests.InFlight = a.shutdown.inFlight()
	if a.background != nil {
		s.Background = a.background.Stats()
	}
	return s
}

func openStats(open int, total uint64) OpenStats { return OpenStats{Open: open, Total: total} }

// requestCounts are those of requests that are over. Their atomics are shared by all requests,
// which is some tens of nanoseconds of each (BenchmarkApp_Mounted).
type requestCounts struct {
	classes [5]atomic.Uint64 // by the first digit of the status
	aborted atomic.Uint64
	latency histogram.Recorder
}

// count counts a request that is over; panicked says that its handler has not returned.
func (c *requestCounts) count(answer *httpconn.PacedWriter, began time.Time, panicked bool) {
	if !answer.Hijacked() && !answer.OwnDeadlines() {
		c.latency.Observe(time.Since(began))
	}
	status := answer.Status()
	switch {
	case status != 0:
	case panicked:
		status = http.StatusInternalServerError
	default:
		status = http.StatusOK // by net/http
	}
	if panicked {
		c.aborted.Add(1)
	}
	c.classes[min(max(status/100, 1), len(c.classes))-1].Add(1)
}

func (c *requestCounts) read() RequestStats {
	s := RequestStats{
		Status1xx: c.classes[0].Load(), Status2xx: c.classes[1].Load(),
		Status3xx: c.classes[2].Load(), Status4xx: c.classes[3].Load(),
		Status5xx: c.classes[4].Load(),
		Aborted:   c.aborted.Load(), Latency: c.latency.Read(),
	}
	s.Total = s.Status1xx + s.Status2xx + s.Status3xx + s.Status4xx + s.Status5xx
	return s
}
