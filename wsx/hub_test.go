package wsx_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/broker"
)

// channels are what most of these tests configure.
func channels() map[string]wsx.ChannelOptions {
	return map[string]wsx.ChannelOptions{
		"plain.>": {},
		"room.>":  {History: 3},
		"no.>": {Authorize: func(context.Context, wsx.Subscription) error {
			return errors.New("canary-7f3a")
		}},
		"coded.>": {Authorize: func(context.Context, wsx.Subscription) error {
			return wsx.NewError("PAY_FIRST", "pay first")
		}},
		"boom.>": {Authorize: func(context.Context, wsx.Subscription) error {
			panic("canary-7f3a")
		}},
		"odd.>": {Filter: func(s wsx.Subscription) (func(broker.Event) bool, error) {
			var n int
			if err := json.Unmarshal(s.Params, &n); err != nil {
				return nil, fmt.Errorf("canary-7f3a: %w", err)
			}
			if n == 0 {
				return nil, nil
			}
			return func(e broker.Event) bool {
				got, err := strconv.Atoi(string(e.Payload))
				if err != nil {
					panic(err)
				}
				return got%n == 0
			}, nil
		}},
	}
}

func TestHub_AnswersAsTheProtocolSays(t *testing.T) {
	for _, tc := range []struct{ name, send, want string }{
		{
			"name without history", subscribeTo(`1`, "plain.a", ""),
			subscribedTo(`1`, "plain.a", "1", ""),
		},
		{
			"name with history", subscribeTo(`"x\u0041"`, "room.a", ""),
			subscribedTo(`"x\u0041"`, "room.a", "1", at("E1", 0)),
		},
		{"pattern", subscribeTo(`1`, "room.*", ""), subscribedTo(`1`, "room.*", "1", "")},
		{
			"the configured pattern itself", subscribeTo(`1`, "room.>", ""),
			subscribedTo(`1`, "room.>", "1", ""),
		},
		{
			"recover on a pattern",
			subscribeTo(`1`, "room.*", `,"recover":{"epoch":"e","offset":1}`),
			subscribedTo(`1`, "room.*", "1", `,"recovered":false`),
		},
		{
			"recover without history",
			subscribeTo(`1`, "plain.a", `,"recover":{"epoch":"e","offset":1}`),
			subscribedTo(`1`, "plain.a", "1", `,"recovered":false`),
		},
		{
			"recover of another epoch",
			subscribeTo(`1`, "room.a", `,"recover":{"epoch":"e","offset":0}`),
			subscribedTo(`1`, "room.a", "1", at("E1", 0)+`,"recovered":false`),
		},
		{
			"recover of no epoch", subscribeTo(`1`, "room.a", `,"recover":{}`),
			subscribedTo(`1`, "room.a", "1", at("E1", 0)+`,"recovered":false`),
		},
		{
			"recover with more members",
			subscribeTo(`1`, "room.a", `,"recover":{"epoch":"e","offset":0,"x":1}`),
			subscribedTo(`1`, "room.a", "1", at("E1", 0)+`,"recovered":false`),
		},
		{
			"recover of another shape",
			subscribeTo(`1`, "room.a", `,"recover":{"epoch":"e","offset":-1}`),
			fault(`1`, "INVALID_REQUEST", "recover is not an epoch and an offset"),
		},
		{
			"recover that is no object", subscribeTo(`1`, "room.a", `,"recover":3`),
			fault(`1`, "INVALID_REQUEST",
				"a member that this message type needs is missing or of the wrong kind"),
		},
		{
			"params that the filter takes", subscribeTo(`1`, "odd.a", `,"params":2`),
			subscribedTo(`1`, "odd.a", "1", ""),
		},
		{
			"params that it does not", subscribeTo(`1`, "odd.a", `,"params":"x"`),
			fault(`1`, "INVALID_PARAMS", "invalid params"),
		},
		{
			"denied", subscribeTo(`1`, "no.a", ""),
			fault(`1`, "SUBSCRIPTION_DENIED", "subscription denied"),
		},
		{
			"denied with a code", subscribeTo(`1`, "coded.a", ""),
			fault(`1`, "PAY_FIRST", "pay first"),
		},
		{
			"authorizer panics", subscribeTo(`1`, "boom.a", ""),
			fault(`1`, "INTERNAL_ERROR", "internal error"),
		},
		{
			"not configured", subscribeTo(`1`, "other", ""),
			fault(`1`, "SUBSCRIPTION_DENIED", "subscription denied"),
		},
		{
			"everything", subscribeTo(`1`, ">", ""),
			fault(`1`, "SUBSCRIPTION_DENIED", "subscription denied"),
		},
		{
			"wider than what is configured", subscribeTo(`1`, "*.a", ""),
			fault(`1`, "SUBSCRIPTION_DENIED", "subscription denied"),
		},
		{
			"the pattern's own first token", subscribeTo(`1`, "room", ""),
			fault(`1`, "SUBSCRIPTION_DENIED", "subscription denied"),
		},
		{
			"bad name", subscribeTo(`1`, "room..a", ""),
			fault(`1`, "INVALID_REQUEST", "a channel name has no empty tokens"),
		},
		{
			"name of 257 bytes", subscribeTo(`1`, "room."+strings.Repeat("a", 252), ""),
			fault(`1`, "INVALID_REQUEST", "a channel name has 1 to 256 bytes"),
		},
		{
			"> that is not last", subscribeTo(`1`, "room.>.a", ""),
			fault(`1`, "INVALID_REQUEST",
				"a channel name is letters, digits and _:@- in tokens joined by dots"),
		},
		{
			"unknown subscription", `{"type":"rpc.unsubscribe","id":1,"subscription":"1"}`,
			fault(`1`, "NOT_FOUND", "not found"),
		},
		{
			"unknown channel", `{"type":"rpc.unsubscribe","id":1,"channel":"room.a"}`,
			fault(`1`, "NOT_FOUND", "not found"),
		},
		{
			"unknown id", `{"type":"rpc.unsubscribe","id":"1"}`,
			fault(`"1"`, "NOT_FOUND", "not found"),
		},
		{
			"unsubscribe by a bad name", `{"type":"rpc.unsubscribe","id":1,"channel":"a b"}`,
			fault(`1`, "INVALID_REQUEST",
				"a channel name is letters, digits and _:@- in tokens joined by dots"),
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inRig(t, channels(), nil, func(t *testing.T, r *hubRig) {
				c := r.tap()
				c.send(tc.send)
				c.wants(tc.want)
				// whatever came before, the connection works
				c.send(subscribeTo(`"after"`, "plain.z", ""))
				if got := c.all(); len(got) != 1 ||
					!strings.Contains(got[0], `"status":"subscribed"`) {
					t.Error(got)
				}
			})
		})
	}
}

