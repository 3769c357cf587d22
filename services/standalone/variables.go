package standalone

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/services/archiver"
	"github.com/parley-dm/parley/services/console"
	"github.com/parley-dm/parley/services/ingress"
	"github.com/parley-dm/parley/services/responder"
	"github.com/parley-dm/parley/services/sender"
	"github.com/parley-dm/parley/services/simulator"
)

type settingsCommand struct{}

// Run prints every variable of every program.
func (*settingsCommand) Run(inv Invocation) error { return writeSettings(inv.Stdout) }

// programs are the programs and what each reads, in the order in which a table tells of them.
func programs() []program {
	return []program{
		{"ingress", config.Variables[ingress.Config]()},
		{"responder", config.Variables[responder.Config]()},
		{"sender", config.Variables[sender.Config]()},
		{"archiver", config.Variables[archiver.Config]()},
		{"console", config.Variables[console.Config]()},
		{"parley", serveVariables()},
		{"simulator", config.Variables[simulator.Config]()},
	}
}

type program struct {
	name string
	vars []config.Variable
}

// writeSettings prints one table of all variables as Markdown: what the README shows.
func writeSettings(w io.Writer) error {
	var order []config.Variable
	readers := map[string][]string{}
	for _, p := range programs() {
		order = union(order, p.vars)
		for _, v := range p.vars {
			readers[v.Name] = append(readers[v.Name], p.name)
		}
	}
	if _, err := fmt.Fprint(w, "| variable | who | default | meaning |\n| --- | --- | --- | --- |\n"); err != nil {
		return err
	}
	for _, v := range order {
		if _, err := fmt.Fprintf(w, "| `%s` | %s | %s | %s |\n", v.Name, who(readers[v.Name]), shownDefault(v), strings.ReplaceAll(v.Help, "|", `\|`)); err != nil {
			return err
		}
	}
	return nil
}

// who names the readers of a variable. What all services read is read by parley too, which holds them.
func who(names []string) string {
	services := []string{"ingress", "responder", "sender", "archiver", "console"}
	every := !slices.ContainsFunc(services, func(s string) bool { return !slices.Contains(names, s) })
	alone := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == "parley" && len(names) > 1 })
	if every {
		return "all"
	}
	return strings.Join(alone, ", ")
}

func shownDefault(v config.Variable) string {
	switch {
	case v.Required:
		return "required"
	case v.Default == "":
		return "–"
	default:
		return "`" + v.Default + "`"
	}
}
