package requestid_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/genropy/genro-asgi-go/internal/requestid"
)

func TestIDs_AreJudgedByWhoChoseThem(t *testing.T) {
	for id, want := range map[string]struct{ sent, own bool }{
		"":                                    {false, false},
		"abc-1":                               {true, true},
		strings.Repeat("a", 64):               {true, true},
		strings.Repeat("a", 65):               {false, true},
		strings.Repeat("a", 300):              {false, true},
		strings.Repeat("a", 301):              {false, false},
		"pod-1.example.com/A1b2C3d4E5-000001": {true, true},
		strings.Repeat("h", 253) + "/A1b2C3d4E5-000001": {true, true},
		"host/A1b2C3d4E5-" + strings.Repeat("1", 20):    {true, true},
		"host/A1b2C3d4E5-" + strings.Repeat("1", 21):    {false, true},
		"host/short-000001":                             {false, true},
		"host/A1b2C3d4E5-1":                             {false, true},
		"host/A1b2C3d4E5-00000x":                        {false, true},
		"ho st/A1b2C3d4E5-000001":                       {false, false},
		"/A1b2C3d4E5-000001":                            {false, true},
		"a/b/A1b2C3d4E5-000001":                         {false, true},
		"Root=1-67891233-abcdef01234567":                {false, true},
		"a b":                                           {false, false},
		"a\nlevel=ERROR":                                {false, false},
		"é":                                             {false, false},
		`a"b`:                                           {false, false},
	} {
		if sent, own := requestid.Sent(id), requestid.Own(id); sent != want.sent ||
			own != want.own {
			t.Errorf("%q: sent %v, own %v", id, sent, own)
		}
	}
}

func TestFirst(t *testing.T) {
	h := http.Header{requestid.Header: {"a b", "c-1", "d-2"}}
	if got := requestid.First(h, requestid.Sent); got != "c-1" {
		t.Error(got)
	}
	if got := requestid.First(http.Header{}, requestid.Own); got != "" {
		t.Error(got)
	}
}

// TestOf: what a middleware has put into the answer goes before what the client sent.
func TestOf(t *testing.T) {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer := http.Header{}
	for _, c := range []struct{ answer, request, want string }{
		{"", "", ""},
		{"", "sent", "sent"},
		{"own", "", "own"},
		{"own", "sent", "own"},
		{"o w n", "sent", "sent"},
		{"", "@sent", ""},
	} {
		answer.Set(requestid.Header, c.answer)
		r.Header.Set(requestid.Header, c.request)
		if got := requestid.Of(answer, r); got != c.want {
			t.Errorf("answer %q, request %q: %q, want %q", c.answer, c.request, got, c.want)
		}
	}
}