func TestHub_WithoutOneEveryChannelIsDenied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dial(t, callDispatcher(), nil)
		s.send(subscribeTo("1", "a", ""), request("2", "wsx.presence", `{"channel":"a"}`))
		s.expect(fault("1", "SUBSCRIPTION_DENIED", "subscription denied"),
			fault("2", "NOT_FOUND", "the channel has no presence"))
	})
}

func TestHub_SendsEventsToNamesAndPatterns(t *testing.T) {
	inRig(t, channels(), nil, func(t *testing.T, r *hubRig) {
		c := r.tap()
		c.send(subscribeTo("1", "room.a.b", ""), subscribeTo("2", "room.a.*", ""),
			subscribeTo("3", "room.>", ""), subscribeTo("4", "room.a.b", ""))
		if got := c.all(); len(got) != 4 {
			t.Fatal(got)
		}
		if p := r.publish("room.a.b", jsontext.Value(`{"a" : 1}`)); p.Offset != 1 || p.Epoch == "" {
			t.Error(p)
		}
		got := c.all()
		slices.Sort(got)
		want := []string{
			event("room.a.b", `{"a" : 1}`, "1", at("E1", 1)),
			event("room.a.b", `{"a" : 1}`, "2", ""),
			event("room.a.b", `{"a" : 1}`, "3", ""),
			event("room.a.b", `{"a" : 1}`, "4", at("E1", 1)),
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %v\nwant %v", got, want)
		}
		r.publish("room.a", nil)
		c.wants(event("room.a", "null", "3", ""))
		if p := r.publish("plain.x", 1); p != (broker.Position{}) {
			t.Error(p)
		}
		c.wants()
	})
}

