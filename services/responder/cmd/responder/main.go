// The responder decides what is answered to customers' messages.
package main

import (
	"os"

	"github.com/parley-dm/parley/pkg/run"
	"github.com/parley-dm/parley/services/responder"
)

func main() {
	os.Exit(run.Main(run.Service[responder.Config]{
		Name:    responder.Name,
		Summary: "decides what is answered to customers' messages, by rules in PostgreSQL",
		Run:     responder.Run,
	}))
}
