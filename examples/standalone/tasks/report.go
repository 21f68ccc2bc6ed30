package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/genropy/genro-asgi-go/problem"
	"github.com/genropy/genro-asgi-go/tasks"
)

const (
	progressEvery   = 50  // rows
	checkpointEvery = 400 // rows
)

// reportIn asks for a report.
type reportIn struct {
	File string `json:"file"` // in the program's -data
	By   string `json:"by"`   // region, product or month
	// rests for so long after every 50 rows, so that there is something to watch
	PaceMS int `json:"pace_ms,omitzero"`
}

// Validate is called when a report is submitted: its text is for the client.
func (in reportIn) Validate() error {
	switch {
	case !fs.ValidPath(in.File):
		return problem.Field{Pointer: "/file", Detail: "must be a path below the data directory"}
	case in.By != "region" && in.By != "product" && in.By != "month":
		return problem.Field{Pointer: "/by", Detail: "must be region, product or month"}
	case in.PaceMS < 0 || in.PaceMS > 1000:
		return problem.Field{Pointer: "/pace_ms", Detail: "must be from 0 to 1000"}
	}
	return nil
}

// reportOut is the report.
type reportOut struct {
	Rows   int     `json:"rows"`
	Groups []group `json:"groups"` // the best first
}

type group struct {
	Name     string `json:"name"`
	Quantity int    `json:"quantity"`
	Cents    int64  `json:"cents"`
}

// soFar is the checkpoint: what a later run of the same task begins with.
type soFar struct {
	Rows   int              `json:"rows"`
	Groups map[string]group `json:"groups"`
}

// inputError is what is wrong with a file. It is no use trying again.
type inputError struct{ text string }

func (e inputError) Error() string   { return e.text }
func (e inputError) StatusCode() int { return http.StatusUnprocessableEntity }

// reporter builds reports of the sales in its files.
type reporter struct{ files fs.FS }

// columns are the header of a table of sales.
var columns = []string{"date", "order", "region", "product", "quantity", "unit_price"}

func (r reporter) build(ctx context.Context, in reportIn) (reportOut, error) {
	file, err := r.files.Open(in.File)
	if errors.Is(err, fs.ErrNotExist) {
		return reportOut{}, tasks.Permanent(inputError{"there is no file " + in.File})
	}
	if err != nil {
		return reportOut{}, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return reportOut{}, err
	}
	rows := csv.NewReader(bufio.NewReader(file))
	rows.ReuseRecord = true
	if header, err := rows.Read(); err != nil || !slices.Equal(header, columns) {
		return reportOut{}, tasks.Permanent(inputError{in.File + " is no table of sales"})
	}
	sum := soFar{Groups: make(map[string]group)}
	if _, err := tasks.RunFrom(ctx).Restore(&sum); err != nil {
		return reportOut{}, err
	}
	if err := sum.count(ctx, in, rows, float64(info.Size())); err != nil {
		return reportOut{}, err
	}
	return sum.report(), nil
}

// count adds the rows up that no earlier run has counted, and saves how far it is now and then.
func (s *soFar) count(ctx context.Context, in reportIn, rows *csv.Reader, size float64) error {
	run := tasks.RunFrom(ctx)
	for n := 1; ; n++ {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil && n > s.Rows { // else an earlier run has counted it
			err = s.add(row, in.By)
		}
		if err != nil {
			return tasks.Permanent(inputError{fmt.Sprintf("%s, row %d: %v", in.File, n, err)})
		}
		if n < s.Rows || n%progressEvery != 0 {
			continue
		}
		err = run.Progress(tasks.Progress{
			Done: float64(rows.InputOffset()), Total: size, Message: strconv.Itoa(n) + " rows",
		})
		if err == nil && n%checkpointEvery == 0 {
			err = run.Checkpoint(*s)
		}
		if err == nil {
			err = rest(ctx, time.Duration(in.PaceMS)*time.Millisecond)
		}
		if err != nil { // cancelled, stopping, or somebody else's by now
			return err
		}
	}
}

func (s *soFar) report() reportOut {
	out := reportOut{Rows: s.Rows}
	for _, g := range s.Groups {
		out.Groups = append(out.Groups, g)
	}
	slices.SortFunc(out.Groups, func(a, b group) int {
		return cmp.Or(cmp.Compare(b.Cents, a.Cents), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// add counts one row: date, order, region, product, quantity, unit price.
func (s *soFar) add(row []string, by string) error {
	quantity, err := strconv.Atoi(row[4])
	if err != nil {
		return err
	}
	price, err := strconv.ParseFloat(row[5], 64)
	if err != nil {
		return err
	}
	name := row[2]
	switch by {
	case "product":
		name = row[3]
	case "month":
		day, err := time.Parse(time.DateOnly, row[0])
		if err != nil {
			return err
		}
		name = day.Format("2006-01")
	}
	g := s.Groups[name]
	g.Name = name
	g.Quantity += quantity
	g.Cents += int64(quantity) * int64(math.Round(price*100))
	s.Groups[name] = g
	s.Rows++
	return nil
}

// rest waits, and looks at ctx, also where there is nothing to wait for.
func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return ctx.Err()
}
