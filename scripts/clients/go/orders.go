//go:build clients

package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"

	"example.com/clients/orders"
	"github.com/go-faster/jx"
	ht "github.com/ogen-go/ogen/http"
)

// bearer is a token.
type bearer string

func (b bearer) Bearer(context.Context, orders.OperationName) (orders.Bearer, error) {
	return orders.Bearer{Token: string(b)}, nil
}

type ordersCalls struct {
	w                                  *witness
	url                                string
	ada, bob, staff, partner, stranger *orders.Client
}

func callOrders(ctx context.Context, url string, w *witness) {
	client := func(token string) *orders.Client {
		c, err := orders.NewClient(url, bearer(token),
			orders.WithClient(&http.Client{Transport: w}))
		if err != nil {
			panic(err)
		}
		return c
	}
	c := &ordersCalls{
		w: w, url: url, stranger: client("stolen"),
		ada: client(os.Getenv("ADA")), bob: client(os.Getenv("BOB")),
		staff: client(os.Getenv("STAFF")), partner: client(os.Getenv("PARTNER")),
	}
	c.orders(ctx)
	c.attachments(ctx)
	c.jobs(ctx)
	c.others(ctx)
	c.strangers(ctx)
}

func tea() []orders.ItemInput {
	return []orders.ItemInput{
		{
			Sku: orders.NewOptString("tea"), Quantity: orders.NewOptInt64(2),
			Cents: orders.NewOptInt64(150),
		},
	}
}

func (c *ordersCalls) create(ctx context.Context) *orders.Created {
	created := must[*orders.CreatedHeaders](c.ada.CreateOrder(ctx, &orders.OrderIn{Items: tea()}))
	if want := fmt.Sprint("/orders/", created.Response.ID); created.Location.Value != want {
		c.w.fault("Location %q, want %q", created.Location.Value, want)
	}
	return &created.Response
}

func (c *ordersCalls) orders(ctx context.Context) {
	w, order := c.w, c.create(ctx)
	id := order.ID
	must[*orders.Order](c.ada.GetOrder(ctx, orders.GetOrderParams{ID: id}))
	page := must[*orders.Page](c.ada.ListOrders(ctx,
		orders.ListOrdersParams{
			State: orders.NewOptOrderState(orders.OrderStateOpen),
			Limit: orders.NewOptInt64(1),
		}))
	if page.Orders[0].ID != id || page.Orders[0].State != orders.OrderStateOpen {
		w.fault("the newest order is %+v", page.Orders[0])
	}
	update := func(client *orders.Client) (orders.UpdateOrderRes, error) {
		body := &orders.UpdateInBody{
			Version: orders.NewOptInt64(order.Version), Items: tea(),
			Note: orders.NewOptString("soon"),
		}
		return client.UpdateOrder(ctx, body, orders.UpdateOrderParams{ID: id})
	}
	must[*orders.Order](update(c.ada))
	w.expect(409)(update(c.ada))
	w.expect(404)(update(c.bob))
	w.expect(403)(c.ada.SendOrder(ctx, orders.SendOrderParams{ID: id}))
	must[*orders.Order](c.staff.SendOrder(ctx, orders.SendOrderParams{ID: id}))
	w.expect(409)(c.staff.SendOrder(ctx, orders.SendOrderParams{ID: id}))
	w.expect(404)(c.staff.SendOrder(ctx, orders.SendOrderParams{ID: 999_999}))
	w.expect(404)(c.bob.CancelOrder(ctx, orders.CancelOrderParams{ID: id}))
	sent := must[*orders.CancelOrderConflict](c.ada.CancelOrder(ctx,
		orders.CancelOrderParams{ID: id}))
	if sent.Code.Value != "ORDER_SENT" {
		w.fault("code %q", sent.Code.Value)
	}
	must[*orders.Order](c.ada.CancelOrder(ctx, orders.CancelOrderParams{ID: c.create(ctx).ID}))
	w.expect(404)(c.bob.GetOrder(ctx, orders.GetOrderParams{ID: id}))
	w.expect(422)(c.ada.ListOrders(ctx, orders.ListOrdersParams{Limit: orders.NewOptInt64(1000)}))
	refused := must[*orders.CreateOrderUnprocessableEntity](c.ada.CreateOrder(ctx,
		&orders.OrderIn{Items: []orders.ItemInput{{}}}))
	if len(refused.Errors) != 2 || refused.Errors[0].Pointer != "/items/0/sku" {
		w.fault("errors %+v", refused.Errors)
	}
	w.expect(413)(c.ada.CreateOrder(ctx,
		&orders.OrderIn{Note: orders.NewOptString(strings.Repeat("x", 2<<20))}))

	in := &orders.ImportIn{
		Reference: orders.NewOptString(rand.Text()),
		Customer:  orders.NewOptString("ada"), Items: tea(),
	}
	must[*orders.ImportOrderCreated](c.partner.ImportOrder(ctx, in))
	must[*orders.ImportOrderOK](c.partner.ImportOrder(ctx, in))
	w.expect(403)(c.ada.ImportOrder(ctx, in))
}

