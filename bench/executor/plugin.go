package main

import (
	"context"
	"io"
	"net/rpc"
	"os"
	"os/exec"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
)

var handshake = plugin.HandshakeConfig{
	ProtocolVersion: 1, MagicCookieKey: "BENCH_EXECUTOR_PLUGIN",
	MagicCookieValue: "1",
}

// echoService is the plugin's side.
type echoService struct{}

// Echo returns its argument.
func (echoService) Echo(in Order, out *Order) error {
	*out = in
	return nil
}

type echoPlugin struct{}

// Server implements plugin.Plugin.
func (echoPlugin) Server(*plugin.MuxBroker) (any, error) { return echoService{}, nil }

// Client implements plugin.Plugin.
func (echoPlugin) Client(_ *plugin.MuxBroker, c *rpc.Client) (any, error) { return c, nil }

// servePlugin never returns in a process that go-plugin started.
func servePlugin() {
	if os.Getenv(handshake.MagicCookieKey) == "" {
		return
	}
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: handshake,
		Plugins:         plugin.PluginSet{"echo": echoPlugin{}}, Logger: hclog.NewNullLogger(),
	})
	os.Exit(0)
}

func startPlugin() (*rpc.Client, func()) {
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig: handshake, Plugins: plugin.PluginSet{"echo": echoPlugin{}},
		Cmd:    exec.CommandContext(context.Background(), "/proc/self/exe"),
		Logger: hclog.NewNullLogger(), Stderr: io.Discard,
	})
	protocol, err := client.Client()
	check(err)
	raw, err := protocol.Dispense("echo")
	check(err)
	return raw.(*rpc.Client), client.Kill
}
