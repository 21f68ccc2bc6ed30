package tasks_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
)

func TestRunContext_EndsWithTheRunForWhatItLeavesBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := tasks.New(memstore.New(), nil)
		left := make(chan context.Context, 1)
		k := tasks.Register(m, "leave", 1, func(ctx context.Context, _ struct{}) (struct{}, error) {
			if err := errors.Join(ctx.Err(), context.Cause(ctx)); err != nil {
				t.Errorf("it has ended: %v", err)
			}
			child, cancel := context.WithTimeout(ctx, time.Hour)
			context.AfterFunc(child, cancel)
			left <- child
			return struct{}{}, nil
		}, nil)
		start(t, m)
		task := must[*tasks.Task](t)(k.Submit(t.Context(), struct{}{}, nil))
		must[struct{}](t)(k.Result(t.Context(), task.ID))
		child := <-left
		<-child.Done()
		if !errors.Is(child.Err(), context.Canceled) ||
			!errors.Is(context.Cause(child), tasks.ErrStale) {
			t.Errorf("%v, cause %v", child.Err(), context.Cause(child))
		}
	})
}

func TestRunContext_TellsOfACancelToWhoeverAsksLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := tasks.New(memstore.New(), nil)
		begun, asks, told := make(chan struct{}), make(chan struct{}), make(chan [2]error, 1)
		k := tasks.Register(m, "ask", 1, func(ctx context.Context, _ struct{}) (struct{}, error) {
			close(begun)
			<-asks
			told <- [2]error{ctx.Err(), context.Cause(ctx)}
			return struct{}{}, nil
		}, nil)
		start(t, m)
		task := must[*tasks.Task](t)(k.Submit(t.Context(), struct{}{}, nil))
		<-begun
		must[*tasks.Task](t)(m.Cancel(t.Context(), task.ID))
		close(asks)
		if got := <-told; !errors.Is(got[0], context.Canceled) ||
			!errors.Is(got[1], tasks.ErrCancelled) {
			t.Errorf("%v, cause %v", got[0], got[1])
		}
	})
}

// TestRunContext_TimeoutOfWhatIsDerived: an error of a database or an HTTP client, which derive
// contexts, says deadline exceeded.
func TestRunContext_TimeoutOfWhatIsDerived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := tasks.New(memstore.New(), nil)
		k := tasks.Register(m, "slow", 1, func(ctx context.Context, _ struct{}) (struct{}, error) {
			child, cancel := context.WithCancel(ctx)
			defer cancel()
			<-child.Done()
			if !errors.Is(child.Err(), context.DeadlineExceeded) ||
				!errors.Is(context.Cause(child), context.DeadlineExceeded) {
				t.Errorf("%v, cause %v", child.Err(), context.Cause(child))
			}
			return struct{}{}, child.Err()
		}, &tasks.KindOptions{Timeout: time.Second})
		start(t, m)
		task := must[*tasks.Task](t)(k.Submit(t.Context(), struct{}{}, nil))
		_, err := k.Result(t.Context(), task.ID)
		if failed, ok := errors.AsType[*tasks.TaskError](err); !ok ||
			failed.Kind != tasks.ErrorTimeout {
			t.Errorf("%v", err)
		}
	})
}
