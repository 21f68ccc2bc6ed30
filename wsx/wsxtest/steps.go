package wsxtest

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// step is one step of a vector. It has one action; what follows the actions says more about them.
type step struct {
	Connect *connectStep `json:"connect,omitzero"`
	HTTP    *httpStep    `json:"http,omitzero"`

	Send   jsontext.Value `json:"send,omitzero"`   // a value, as a text message
	Text   text           `json:"text,omitzero"`   // a text message, byte for byte
	Binary text           `json:"binary,omitzero"` // a binary message
	Frames []frame        `json:"frames,omitzero"` // frames as they are
	Ping   *string        `json:"ping,omitzero"`   // a WebSocket ping with that payload
	Close  *int           `json:"close,omitzero"`  // a close frame, and the same code back
	Drop   bool           `json:"drop,omitzero"`   // the end of TCP, without a close frame
	Stop   bool           `json:"stop,omitzero"`   // SIGTERM to the server

	Receive   jsontext.Value `json:"receive,omitzero"`   // the next message
	Unordered []any          `json:"unordered,omitzero"` // the next messages, in any order
	// the next message of that kind; those before it match Skip
	Until jsontext.Value `json:"until,omitzero"`
	Pong  *string        `json:"pong,omitzero"` // the next WebSocket pong
	// the server's close code, next, or behind messages that match Skip
	Closed *int `json:"closed,omitzero"`

	Repeat *repeatStep `json:"repeat,omitzero"`
	Poll   *pollStep   `json:"poll,omitzero"`

	// the connection's name, for vectors that have several
	On       string         `json:"on,omitzero"`
	Contains []string       `json:"contains,omitzero"`  // what the message's text holds
	Lacks    []string       `json:"lacks,omitzero"`     // and does not
	Skip     jsontext.Value `json:"skip,omitzero"`      // what may come before
	WithinMS int            `json:"within_ms,omitzero"` // instead of the usual time
}

// connectStep is an upgrade request, and its answer.
type connectStep struct {
	Path         string               `json:"path,omitzero"` // /ws
	Subprotocols []string             `json:"subprotocols,omitzero"`
	Headers      map[string]oneOrMore `json:"headers,omitzero"`
	// little room for what is not read
	Small       bool    `json:"small,omitzero"`
	Status      int     `json:"status,omitzero"`      // 101
	Subprotocol string  `json:"subprotocol,omitzero"` // the one selected; none
	Answer      *answer `json:"answer,omitzero"`
}

// httpStep is an HTTP request, and its answer.
type httpStep struct {
	Method  string               `json:"method,omitzero"` // POST
	Path    string               `json:"path,omitzero"`   // /rpc
	Headers map[string]oneOrMore `json:"headers,omitzero"`
	Text    text                 `json:"text,omitzero"`
	JSON    jsontext.Value       `json:"json,omitzero"`   // with the content type
	Status  int                  `json:"status,omitzero"` // 200
	Answer  *answer              `json:"answer,omitzero"`
}

// answer is what an HTTP answer holds.
type answer struct {
	Headers  map[string]string `json:"headers,omitzero"` // patterns
	JSON     jsontext.Value    `json:"json,omitzero"`    // a pattern
	Empty    bool              `json:"empty,omitzero"`
	Contains []string          `json:"contains,omitzero"`
	Lacks    []string          `json:"lacks,omitzero"`
}

// repeatStep does steps again and again; ${i} counts from 0.
type repeatStep struct {
	Times int    `json:"times"`
	Steps []step `json:"steps"`
}

// pollStep sends a message again until the answer is what is wanted. Every answer before is of the
// other kind.
type pollStep struct {
	Send  jsontext.Value `json:"send"`
	Until jsontext.Value `json:"until"`
	Else  jsontext.Value `json:"else"`
}

// oneOrMore is a string or an array of strings.
type oneOrMore []string

// UnmarshalJSON implements json.Unmarshaler.
func (s *oneOrMore) UnmarshalJSON(b []byte) error {
	if b[0] == '"' {
		*s = make(oneOrMore, 1)
		return json.Unmarshal(b, &(*s)[0])
	}
	return json.Unmarshal(b, (*[]string)(s))
}

// text is bytes: a string, or an array of strings, {"repeat","times"} and {"hex"}.
type text []part

