package asgitest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const maxLine = 1 << 20

// Event is a server-sent event as a browser dispatches it (WHATWG HTML section 9.2.6).
type Event struct {
	ID    string        // the last id sent so far, as lastEventId
	Name  string        // "message" when the stream gave none
	Data  string        // lines joined by \n
	Retry time.Duration // the last reconnection time sent so far; 0 when none
}

// SSE opens an event stream and yields its events until the stream ends, the loop is left or ctx
// ends. An error, yielded once and last, is a stream that could not be opened, was cut, or ctx that
// ended. lastEventID may be empty.
func (c *Client) SSE(ctx context.Context, path, lastEventID string) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url(path), nil)
		if err != nil {
			yield(Event{}, err)
			return
		}
		r.Header.Set("Accept", "text/event-stream")
		if lastEventID != "" {
			r.Header.Set("Last-Event-ID", lastEventID)
		}
		resp, err := c.HTTP.Do(r)
		if err != nil {
			yield(Event{}, err)
			return
		}
		defer resp.Body.Close()
		if media, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";"); resp.StatusCode !=
			http.StatusOK || media != "text/event-stream" {
			yield(Event{}, fmt.Errorf("asgitest: %d %q is no event stream", resp.StatusCode, media))
			return
		}
		for event, err := range ParseSSE(resp.Body) {
			if !yield(event, err) {
				return
			}
		}
	}
}

// ParseSSE yields the events of a stream by the rules of WHATWG HTML section 9.2.6. Comments are
// skipped, and so is an event that the end of the stream cuts off. An error of r other than io.EOF
// is yielded last.
func ParseSSE(r io.Reader) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		lines := bufio.NewScanner(r)
		lines.Buffer(nil, maxLine)
		lines.Split((&lineSplitter{}).split)
		event := Event{Name: "message"}
		var data strings.Builder
		hasData, first := false, true
		for lines.Scan() {
			line := lines.Text()
			if first {
				line, first = strings.TrimPrefix(line, "\ufeff"), false
			}
			if line == "" {
				event.Data = strings.TrimSuffix(data.String(), "\n")
				if hasData && !yield(event, nil) {
					return
				}
				event.Name, hasData = "message", false
				data.Reset()
				continue
			}
			field, value, _ := strings.Cut(line, ":")
			value = strings.TrimPrefix(value, " ")
			switch field {
			case "event":
				if event.Name = value; value == "" {
					event.Name = "message"
				}
			case "data":
				hasData = true
				data.WriteString(value)
				data.WriteByte('\n')
			case "id":
				if !strings.ContainsRune(value, 0) {
					event.ID = value
				}
			case "retry":
				if ms, err := strconv.ParseUint(value, 10, 31); err == nil {
					event.Retry = time.Duration(ms) * time.Millisecond
				}
			}
		}
		if err := lines.Err(); err != nil {
			if errors.Is(err, bufio.ErrTooLong) {
				err = fmt.Errorf("asgitest: a line of the event stream is longer than %d bytes",
					maxLine)
			}
			yield(Event{}, err)
		}
	}
}

// lineSplitter ends lines at \n, \r\n or \r. It hands a line on at its \r without waiting for what
// follows, as an event must not wait for the next one, and drops a \n that comes then. A line
// without an end is not handed on: it was cut off.
type lineSplitter struct{ afterCR bool }

func (s *lineSplitter) split(data []byte, atEOF bool) (advance int, token []byte, err error) {
	start := 0
	if s.afterCR && len(data) > 0 && data[0] == '\n' {
		start = 1 // kept until a line follows: a Scanner that gets no token waits for more input
	}
	if i := bytes.IndexAny(data[start:], "\r\n"); i >= 0 {
		end := start + i
		s.afterCR = data[end] == '\r'
		return end + 1, data[start:end], nil
	}
	if atEOF {
		return len(data), nil, nil
	}
	return 0, nil, nil
}
