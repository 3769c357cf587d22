// The sender says what was decided: it calls the Send API for every reply intent, once.
package main

import (
	"os"

	"github.com/parley-dm/parley/pkg/run"
	"github.com/parley-dm/parley/services/sender"
)

func main() {
	os.Exit(run.Main(run.Service[sender.Config]{
		Name:    sender.Name,
		Summary: "sends reply intents through Meta's Send API, once each, and says what came of them",
		Run:     sender.Run,
	}))
}
