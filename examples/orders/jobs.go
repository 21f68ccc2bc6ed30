package main

import (
	"context"
	"encoding/csv"
	"net/http"
	"strconv"
	"strings"

	"github.com/genropy/genro-asgi-go/chiadapter/wsxtasks"
	"github.com/genropy/genro-asgi-go/problem"
	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/taskshttp"
)

// Export is what a customer gets for their books.
type Export struct {
	Orders int    `json:"orders"`
	CSV    string `json:"csv"` // id, created, state and cents of each
}

type ExportIn struct {
	State *OrderState `json:"state"` // nil is any
}

// export is a job: it runs after the request that asked for it, goes on after a restart, tells how
// far it is and can be cancelled.
func (s *shop) export(ctx context.Context, in ExportIn) (Export, error) {
	run := tasks.RunFrom(ctx)
	customer := run.Metadata()["customer"]
	total, err := s.db.count(ctx, customer, in.State)
	if err != nil {
		return Export{}, err
	}
	var out Export
	var text strings.Builder
	w := csv.NewWriter(&text)
	for after := int64(0); ; {
		// which fails when the job is cancelled
		orders, err := s.db.list(ctx, customer, in.State, after, 100)
		if err != nil {
			return Export{}, err
		}
		for _, o := range orders {
			row := []string{
				strconv.FormatInt(o.ID, 10), o.Created.Format("2006-01-02"),
				string(o.State), strconv.FormatInt(o.Cents, 10),
			}
			if err := w.Write(row); err != nil {
				return Export{}, err
			}
			after = o.ID
		}
		out.Orders += len(orders)
		if err := run.Progress(tasks.Progress{
			Done:  float64(out.Orders),
			Total: float64(max(total, out.Orders)),
		}); err != nil {
			return Export{}, err
		}
		if len(orders) < 100 {
			w.Flush()
			out.CSV = text.String()
			return out, w.Error()
		}
	}
}

// submission keeps with a job whose it is, and how many of them may run.
func submission(ctx context.Context) (*tasks.SubmitOptions, error) {
	name := userFrom(ctx).name
	return &tasks.SubmitOptions{Metadata: map[string]string{"customer": name}, Key: name}, nil
}

// mine lets customers see and cancel their own jobs alone; those of others are not there.
func mine(ctx context.Context, c tasks.Call) error {
	if u := userFrom(ctx); c.Task != nil && c.Task.Metadata["customer"] != u.name {
		return problem.NotFound("")
	}
	return nil
}

// jobsOverHTTP serves them below any path.
func jobsOverHTTP(jobs *tasks.Manager) http.Handler {
	return taskshttp.Handler(jobs, &taskshttp.Options{
		Kinds:     []string{"export"},
		Authorize: func(c tasks.Call) error { return mine(c.Request.Context(), c) },
		Submit: func(r *http.Request, _ string) (*tasks.SubmitOptions, error) {
			return submission(r.Context())
		},
	})
}

// jobsOverSocket serves them to pages: as methods, and a channel for each.
func jobsOverSocket(s *shop, jobs *tasks.Manager) *wsxtasks.Bridge {
	return wsxtasks.New(jobs, s.hub, &wsxtasks.Options{
		Kinds:     []string{"export"},
		Authorize: mine,
		Submit: func(ctx context.Context, _ string) (*tasks.SubmitOptions, error) {
			return submission(ctx)
		},
	})
}
