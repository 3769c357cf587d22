// Command simulator plays Meta: a Graph API, webhooks, and a page of phones. `simulator load` makes load and judges it,
// `simulator accounts` prints its accounts as an ACCOUNTS_FILE.
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
	if len(os.Args) == 2 && os.Args[1] == "accounts" {
		os.Exit(cli.Accounts(os.Environ(), os.Stdout, os.Stderr))
	}
	os.Exit(run.Main(run.Service[simulator.Config]{
		Name:    "simulator",
		Summary: "plays Meta for local use and tests: the Graph API, webhooks, and customers' phones at / (see also: simulator load --help)",
		Run:     simulator.Run,
	}))
}
