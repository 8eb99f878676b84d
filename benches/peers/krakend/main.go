// KrakenD's async agents without the gateway around them: its configuration parser, its proxy and
// HTTP client (lura) and its AMQP driver (krakend-amqp), put together as KrakenD's executor does.
package main

import (
	"context"
	"log"
	"os"
	"os/signal"
	"syscall"

	asyncamqp "github.com/krakend/krakend-amqp/v2/async"
	"github.com/luraproject/lura/v2/async"
	"github.com/luraproject/lura/v2/config"
	"github.com/luraproject/lura/v2/logging"
	"github.com/luraproject/lura/v2/proxy"
	"github.com/luraproject/lura/v2/transport/http/server"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()

	// The short names that a krakend.json has, as KrakenD itself translates them.
	config.ExtraConfigAlias = map[string]string{"async/amqp": "github.com/devopsfaith/krakend-amqp/agent"}
	service, err := config.NewParser().Parse(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	service.Normalize()

	logger, err := logging.NewLogger("ERROR", os.Stderr, "KRAKEND")
	if err != nil {
		log.Fatal(err)
	}
	// Connections are kept per host as configured; without this it would be two.
	server.InitHTTPDefaultTransport(service)

	// In KrakenD the router's health page takes these; somebody has to.
	pings := make(chan string, len(service.AsyncAgents))
	go func() {
		for range pings {
		}
	}()

	pipes := proxy.NewShadowFactory(proxy.DefaultFactory(logger))
	agents := async.AgentStarter([]async.Factory{asyncamqp.StartAgent})
	if err := agents.Start(ctx, service.AsyncAgents, logger, pings, pipes)(); err != nil && ctx.Err() == nil {
		log.Fatal(err)
	}
}
