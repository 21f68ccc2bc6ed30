package main

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/genropy/genro-asgi-go/internal/guide"
)

// The README's session prints what it says.
func TestReadme(t *testing.T) {
	for _, tool := range []string{"bash", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
	page, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") // the port that the page names may be taken here
	if err != nil {
		t.Fatal(err)
	}
	address, binary := l.Addr().String(), t.TempDir()+"/orders"
	_ = l.Close()
	text := strings.NewReplacer("127.0.0.1:8080", address, "localhost:8080", address, "./orders",
		binary+" -data "+t.TempDir(),
		"-o orders", "-o "+binary).Replace(string(page))
	if err := guide.Run(t.Context(), guide.Steps(text), address, "", os.Environ()); err != nil {
		t.Error(err)
	}
}