func TestHub_PublishRefusesWhatIsNoEvent(t *testing.T) {
	hub := wsx.NewHub(nil)
	hub.Configure("a", nil)
	for name, publish := range map[string]func() error{
		"raw text that is not JSON": func() error {
			_, err := hub.Publish(t.Context(), "a", jsontext.Value(`{`))
			return err
		},
		"a value without a JSON form": func() error {
			_, err := hub.Publish(t.Context(), "a", make(chan int))
			return err
		},
	} {
		if err := publish(); err == nil {
			t.Errorf("%s: published", name)
		}
	}
	if _, err := hub.Publish(t.Context(), "a", jsontext.Value(nil)); err != nil {
		t.Error(err)
	}
	if err := hub.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestHub_APublishedValueIsTheCallersAgain(t *testing.T) {
	inRig(t, channels(), nil, func(t *testing.T, r *hubRig) {
		raw := jsontext.Value(`"a"`)
		r.publish("room.a", raw)
		raw[1] = 'b'
		c := r.tap()
		c.send(subscribeTo("1", "room.a",
			`,"recover":{"epoch":"`+r.publish("room.a", 2).Epoch+`","offset":0}`))
		c.wants(subscribedTo("1", "room.a", "1", at("E1", 2)+`,"recovered":true`),
			event("room.a", `"a"`, "1", at("E1", 1)), event("room.a", `2`, "1", at("E1", 2)))
	})
}

func TestHub_Recovers(t *testing.T) {
	const ok, no = `,"recovered":true`, `,"recovered":false`
	for _, tc := range []struct {
		name, recover, recovered string
		replayed                 []int
	}{
		{"nothing asked", "", "", nil},
		{"what is kept", `"offset":3`, ok, []int{4, 5}},
		{"all that is kept", `"offset":2`, ok, []int{3, 4, 5}},
		{"what is kept no more", `"offset":1`, no, nil},
		{"from the beginning", `"offset":0`, no, nil},
		{"nothing missed", `"offset":5`, ok, nil},
		{"ahead", `"offset":6`, no, nil},
		{"far ahead", `"offset":18446744073709551615`, no, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inRig(t, channels(), nil, func(t *testing.T, r *hubRig) {
				var p broker.Position
				for i := range 5 {
					p = r.publish("room.a", i+1)
				}
				ask := ""
				if tc.recover != "" {
					ask = `,"recover":{"epoch":"` + p.Epoch + `",` + tc.recover + `}`
				}
				c := r.tap()
				c.send(subscribeTo("1", "room.a", ask))
				want := []string{subscribedTo("1", "room.a", "1", at("E1", 5)+tc.recovered)}
				for _, i := range tc.replayed {
					want = append(want, event("room.a", strconv.Itoa(i), "1", at("E1", i)))
				}
				c.wants(want...)
				r.publish("room.a", 6)
				c.wants(event("room.a", "6", "1", at("E1", 6)))
			})
		})
	}
}

func TestHub_SubscriptionsToOneChannelHaveIDsOfTheirOwn(t *testing.T) {
	inRig(t, channels(), nil, func(t *testing.T, r *hubRig) {
		c, d := r.tap(), r.tap()
		c.send(subscribeTo("1", "plain.a", ""))
		c.wants(subscribedTo("1", "plain.a", "1", ""))
		c.send(subscribeTo("2", "plain.a", ""))
		c.wants(subscribedTo("2", "plain.a", "2", ""))
		d.send(subscribeTo("1", "plain.a", ""))
		d.wants(subscribedTo("1", "plain.a", "1", ""))
		r.publish("plain.a", 1)
		c.wants(event("plain.a", "1", "1", ""), event("plain.a", "1", "2", ""))
		d.wants(event("plain.a", "1", "1", ""))

		c.send(`{"type":"rpc.unsubscribe","id":9,"subscription":"1"}`)
		c.wants(unsubscribed("9"))
		r.publish("plain.a", 2)
		c.wants(event("plain.a", "2", "2", ""))
		d.wants(event("plain.a", "2", "1", ""))

		c.send(`{"type":"rpc.unsubscribe","id":"2"}`) // the id names it
		c.wants(unsubscribed(`"2"`))
		c.send(`{"type":"rpc.unsubscribe","id":"2"}`)
		c.wants(fault(`"2"`, "NOT_FOUND", "not found"))
		r.publish("plain.a", 3)
		c.wants()
		d.wants(event("plain.a", "3", "1", ""))
	})
}

func TestHub_UnsubscribesByExactlyThatChannel(t *testing.T) {
	inRig(t, channels(), nil, func(t *testing.T, r *hubRig) {
		c := r.tap()
		c.send(subscribeTo("1", "plain.a", ""))
		c.send(subscribeTo("2", "plain.a", ""))
		c.send(subscribeTo("3", "plain.*", ""))
		if got := c.all(); len(got) != 3 {
			t.Fatal(got)
		}
		c.send(`{"type":"rpc.unsubscribe","id":4,"channel":"plain.>"}`)
		c.wants(fault("4", "NOT_FOUND", "not found"))
		c.send(`{"type":"rpc.unsubscribe","id":5,"channel":"plain.a"}`)
		c.wants(unsubscribed("5"))
		r.publish("plain.a", 1)
		c.wants(event("plain.a", "1", "3", ""))
		c.send(`{"type":"rpc.unsubscribe","id":6,"channel":"plain.*"}`)
		c.wants(unsubscribed("6"))
		r.publish("plain.a", 1)
		c.wants()
	})
}

