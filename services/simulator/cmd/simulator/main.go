// Command simulator plays Meta: a Graph API, webhooks, and a page of phones. `simulator load` makes load and judges it.
package main

import (
	"os"

	"github.com/parley-dm/parley/pkg/run"
	"github.com/parley-dm/parley/services/simulator"
	"github.com/parley-dm/parley/services/simulator/internal/cli"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "load" {
		os.Exit(cli.Load(os.Args[2:], os.Environ()))
	}
	os.Exit(run.Main(run.Service[simulator.Config]{
		Name:    "simulator",
		Summary: "plays Meta for local use and tests: the Graph API, webhooks, and customers' phones at / (see also: simulator load --help)",
		Run:     simulator.Run,
	}))
}