func (c *ordersCalls) attachments(ctx context.Context) {
	w, id := c.w, c.create(ctx).ID
	attach := func(content string, order int64) (orders.AttachRes, error) {
		file := ht.MultipartFile{Name: "invoice.pdf", File: strings.NewReader(content)}
		return c.ada.Attach(ctx, &orders.AttachReq{File: orders.NewOptMultipartFile(file)},
			orders.AttachParams{ID: order})
	}
	attached := must[*orders.AttachedHeaders](attach("%PDF-1.7\n", id))
	w.expect(200)(c.ada.GetAttachment(ctx,
		orders.GetAttachmentParams{ID: id, Attachment: attached.Response.ID}))
	w.expect(404)(c.ada.GetAttachment(ctx, orders.GetAttachmentParams{ID: id, Attachment: 999_999}))
	w.expect(404)(attach("%PDF-1.7\n", 999_999))
	w.expect(415)(attach("<html>", id))
	w.expect(413)(attach(strings.Repeat("x", 6<<20), id))
	w.expect(422)(c.ada.Attach(ctx, &orders.AttachReq{}, orders.AttachParams{ID: id}))
}

func (c *ordersCalls) jobs(ctx context.Context) {
	w, key := c.w, orders.NewOptString(rand.Text())
	submit := func(state orders.OrderState,
		params orders.SubmitExportParams,
	) (orders.SubmitExportRes, error) {
		return c.ada.SubmitExport(ctx,
			orders.NewOptExportIn(orders.ExportIn{State: orders.NewOptNilOrderState(state)}),
			params)
	}
	done := must[*orders.SubmitExportOK](submit(orders.OrderStateOpen,
		orders.SubmitExportParams{IdempotencyKey: key, Wait: orders.NewOptString("20s")}))
	w.expect(422)(submit(orders.OrderStateSent, orders.SubmitExportParams{IdempotencyKey: key}))
	id := done.Response.ID
	must[*orders.View](c.ada.GetTask(ctx, orders.GetTaskParams{ID: id}))
	must[*orders.Export](c.ada.GetResult(ctx, orders.GetResultParams{ID: id}))
	w.expect(404)(c.bob.GetTask(ctx, orders.GetTaskParams{ID: id}))
	w.expect(404)(c.bob.GetResult(ctx, orders.GetResultParams{ID: id}))
	must[*orders.WatchTaskOK](c.ada.WatchTask(ctx, orders.WatchTaskParams{ID: id}))
	list := must[*orders.TaskPageHeaders](c.ada.ListTasks(ctx,
		orders.ListTasksParams{
			State: []orders.State{orders.StateSucceeded},
			Limit: orders.NewOptInt(1),
		}))
	if len(list.Response.Tasks) != 1 || list.Response.Tasks[0].ID != id {
		w.fault("tasks %+v", list.Response.Tasks)
	}
	must[*orders.DescribeTasksOK](c.ada.DescribeTasks(ctx))
	must[*orders.WatchTasksOK](c.ada.WatchTasks(context.WithValue(ctx, leaving{}, true),
		orders.WatchTasksParams{}))
	w.expect(400)(c.ada.ListTasks(ctx, orders.ListTasksParams{Limit: orders.NewOptInt(5000)}))
	w.expect(409)(c.ada.CancelTask(ctx, orders.CancelTaskParams{ID: id}))
	w.expect(409)(c.ada.RetryTask(ctx, orders.RetryTaskParams{ID: id}))

	for range 100 { // until one is cancelled before it is done
		id := must[*orders.SubmitExportAccepted](submit(orders.OrderStateOpen,
			orders.SubmitExportParams{})).Response.ID
		if _, err := c.ada.CancelTask(ctx, orders.CancelTaskParams{ID: id}); w.last == 409 &&
			err == nil {
			continue
		}
		w.expect(409)(c.ada.GetResult(ctx, orders.GetResultParams{ID: id}))
		w.expect(202)(c.ada.RetryTask(ctx, orders.RetryTaskParams{ID: id}))
		return
	}
}

