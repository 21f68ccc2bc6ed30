package docs_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/wsxclient"
)

// What docs/reverse-proxy.md says, with the proxies that it is about. They must be installed, as
// `make proxies` does.
func TestProxies(t *testing.T) {
	if os.Getenv("PROXIES") == "" {
		t.Skip("make proxies runs it, with nginx, haproxy and caddy")
	}
	page, err := os.ReadFile("reverse-proxy.md")
	if err != nil {
		t.Fatal(err)
	}
	key, certificate, trusted := selfSigned(t)
	for _, p := range []struct {
		name    string
		arrange func(dir, config string) (text string, args []string)
	}{
		{"nginx", func(dir, config string) (string, []string) {
			config = "daemon off;\nmaster_process off;\nerror_log stderr;\npid " + dir +
				"/pid;\nevents {}\nhttp {\n" +
				"access_log off;\nclient_body_temp_path " + dir + ";\nproxy_temp_path " + dir +
				";\nfastcgi_temp_path " + dir +
				";\nuwsgi_temp_path " + dir + ";\nscgi_temp_path " + dir + ";\n" + config + "}\n"
			return config, []string{"nginx", "-p", dir, "-e", "stderr", "-c", dir + "/config"}
		}},
		{"haproxy", func(dir, config string) (string, []string) {
			return config, []string{"haproxy", "-db", "-f", dir + "/config"}
		}},
		{"caddyfile", func(dir, config string) (string, []string) {
			config = "{\n\tadmin off\n\tauto_https disable_redirects\n\tstorage file_system " +
				dir + "\n}\n" +
				strings.Replace(config, "{\n",
					"{\n\ttls "+dir+"/app.example.pem "+dir+"/app.example.key\n", 1)
			return config, []string{
				"caddy", "run", "--adapter", "caddyfile", "--config",
				dir + "/config",
			}
		}},
	} {
		t.Run(p.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "app.example.key"), key)
			write(t, filepath.Join(dir, "app.example.pem"), certificate)
			write(t, filepath.Join(dir, "app.example.haproxy.pem"), append(certificate, key...))
			app := newBehind(t)
			public := freeAddress(t)
			_, port, _ := net.SplitHostPort(public)
			config := strings.NewReplacer("127.0.0.1:8080", app.address, "app.example {",
				"https://app.example:"+port+" {", "/etc/ssl/", dir+"/",
				"listen 443", "listen "+public, "bind :443",
				"bind "+public).Replace(block(t, string(page), p.name))
			text, command := p.arrange(dir, config)
			write(t, filepath.Join(dir, "config"), []byte(text))
			startProxy(t, public, command)
			app.try(t, "app.example:"+port, clientOf(public, trusted))
			app.stop(t)

			if strings.Contains(text, hostLine) {
				// the page says what comes of it when this line is not there
				public, again := freeAddress(t), newBehind(t)
				text = strings.NewReplacer(hostLine, "", "127.0.0.1:"+port, public, app.address,
					again.address).Replace(text)
				write(t, filepath.Join(dir, "config"), []byte(text))
				startProxy(t, public, command)
				_, err := dial(t.Context(), "app.example:"+port, "https://app.example:"+port,
					clientOf(public, trusted))
				if err == nil || !strings.Contains(err.Error(), "403") {
					t.Errorf("without %q: %v", hostLine, err)
				}
				again.stop(t)
			}
		})
	}
}

const hostLine = "proxy_set_header Host $http_host;\n"

// block is the one block of the page in that language.
func block(t *testing.T, page, language string) string {
	t.Helper()
	_, rest, ok := strings.Cut(page, "```"+language+"\n")
	text, _, closed := strings.Cut(rest, "```")
	if !ok || !closed {
		t.Fatalf("no block of %s", language)
	}
	return text
}

func write(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// selfSigned is a certificate for app.example, and a pool that trusts it.
func selfSigned(t *testing.T) (key, certificate []byte, trusted *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"app.example"}, IsCA: true,
		BasicConstraintsValid: true,
		NotBefore:             time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	key = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	certificate = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	trusted = x509.NewCertPool()
	trusted.AppendCertsFromPEM(certificate)
	return key, certificate, trusted
}

// clientOf sends what is for any host to the proxy.
func clientOf(proxy string, trusted *x509.CertPool) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", proxy)
		},
	}}
}

