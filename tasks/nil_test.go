package tasks_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
	"github.com/genropy/genro-asgi-go/tasks/taskstest"
)

// TestNil_IsRefusedWithAText where a program is put together, and not when the first task or
// request comes.
func TestNil_IsRefusedWithAText(t *testing.T) {
	for want, f := range map[string]func(){
		`tasks: Register("job"): a Manager and a function`: func() {
			tasks.Register(nil, "job", 1, nothing, nil)
		},
		`tasks: Register("x"): a Manager and a function`: func() {
			tasks.Register[int, int](tasks.New(memstore.New(), nil), "x", 1, nil, nil)
		},
		`tasks: RegisterIsolated: a Manager and an Isolated`: func() {
			tasks.RegisterIsolated[int, int](tasks.New(memstore.New(), nil), 1, nil, nil)
		},
		`tasks: NewIsolated("x"): nil function`: func() {
			tasks.NewIsolated[int, int]("x", nil)
		},
		`the Store is a nil *memstore.Store`: func() {
			tasks.New((*memstore.Store)(nil), nil)
		},
		`Options.Clock is a nil *taskstest.Clock`: func() {
			tasks.New(memstore.New(), &tasks.Options{Clock: (*taskstest.Clock)(nil)})
		},
	} {
		func() {
			defer func() {
				if v := recover(); !strings.Contains(fmt.Sprint(v), want) {
					t.Errorf("panic: %v, want %q", v, want)
				}
			}()
			f()
		}()
	}
	if err := tasks.New(memstore.New(), nil).Stop(context.Background()); err != nil {
		t.Error(err)
	}
}