type part struct {
	Text   string `json:"-"`
	Repeat string `json:"repeat"`
	Times  int    `json:"times"`
	Hex    string `json:"hex"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *text) UnmarshalJSON(b []byte) error {
	if b[0] == '"' {
		*t = make(text, 1)
		return json.Unmarshal(b, &(*t)[0].Text)
	}
	var parts []jsontext.Value
	if err := json.Unmarshal(b, &parts); err != nil {
		return err
	}
	*t = make(text, len(parts))
	for i, raw := range parts {
		p := &(*t)[i]
		if raw[0] == '"' {
			if err := json.Unmarshal(raw, &p.Text); err != nil {
				return err
			}
			continue
		}
		if err := json.Unmarshal(raw, p, json.RejectUnknownMembers(true)); err != nil {
			return err
		}
		if _, err := hex.DecodeString(p.Hex); err != nil ||
			(p.Repeat == "" || p.Times <= 0) == (p.Hex == "") {
			return fmt.Errorf("a part of a text is {repeat, times} or {hex}: %s", raw)
		}
	}
	return nil
}

// bytes puts the parts together.
func (t text) bytes(vars map[string]any) ([]byte, error) {
	var out []byte
	for _, p := range t {
		switch {
		case p.Repeat != "":
			out = append(out, strings.Repeat(p.Repeat, p.Times)...)
		case p.Hex != "":
			b, err := hex.DecodeString(p.Hex)
			if err != nil {
				return nil, err
			}
			out = append(out, b...)
		default:
			filled, err := fill(p.Text, vars)
			if err != nil {
				return nil, err
			}
			out = fmt.Append(out, filled)
		}
	}
	return out, nil
}

// actions counts a step's actions.
func (s *step) actions() int {
	n := 0
	for _, is := range []bool{
		s.Connect != nil, s.HTTP != nil, s.Send != nil, s.Text != nil, s.Binary != nil,
		s.Frames != nil, s.Ping != nil, s.Close != nil, s.Drop, s.Stop,
		s.Receive != nil, s.Unordered != nil, s.Until != nil, s.Pong != nil, s.Closed != nil,
		s.Repeat != nil, s.Poll != nil,
	} {
		if is {
			n++
		}
	}
	return n
}

// patterns are those of the step.
func (s *step) patterns() []jsontext.Value {
	all := []jsontext.Value{s.Receive, s.Until, s.Skip}
	if s.Connect != nil && s.Connect.Answer != nil {
		all = append(all, s.Connect.Answer.JSON)
	}
	if s.HTTP != nil && s.HTTP.Answer != nil {
		all = append(all, s.HTTP.Answer.JSON)
	}
	if s.Poll != nil {
		all = append(all, s.Poll.Until, s.Poll.Else)
	}
	return all
}

// checkSteps finds what is not in the format.
func checkSteps(steps []step) error {
	for i := range steps {
		s := &steps[i]
		err := s.check()
		if err == nil && s.Repeat != nil {
			err = checkSteps(s.Repeat.Steps)
		}
		if err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
	}
	return nil
}

func (s *step) check() error {
	if n := s.actions(); n != 1 {
		return fmt.Errorf("%d actions, want 1", n)
	}
	reads := s.Receive != nil || s.Until != nil || s.Poll != nil
	switch {
	case (s.Contains != nil || s.Lacks != nil) && !reads:
		return errors.New("contains and lacks belong to receive, until and poll")
	case s.Skip != nil && s.Until == nil && s.Closed == nil:
		return errors.New("skip belongs to until and closed")
	case s.Until != nil && s.Skip == nil:
		return errors.New("until needs skip")
	case s.Repeat != nil && (s.Repeat.Times <= 0 || len(s.Repeat.Steps) == 0):
		return errors.New("nothing to repeat")
	case s.Poll != nil && (s.Poll.Send == nil || s.Poll.Until == nil || s.Poll.Else == nil):
		return errors.New("poll needs send, until and else")
	}
	if err := checkPattern(s.Unordered); err != nil {
		return err
	}
	for _, raw := range s.patterns() {
		if raw == nil {
			continue
		}
		p, err := parse(raw)
		if err == nil {
			err = checkPattern(p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
