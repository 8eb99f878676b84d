// Benthos, as Redpanda Connect was called before, with only the components that the bench uses.
package main

import (
	"context"
	"net/http"

	_ "github.com/benthosdev/benthos/v4/public/components/amqp09"
	_ "github.com/benthosdev/benthos/v4/public/components/io"
	_ "github.com/benthosdev/benthos/v4/public/components/pure"
	"github.com/benthosdev/benthos/v4/public/service"
)

func main() {
	// Its http_client takes Go's defaults, which keep two connections to a host and close all others
	// after each request, and there is no key for it. Here it may keep as many as it uses.
	if transport, ok := http.DefaultTransport.(*http.Transport); ok {
		transport.MaxIdleConns = 0
		transport.MaxIdleConnsPerHost = 1 << 20
	}
	service.RunCLI(context.Background())
}