func (c *ordersCalls) others(ctx context.Context) {
	call := orders.CallJSONRPCReq0{Jsonrpc: "2.0", Method: "orders.list"}
	must[*orders.CallJSONRPCNoContent](c.ada.CallJSONRPC(ctx,
		orders.NewCallJSONRPCReq0CallJSONRPCReq(call)))
	call.ID = orders.NewOptCallJSONRPCReq0ID(orders.NewFloat64CallJSONRPCReq0ID(1))
	call.Params = orders.NewOptCallJSONRPCReq0Params(
		orders.NewAnyArrayCallJSONRPCReq0Params([]jx.Raw{}))
	answer := must[*orders.CallJSONRPCOK](c.ada.CallJSONRPC(ctx,
		orders.NewCallJSONRPCReq0CallJSONRPCReq(call)))
	if result := answer.CallJSONRPCOK0.Result; !strings.Contains(string(result), `"orders"`) {
		c.w.fault("JSON-RPC: %+v", answer)
	}
	must[*orders.GetEventsOK](c.ada.GetEvents(context.WithValue(ctx, leaving{}, true),
		orders.GetEventsParams{}))
	must[*orders.Health](c.ada.Live(ctx))
	must[*orders.ReadyOK](c.ada.Ready(ctx))
	c.w.expect(426)(c.ada.OpenWebSocket(ctx))
	c.w.handshake(ctx, c.url+"/ws")
}

// strangers calls everything with a token that is none.
func (c *ordersCalls) strangers(ctx context.Context) {
	open := []string{"Live", "Ready", "OpenWebSocket"} // the last lets guests in
	client := reflect.ValueOf(c.stranger)
	for i := range client.NumMethod() {
		method, f := client.Type().Method(i), client.Method(i)
		if slices.Contains(open, method.Name) || f.Type().NumIn() == 0 ||
			f.Type().In(0) != reflect.TypeFor[context.Context]() {
			continue
		}
		args := []reflect.Value{reflect.ValueOf(ctx)}
		for i := 1; i < f.Type().NumIn(); i++ {
			arg := reflect.New(f.Type().In(i)).Elem()
			switch in := arg.Addr().Interface().(type) {
			case *orders.CallJSONRPCReq:
				*in = orders.NewCallJSONRPCReq0CallJSONRPCReq(orders.CallJSONRPCReq0{})
			default:
				if arg.Kind() == reflect.Pointer {
					arg.Set(reflect.New(arg.Type().Elem()))
				} else if id := arg.FieldByName("ID"); id.IsValid() && id.Kind() == reflect.String {
					id.SetString("none")
				}
			}
			args = append(args, arg)
		}
		out := f.Call(args)
		err, _ := out[1].Interface().(error)
		c.w.expect(401)(out[0].Interface(), err)
	}
}
