// The console is what the people of a business see of Parley and do with it.
package main

import (
	"os"

	"github.com/parley-dm/parley/pkg/run"
	"github.com/parley-dm/parley/services/console"
)

func main() {
	os.Exit(run.Main(run.Service[console.Config]{
		Name: console.Name, Summary: "shows conversations, takes them over, changes rules, mends what failed", Run: console.Run,
	}))
}
