package wsconn_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/internal/wsconn"
)

// The cases are those of the Autobahn test suite, sections 1 to 7, 9 and 10 (the latter two in
// small).
func TestConn_KeepsRFC6455(t *testing.T) {
	bye := closing(statusNormal, "")
	u := "Hello-µ@ßöäüàá-UTF-8!!"
	type test struct {
		name string
		sent []byte
		want []string
	}
	tests := []test{
		{"5.1 fragmented ping", frame(opPing, "a"), []string{"close 1002"}},
		{"5.2 fragmented pong", frame(opPong, "a"), []string{"close 1002"}},
		{
			"5.3 two fragments", join(frame(opText, "ab"), frame(fin|opCont, "cd"), bye),
			[]string{"text abcd", "close 1000"},
		},
		{
			"5.6 ping between fragments",
			join(frame(opText, "ab"), frame(fin|opPing, "p"), frame(fin|opCont, "cd"), bye),
			[]string{"pong p", "text abcd", "close 1000"},
		},
		{
			"5.9 continuation of nothing",
			join(frame(fin|opCont, "x"), frame(fin|opText, "y"), bye),
			[]string{"close 1002"},
		},
		{
			"5.10 first continuation of nothing",
			join(frame(opCont, "x"), frame(fin|opText, "y"), bye),
			[]string{"close 1002"},
		},
		{
			"5.15 continuation after the last fragment",
			join(frame(opText, "a"), frame(fin|opCont, "b"), frame(opCont, "c"),
				frame(fin|opText, "d")),
			[]string{"text ab", "close 1002"},
		},
		{
			"5.18 new message inside a message", join(frame(opText, "a"), frame(fin|opText, "b")),
			[]string{"close 1002"},
		},
		{
			"5.19 five fragments, two pings",
			join(frame(opText, "f1"), frame(opCont, "f2"), frame(fin|opPing, "p1"),
				frame(opCont, "f3"), frame(opCont, "f4"), frame(fin|opPing, "p2"),
				frame(fin|opCont, "f5"), bye),
			[]string{"pong p1", "pong p2", "text f1f2f3f4f5", "close 1000"},
		},
		{
			"6.1.3 empty fragments",
			join(frame(opText, ""), frame(opCont, "x"), frame(fin|opCont, ""), bye),
			[]string{"text x", "close 1000"},
		},
		{"6.2.1 text", join(frame(fin|opText, u), bye), []string{"text " + u, "close 1000"}},
		{
			"6.2.4 characters cut by fragments",
			join(frame(opText, u[:7]), frame(opCont, u[7:11]), frame(fin|opCont, u[11:]), bye),
			[]string{"text " + u, "close 1000"},
		},
		{
			"binary is not looked at", join(frame(fin|opBinary, "\xff\xfe"), bye),
			[]string{"binary \xff\xfe", "close 1000"},
		},
		{"unmasked", join(head(fin|opText, 1, unmasked), []byte("a")), []string{"close 1002"}},
		{"unmasked empty", head(fin|opText, 0, unmasked), []string{"close 1002"}},
		{
			"negative length",
			append([]byte{fin | opText, masked | 127, 0x80, 0, 0, 0, 0, 0, 0, 1}, keyBytes...),
			[]string{"close 1002"},
		},
		{
			"length of 2^62",
			append([]byte{fin | opText, masked | 127, 0x40, 0, 0, 0, 0, 0, 0, 1}, keyBytes...),
			[]string{"close 1009"},
		},
		{
			"lengths of 2^62 in two fragments",
			join(frame(opText, "a"),
				append([]byte{fin | opCont, masked | 127, 0x7f, 255, 255, 255, 255, 255, 255, 255},
					keyBytes...)),
			[]string{"close 1009"},
		},
		{"7.1.1 close", bye, []string{"close 1000"}},
		{"7.1.2 two closes", join(bye, bye), []string{"close 1000"}},
		{"7.1.3 ping after close", join(bye, frame(fin|opPing, "x")), []string{"close 1000"}},
		{"7.1.4 text after close", join(bye, frame(fin|opText, "x")), []string{"close 1000"}},
		{
			"7.1.5 close inside a message", join(frame(opText, "x"), bye, frame(fin|opCont, "y")),
			[]string{"close 1000"},
		},
		{
			"7.1.6 256 KiB and close", join(frame(fin|opText, strings.Repeat("x", 256<<10)), bye),
			[]string{"text xxxxxxxx...262144", "close 1000"},
		},
		{"7.3.1 close without a code", frame(fin|opClose, ""), []string{"close 0"}},
		{"7.3.2 close of one byte", frame(fin|opClose, "x"), []string{"close 1002"}},
		{"7.3.4 close with a reason", closing(1000, "Hello"), []string{"close 1000"}},
		{"7.3.5 longest reason", closing(1000, strings.Repeat("x", 123)), []string{"close 1000"}},
		{"7.3.6 reason too long", closing(1000, strings.Repeat("x", 124)), []string{"close 1002"}},
		{
			"7.5.1 reason that is not UTF-8", closing(1000, "\xce\xba\xed\xa0\x80"),
			[]string{"close 1007"},
		},
	}
	for i, n := range []int{0, 1, 125, 126, 127, 128, 65535, 65536, 65537, 1 << 20} {
		// 1.1 and 1.2, and 9.1 and 9.2
		for op, name := range map[byte]string{opText: "text", opBinary: "binary"} {
			text := strings.Repeat("*", n)
			want := name + " " + text
			if n > 64 {
				want = fmt.Sprintf("%s %s...%d", name, text[:8], n)
			}
			tests = append(tests,
				test{
					fmt.Sprintf("1.%d.%d %s of %d", op, i, name, n),
					join(frame(fin|op, text), bye),
					[]string{strings.TrimSpace(want), "close 1000"},
				})
			for _, piece := range []int{64, 4096, 65536} { // 9.3 to 9.6 and 10.1
				if n == 0 || n/piece > 1000 {
					continue
				}
				var sent []byte
				for at := 0; at < n; at += piece {
					first := byte(opCont)
					if at == 0 {
						first = op
					}
					if at+piece >= n {
						first |= fin
					}
					sent = append(sent, frame(first, text[at:min(n, at+piece)])...)
				}
				tests = append(tests,
					test{
						fmt.Sprintf("9 %s of %d in pieces of %d", name, n, piece), join(sent, bye),
						[]string{strings.TrimSpace(want), "close 1000"},
					})
			}
		}
	}
	for _, p := range []string{"", "hello", "\x00\xff\xfe", strings.Repeat("p", 60)} { // 2.1 to 2.9
		tests = append(tests,
			test{
				fmt.Sprintf("2 ping %q", p), join(frame(fin|opPing, p), bye),
				[]string{strings.TrimSpace("pong " + p), "close 1000"},
			},
			test{
				fmt.Sprintf("2 pong %q", p), join(frame(fin|opPong, p), bye),
				[]string{"close 1000"},
			})
	}
	pings, pongs := []byte(nil), []string(nil)
	for i := range 10 { // 2.10
		pings = append(pings, frame(fin|opPing, fmt.Sprint(i))...)
		pongs = append(pongs, fmt.Sprint("pong ", i))
	}
	tests = append(tests,
		test{
			"2.4 ping of 125", join(frame(fin|opPing, strings.Repeat("x", 125)), bye),
			[]string{"pong xxxxxxxx...125", "close 1000"},
		},
		test{
			"2.5 ping of 126", join(frame(fin|opPing, strings.Repeat("x", 126)), bye),
			[]string{"close 1002"},
		},
		test{"2.10 ten pings", join(pings, bye), append(slices.Clone(pongs), "close 1000")},
		test{
			"2.11 eleven pings", join(pings, frame(fin|opPing, "x"), bye),
			append(slices.Clone(pongs), "pong x", "close 1000"),
		})
	for rsv := byte(1); rsv < 8; rsv++ { // 3
		for _, op := range []byte{opText, opBinary, opClose, opPing, opPong} {
			tests = append(tests,
				test{
					fmt.Sprintf("3 reserved bits %d, opcode %d", rsv, op),
					join(frame(fin|rsv<<4|op, ""), bye),
					[]string{"close 1002"},
				})
		}
	}
	for _, op := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} { // 4
		tests = append(tests,
			test{
				fmt.Sprintf("4 opcode %d", op), join(frame(fin|op, "x"), bye),
				[]string{"close 1002"},
			},
			test{
				fmt.Sprintf("4 opcode %d after a message", op),
				join(frame(fin|opText, "hi"), frame(fin|op, ""), bye),
				[]string{"text hi", "close 1002"},
			})
	}
	for _, bad := range []string{ // 6.3 to 6.23
		"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited", "\xf4\x90\x80\x80",
		"\xc0\x80", "\xc0\xaf", "\xe0\x80\xaf", "\xf0\x80\x80\xaf",
		"\xf8\x88\x80\x80\x80", "\xfc\x84\x80\x80\x80\x80", "\xce", "\x80", "\xbf", "\xfe", "\xff",
		"\xed\xa0\x80", "\xed\xaf\xbf", "\xed\xad\xbf\xed\xbf\xbf", "\xc1\xbf", "a\xe2\x82",
		"\xf0\x9f\x98",
	} {
		tests = append(tests,
			test{
				fmt.Sprintf("6 bad text %q", bad), join(frame(fin|opText, bad), bye),
				[]string{"close 1007"},
			},
			test{
				fmt.Sprintf("6 bad text %q in two fragments", bad),
				join(frame(opText, bad[:1]), frame(fin|opCont, bad[1:]), bye),
				[]string{"close 1007"},
			})
	}
	for _, good := range []string{
		"\x00", "\u007f", "\u0080", "\u07ff", "\u0800", "\uffff",
		"\U00010000", "\U0010ffff", "\ufffd", "\ufffe",
	} {
		tests = append(tests,
			test{
				fmt.Sprintf("6 good text %q", good), join(frame(fin|opText, good), bye),
				[]string{"text " + good, "close 1000"},
			})
	}
	for _, code := range []int{
		1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999,
		4000, 4999,
	} {
		// 7.7
		tests = append(tests,
			test{
				fmt.Sprintf("7.7 close %d", code), closing(code, ""),
				[]string{fmt.Sprint("close ", code)},
			})
	}
	for _, code := range []int{
		0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000,
		65535,
	} {
		// 7.9 and 7.13
		tests = append(tests,
			test{fmt.Sprintf("7.9 close %d", code), closing(code, ""), []string{"close 1002"}})
	}
	url := serve(t,
		&wsconn.Options{
			MaxMessage: 1 << 20, MaxFrames: 16400, MessageTimeout: time.Hour,
			KeepaliveAfter: -1,
		}, echo(t))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := dialRaw(t, url, "")
			p.send(tt.sent)
			if got := p.all(); !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	t.Run("byte by byte", func(t *testing.T) { // 1.1.8, 5.8
		p := dialRaw(t, url, "")
		for _, b := range join(frame(opText, "ab"), frame(fin|opPing, "p"),
			frame(fin|opCont, strings.Repeat("c", 200)), bye) {
			if _, err := p.Write([]byte{b}); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := p.all(), []string{
			"pong p", "text abcccccc...202",
			"close 1000",
		}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}
