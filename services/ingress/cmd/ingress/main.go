// Command ingress takes Meta's webhooks and puts what is in them on the bus.
package main

import (
	"os"

	"github.com/parley-dm/parley/pkg/run"
	"github.com/parley-dm/parley/services/ingress"
)

func main() {
	os.Exit(run.Main(run.Service[ingress.Config]{
		Name: "ingress", Summary: "takes Meta's webhooks, checks them and makes every event in them durable", Run: ingress.Run,
	}))
}
