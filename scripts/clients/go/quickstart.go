//go:build clients

package main

import (
	"context"
	"net/http"

	"example.com/clients/quickstart"
)

func callQuickstart(ctx context.Context, url string, w *witness) {
	client, err := quickstart.NewClient(url, quickstart.WithClient(&http.Client{Transport: w}))
	if err != nil {
		panic(err)
	}
	submit := func(below int64, params quickstart.SubmitPrimesParams) (quickstart.SubmitPrimesRes,
		error,
	) {
		return client.SubmitPrimes(ctx,
			quickstart.NewOptPrimesIn(quickstart.PrimesIn{Below: quickstart.NewOptInt64(below)}),
			params)
	}
	sum := must[*quickstart.AddOut](client.PostAdd(ctx,
		&quickstart.AddIn{A: quickstart.NewOptInt64(2), B: quickstart.NewOptInt64(40)}))
	if sum.Sum != 42 {
		w.fault("2 and 40 is %d", sum.Sum)
	}
	w.expect(200)(client.GetRoot(ctx))
	must[*quickstart.ReadyOK](client.Ready(ctx))
	w.expect(426)(client.OpenWebSocket(ctx))
	w.handshake(ctx, url+"/ws")

	id := must[*quickstart.SubmitPrimesOK](submit(100,
		quickstart.SubmitPrimesParams{Wait: quickstart.NewOptString("20s")})).Response.ID
	w.expect(422)(submit(-1, quickstart.SubmitPrimesParams{}))
	must[*quickstart.View](client.GetTask(ctx, quickstart.GetTaskParams{ID: id}))
	if result := must[*quickstart.PrimesOut](client.GetResult(ctx,
		quickstart.GetResultParams{ID: id})); result.Primes != 25 {
		w.fault("%d primes below 100", result.Primes)
	}
	must[*quickstart.WatchTaskOK](client.WatchTask(ctx, quickstart.WatchTaskParams{ID: id}))
	must[*quickstart.TaskPageHeaders](client.ListTasks(ctx, quickstart.ListTasksParams{}))
	must[*quickstart.DescribeTasksOK](client.DescribeTasks(ctx))
	must[*quickstart.WatchTasksOK](client.WatchTasks(context.WithValue(ctx, leaving{}, true),
		quickstart.WatchTasksParams{}))
	w.expect(409)(client.CancelTask(ctx, quickstart.CancelTaskParams{ID: id}))
	w.expect(404)(client.CancelTask(ctx, quickstart.CancelTaskParams{ID: "none"}))

	long := must[*quickstart.SubmitPrimesAccepted](submit(10_000_000,
		quickstart.SubmitPrimesParams{})).Response.ID
	must[*quickstart.View](client.CancelTask(ctx, quickstart.CancelTaskParams{ID: long}))
	w.expect(409)(client.GetResult(ctx, quickstart.GetResultParams{ID: long}))
	w.expect(202)(client.RetryTask(ctx, quickstart.RetryTaskParams{ID: long}))
	must[*quickstart.View](client.CancelTask(ctx, quickstart.CancelTaskParams{ID: long}))
}
