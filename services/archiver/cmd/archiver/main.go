// The archiver keeps every message in PostgreSQL.
package main

import (
	"os"

	"github.com/parley-dm/parley/pkg/run"
	"github.com/parley-dm/parley/services/archiver"
)

func main() {
	os.Exit(run.Main(run.Service[archiver.Config]{
		Name:    archiver.Name,
		Summary: "keeps every event, reply and delivery in PostgreSQL",
		Run:     archiver.Run,
	}))
}