func TestHub_LimitsSubscriptions(t *testing.T) {
	inRig(t, channels(), nil, func(t *testing.T, r *hubRig) {
		c := r.tap()
		for i := range 256 {
			c.send(subscribeTo(strconv.Itoa(i), "plain."+strconv.Itoa(i/2), ""))
		}
		c.send(subscribeTo(`"denied"`, "no.a", ""))
		over := fault(`"over"`, "RESOURCE_EXHAUSTED",
			"this connection has as many subscriptions as it may")
		c.send(subscribeTo(`"over"`, "plain.a", ""))
		got := c.all()
		if len(got) != 258 || got[257] != over ||
			strings.Contains(strings.Join(got[:256], ""), "rpc.error") {
			t.Fatal(len(got), got[len(got)-1])
		}
		c.send(`{"type":"rpc.unsubscribe","id":1,"channel":"plain.7"}`) // two
		c.wants(unsubscribed("1"))
		for range 100 {
			for _, channel := range []string{"no.a", "coded.a", "boom.a", "odd.a"} {
				// what is refused takes no place
				c.send(subscribeTo("1", channel, ""))
			}
		}
		c.all()
		c.send(subscribeTo("1", "plain.b", ""))
		c.send(subscribeTo("2", "plain.c", ""))
		c.send(subscribeTo(`"over"`, "plain.d", ""))
		if got := c.all(); len(got) != 3 || got[2] != over ||
			!strings.Contains(got[1], `"subscribed"`) {
			t.Error(got)
		}
	})
}

func TestHub_FiltersByParams(t *testing.T) {
	inRig(t, channels(), nil, func(t *testing.T, r *hubRig) {
		c := r.tap()
		c.send(subscribeTo("1", "odd.a", `,"params":2`), subscribeTo("2", "odd.a", `,"params":3`),
			subscribeTo("3", "odd.a", `,"params":0`))
		if got := c.all(); len(got) != 3 {
			t.Fatal(got)
		}
		r.publish("odd.a", "a panic in each filter")
		c.wants(event("odd.a", `"a panic in each filter"`, "3", ""))
		for i := range 4 {
			r.publish("odd.a", i+1)
		}
		got := strings.Join(c.all(), "\n")
		for _, want := range []string{
			event("odd.a", "2", "1", ""), event("odd.a", "4", "1", ""),
			event("odd.a", "3", "2", ""), event("odd.a", "1", "3", ""),
		} {
			if !strings.Contains(got, want) {
				t.Errorf("no %s", want)
			}
		}
		if n := strings.Count(got, "rpc.event"); n != 3+4 {
			t.Error(n, got)
		}
	})
}

// TestHub_APatternIsNoWayAroundANarrowerOnesAuthorizer is about a leak: room.> is open to all, one
// channel of it is not.
func TestHub_APatternIsNoWayAroundANarrowerOnesAuthorizer(t *testing.T) {
	inRig(t, channels(), nil, func(t *testing.T, r *hubRig) {
		c := r.tap()
		c.send(subscribeTo("1", "room.>", ""))
		c.send(subscribeTo("2", "room.*", ""))
		c.all()
		r.hub.Configure("room.secret",
			&wsx.ChannelOptions{Authorize: func(context.Context, wsx.Subscription) error {
				return errors.New("no")
			}})
		r.publish("room.secret", "canary-7f3a")
		r.publish("room.a", 1)
		c.wants(event("room.a", "1", "1", ""), event("room.a", "1", "2", ""))
		r.hub.Configure("room.>", nil) // again: those who are there stay
		r.publish("room.a", 2)
		c.wants(event("room.a", "2", "1", ""), event("room.a", "2", "2", ""))
	})
}

// positionOf reads the position in a response to rpc.subscribe or in an event, and how many events
// were dropped before that.
func positionOf(t testing.TB, m string) (epoch string, offset, dropped uint64) {
	t.Helper()
	type position struct {
		broker.Position `json:",embed"`
		Dropped         uint64 `json:"dropped"`
	}
	var in struct {
		Result, Meta position
	}
	if err := json.Unmarshal([]byte(m), &in, json.MatchCaseInsensitiveNames(true)); err != nil {
		t.Errorf("%s: %v", m, err)
	}
	p := in.Result
	if in.Meta.Epoch != "" {
		p = in.Meta
	}
	return p.Epoch, p.Offset, p.Dropped
}