// startProxy runs the command until the test ends, and waits until it listens.
func startProxy(t *testing.T, address string, command []string) {
	t.Helper()
	var log bytes.Buffer
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-ended
		if t.Failed() {
			t.Logf("%s", log.Bytes())
		}
	})
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		if c, err := new(net.Dialer).DialContext(t.Context(), "tcp", address); err == nil {
			_ = c.Close()
			return
		}
		select {
		case <-tick.C:
		case <-ended:
			t.Fatalf("%q ended", command)
		}
	}
}

// behind is the app behind the proxy.
type behind struct {
	address string
	hub     *wsx.Hub
	end     context.CancelFunc
	served  chan error
}

func newBehind(t *testing.T) *behind {
	t.Helper()
	b := &behind{hub: wsx.NewHub(nil), served: make(chan error, 1)}
	b.hub.Configure("news", &wsx.ChannelOptions{History: 10})
	methods := wsx.NewDispatcher()
	wsx.Handle(methods, "double", func(_ context.Context, n int) (int, error) { return 2 * n, nil })
	server := wsx.NewServer(methods, &wsx.ServerOptions{Hub: b.hub})
	mux := http.NewServeMux()
	mux.Handle("/ws", server)
	mux.Handle("/events", b.hub.SSE(func(*http.Request) (string, error) { return "news", nil }))
	mux.Handle("/double", asgi.Handle(func(_ context.Context, in struct {
		N int `query:"n"`
	},
	) (int, error) {
		return 2 * in.N, nil
	}))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.address = l.Addr().String()
	ctx, end := context.WithCancel(context.Background())
	b.end = end
	app := asgi.New(mux, b.hub, server)
	go func() { b.served <- app.Serve(ctx, l) }()
	return b
}

// stop ends the app, which must not take longer or fail because its clients came through a proxy.
func (b *behind) stop(t *testing.T) {
	t.Helper()
	b.end()
	if err := <-b.served; err != nil {
		t.Error(err)
	}
}

// try does as a browser at https://host does.
func (b *behind) try(t *testing.T, host string, client *http.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var sum int
	if resp, err := get(ctx, client, "https://"+host+"/double?n=21"); err != nil {
		t.Fatal(err)
	} else {
		_, err = fmt.Fscan(resp.Body, &sum)
		_ = resp.Body.Close()
		if err != nil || sum != 42 {
			t.Errorf("over HTTP: %d, %v", sum, err)
		}
	}

	c, err := dial(ctx, host, "https://"+host, client)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got, err := wsxclient.Call[int](ctx, c, "double", 21); err != nil || got != 42 {
		t.Errorf("over a WebSocket: %d, %v", got, err)
	}
	_, err = dial(ctx, host, "https://evil.example", client)
	if err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("another origin: %v", err)
	}

	resp, err := get(ctx, client, "https://"+host+"/events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	publish := func(bool) {
		if _, err := b.hub.Publish(ctx, "news", "it happened"); err != nil {
			t.Error(err)
		}
	}
	for e, err := range wsxclient.Subscribe[string](ctx, c, "news",
		&wsxclient.SubscribeOptions{OnSubscribed: publish}) {
		if err != nil || e.Payload != "it happened" {
			t.Errorf("by subscription: %q, %v", e.Payload, err)
		}
		break
	}
	for lines := bufio.NewScanner(resp.Body); ; {
		// that it comes at all means that nothing holds it back
		if !lines.Scan() {
			t.Fatalf("the event stream ended: %v", lines.Err())
		}
		if strings.Contains(lines.Text(), "it happened") {
			break
		}
	}

	raw, _, err := websocket.Dial(ctx, "wss://"+host+"/ws",
		&websocket.DialOptions{HTTPClient: client, Subprotocols: []string{"wsx.v1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer raw.CloseNow() // closed by then
	b.end()
	var closed websocket.CloseError
	if _, _, err := raw.Read(ctx); !errors.As(err, &closed) ||
		closed.Code != websocket.StatusGoingAway {
		t.Errorf("at shutdown: %v", err)
	}
}

func dial(ctx context.Context, host, origin string, client *http.Client) (*wsxclient.Client,
	error,
) {
	return wsxclient.Dial(ctx, "wss://"+host+"/ws",
		&wsxclient.Options{HTTPClient: client, Header: http.Header{"Origin": {origin}}})
}

func get(ctx context.Context, client *http.Client, url string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(r)
	if err == nil && resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close()
		return nil, fmt.Errorf("%s: %s", url, resp.Status)
	}
	return resp, err
}
