package main

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/genropy/genro-asgi-go/problem"
	"github.com/genropy/genro-asgi-go/wsx"
)

// OrderState is how far an order is.
type OrderState string

const (
	Open      OrderState = "open"
	Sent      OrderState = "sent"
	Cancelled OrderState = "cancelled"
)

// Enum lists them: at no door is anything else let in, and the documents say so.
func (OrderState) Enum() []OrderState { return []OrderState{Open, Sent, Cancelled} }

// Item is a line of an order.
type Item struct {
	SKU      string `json:"sku" validate:"required,max=40"`
	Quantity int    `json:"quantity" validate:"min=1,max=1000"`
	Cents    int64  `json:"cents" validate:"min=0,max=100000000"` // for one
}

// Order is what a customer has ordered.
type Order struct {
	ID       int64      `json:"id"`
	Customer string     `json:"customer"`
	State    OrderState `json:"state"`
	Items    []Item     `json:"items"`
	Note     string     `json:"note"`
	Cents    int64      `json:"cents"`   // of all items
	Version  int64      `json:"version"` // one more with each change
	Created  time.Time  `json:"created"`
}

// The errors that callers may know, the same at every door. An order of somebody else is one that
// is not there.
var (
	errNoOrder = problem.NotFound("There is no such order.")
	errStale   = &problem.Error{
		Status: http.StatusConflict, Code: "STALE_VERSION",
		Detail: "Somebody has changed the order since; read it again.",
	}
	errSent = &problem.Error{
		Status: http.StatusConflict, Code: "ORDER_SENT",
		Detail: "The order has been sent.",
	}
	errClosed = &problem.Error{
		Status: http.StatusConflict, Code: "ORDER_CANCELLED",
		Detail: "The order has been cancelled.",
	}
)

// shop has the functions that clients call. None of them knows by which door.
type shop struct {
	db  *store
	hub *wsx.Hub
}

// OrderIn is what a customer chooses.
type OrderIn struct {
	Items []Item `json:"items" validate:"min=1,max=100,dive"`
	Note  string `json:"note" validate:"max=500"`
}

// Created is a new order.
type Created struct {
	_        struct{} `status:"201"`
	Location string   `header:"Location" json:"-"`
	Order
}

func (s *shop) create(ctx context.Context, in OrderIn) (Created, error) {
	o, _, err := s.db.insert(ctx,
		Order{Customer: userFrom(ctx).name, Items: in.Items, Note: in.Note}, "")
	if err != nil {
		return Created{}, err
	}
	s.publish(ctx, o)
	return Created{Location: orderPath(o.ID), Order: o}, nil
}

type ByID struct {
	ID int64 `path:"id" json:"id"`
}

func (s *shop) get(ctx context.Context, in ByID) (Order, error) {
	return s.db.get(ctx, in.ID, userFrom(ctx).owner())
}

type ListIn struct {
	State *OrderState `query:"state" json:"state"` // nil is any
	Limit int         `query:"limit" json:"limit" default:"20" validate:"min=1,max=100"`
	After int64       `query:"after" json:"after" validate:"min=0"` // the next of the page before
}

type Page struct {
	Orders []Order `json:"orders"` // newest first
	Next   int64   `json:"next,omitzero"`
}

func (s *shop) list(ctx context.Context, in ListIn) (Page, error) {
	orders, err := s.db.list(ctx, userFrom(ctx).owner(), in.State, in.After, in.Limit+1)
	page := Page{Orders: orders}
	if len(orders) > in.Limit { // there are more
		page.Orders = orders[:in.Limit]
		page.Next = page.Orders[in.Limit-1].ID
	}
	return page, err
}

type UpdateIn struct {
	ByID
	Version int64 `json:"version" validate:"min=1"` // the one that the change is made of
	OrderIn
}

func (s *shop) update(ctx context.Context, in UpdateIn) (Order, error) {
	return s.change(ctx, in.ID, func(o *Order) error {
		if o.Version != in.Version {
			return errStale
		}
		o.Items, o.Note = in.Items, in.Note
		return nil
	})
}

func (s *shop) cancel(ctx context.Context, in ByID) (Order, error) {
	return s.change(ctx, in.ID, func(o *Order) error { o.State = Cancelled; return nil })
}

func (s *shop) send(ctx context.Context, in ByID) (Order, error) {
	if err := userFrom(ctx).must("staff"); err != nil {
		return Order{}, err
	}
	return s.change(ctx, in.ID, func(o *Order) error { o.State = Sent; return nil })
}

// change applies f to an order that is open, and tells of it.
func (s *shop) change(ctx context.Context, id int64, f func(*Order) error) (Order, error) {
	o, err := s.db.change(ctx, id, userFrom(ctx).owner(), func(o *Order) error {
		switch o.State {
		case Sent:
			return errSent
		case Cancelled:
			return errClosed
		}
		return f(o)
	})
	if err != nil {
		return Order{}, err
	}
	s.publish(ctx, o)
	return o, nil
}

// ImportIn is what a marketplace sends us, and only what we need of it.
type ImportIn struct {
	// the marketplace's own; it may send an order twice
	Reference string `json:"reference" validate:"required,max=80"`
	Customer  string `json:"customer" validate:"required,max=80"`
	OrderIn
}

// Imported is 201 for an order that is new, and 200 for one that was there already.
type Imported struct {
	Status   int    `status:"201,200" json:"-"`
	Location string `header:"Location" json:"-"`
	Order
}

func (s *shop) imported(ctx context.Context, in ImportIn) (Imported, error) {
	user := userFrom(ctx)
	if err := user.must("partner"); err != nil {
		return Imported{}, err
	}
	o, added, err := s.db.insert(ctx, Order{Customer: in.Customer, Items: in.Items, Note: in.Note},
		wsx.Token(user.name)+"/"+in.Reference)
	if err != nil {
		return Imported{}, err
	}
	out := Imported{Status: http.StatusOK, Location: orderPath(o.ID), Order: o}
	if added {
		out.Status = http.StatusCreated
		s.publish(ctx, o)
	}
	return out, nil
}

func orderPath(id int64) string { return "/orders/" + strconv.FormatInt(id, 10) }
