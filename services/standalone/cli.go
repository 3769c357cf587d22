package standalone

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/postgres"
	"github.com/parley-dm/parley/pkg/run"
	"github.com/parley-dm/parley/pkg/run/memory"
)

const description = "Answers a business's Instagram direct messages: exactly one reply to each, in order, nothing lost. Settings come from the environment; " +
	"`parley serve --help` and `parley demo --help` list them."

// Invocation is how the program was called.
type Invocation struct {
	Args, Environ  []string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// commands are the program's sub-commands.
type commands struct {
	Demo     demoCommand     `cmd:"" help:"Everything on this machine, with a private PostgreSQL and a played Instagram. Needs no configuration."`
	Serve    serveCommand    `cmd:"" help:"Everything that a server in production needs, in one process."`
	Doctor   doctorCommand   `cmd:"" help:"Examine the installation: settings, dependencies, streams, schema, tokens, webhooks, clocks, disk; exit 1 on a problem."`
	Migrate  migrateCommand  `cmd:"" help:"Bring the database's schema at DATABASE_URL up to date."`
	Dead     deadCommand     `cmd:"" help:"Look at the messages that a stage gave up on; replay or drop them."`
	Console  consoleCommand  `cmd:"" help:"Let somebody into the console."`
	Holds    holdsCommand    `cmd:"" help:"Look at who has which conversation; take one from the bot, or give it back."`
	Rules    rulesCommand    `cmd:"" help:"Rules as files: import, export, validate, test, and try them on archived messages."`
	Why      whyCommand      `cmd:"" help:"Say why a message was answered so, or not at all, from the archive."`
	Replay   replayCommand   `cmd:"" help:"Read a stretch of the streams once more into one stage."`
	Erase    eraseCommand    `cmd:"" help:"Erase one customer, one message, or what is older than an age. Counts first; --yes does it."`
	Topology topologyCommand `cmd:"" help:"Print what Parley keeps on NATS, as Markdown."`
	Settings settingsCommand `cmd:"" help:"Print every variable of every program, as Markdown."`
	Version  versionCommand  `cmd:"" help:"Print the version."`
}

// Execute runs the program until it is done or ctx ends, and returns its exit code.
func Execute(ctx context.Context, inv Invocation) int {
	var cmds commands
	exited := -1
	parser, err := kong.New(&cmds, kong.Name(name), kong.Description(description), kong.Writers(inv.Stdout, inv.Stderr),
		kong.Exit(func(code int) { exited = max(exited, code) }), kong.Help(help), kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(inv),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, WrapUpperBound: 100}))
	if err != nil {
		say(inv.Stderr, "%s: %v", name, err)
		return run.ExitFailed
	}
	args := inv.Args
	if len(args) == 0 {
		_, _ = parser.Parse([]string{"--help"})
		return run.ExitUsage
	}
	if strings.HasPrefix(args[0], "--check-config") || strings.HasPrefix(args[0], "--probe") {
		// As with the other services' programs: what is meant is the one that serves.
		args = append([]string{"serve"}, args...)
	}
	parsed, err := parser.Parse(args)
	if exited >= 0 {
		return exited // --help was printed
	}
	if err != nil {
		say(inv.Stderr, "%s: %v (%s --help lists what there is)", name, err, name)
		return run.ExitUsage
	}
	return code(inv, parsed.Run())
}

// exitError is the exit code of a command that has said already what is wrong.
type exitError int

func (exitError) Error() string { return "said already" }

// usageError is a mistake in how the program was called, or in a file that it was given.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usage(err error) error { return usageError{err} }

func code(inv Invocation, err error) int {
	var bad *config.Error
	var exit exitError
	var wrong usageError
	switch {
	case err == nil || errors.Is(err, context.Canceled):
		return run.ExitOK
	case errors.As(err, &exit):
		return int(exit)
	case errors.As(err, &bad) || errors.As(err, &wrong):
		say(inv.Stderr, "%s: %v", name, err)
		return run.ExitUsage
	default:
		say(inv.Stderr, "%s: %v", name, err)
		return run.ExitFailed
	}
}

type demoCommand struct {
	CheckConfig bool `help:"Check the settings, name every problem, and end."`
}

// Run runs the demo.
func (c *demoCommand) Run(ctx context.Context, inv Invocation) error {
	cfg, err := LoadDemo(inv.Environ)
	if err != nil || c.CheckConfig {
		return valid(inv, err)
	}
	memory.Tune(inv.Environ)
	return Demo(ctx, cfg, inv.Stdout)
}

type serveCommand struct {
	CheckConfig bool  `help:"Check the settings, name every problem, and end."`
	Probe       probe `help:"Ask the running process, at ADMIN_ADDR, whether it is ready (--probe=live: whether it lives): exit 0 or 1."`
}

// Run serves.
func (c *serveCommand) Run(ctx context.Context, inv Invocation) error {
	if c.Probe != "" {
		if exit := run.Probe(ctx, string(c.Probe), inv.Environ, inv.Stderr); exit != run.ExitOK {
			return exitError(exit)
		}
		return nil
	}
	cfg, err := LoadServe(inv.Environ)
	if err != nil || c.CheckConfig {
		return valid(inv, err)
	}
	memory.Tune(inv.Environ)
	return Serve(ctx, cfg)
}

func valid(inv Invocation, err error) error {
	if err == nil {
		say(inv.Stdout, "%s: configuration is valid", name)
	}
	return err
}

// probe is the flag --probe, --probe=ready or --probe=live.
type probe string

// IsBool lets the flag stand alone.
func (*probe) IsBool() bool { return true }

// Decode reads the flag's value, if it has one.
func (p *probe) Decode(c *kong.DecodeContext) error {
	*p = run.ProbeReady
	if c.Scan.Peek().Type != kong.FlagValueToken {
		return nil
	}
	switch v := c.Scan.Pop().String(); v {
	case "ready":
	case "live":
		*p = run.ProbeLive
	default:
		return fmt.Errorf("got %q, expected ready or live", v)
	}
	return nil
}

type migrateCommand struct{}

// Run migrates the database.
func (*migrateCommand) Run(ctx context.Context, inv Invocation) error {
	db, err := config.Load[config.Database](inv.Environ)
	if err != nil {
		return err
	}
	from, to, err := postgres.Migrate(ctx, db)
	switch {
	case err != nil:
		return err
	case from == to:
		say(inv.Stdout, "The schema is current: version %d.", to)
	default:
		say(inv.Stdout, "The schema went from version %d to %d.", from, to)
	}
	return nil
}

type topologyCommand struct{}

// Run prints the topology.
func (*topologyCommand) Run(inv Invocation) error { return writeTopology(inv.Stdout) }

type versionCommand struct{}

// Run prints the version that the binary was built from.
func (*versionCommand) Run(inv Invocation) error {
	version, revision := "unknown", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = " (" + s.Value[:min(12, len(s.Value))] + ")"
			}
		}
	}
	say(inv.Stdout, "%s %s%s, schema version %d", name, version, revision, postgres.TargetVersion())
	return nil
}

// help prints kong's help and, where a command reads settings, all of them.
func help(o kong.HelpOptions, c *kong.Context) error {
	if err := kong.DefaultHelpPrinter(o, c); err != nil {
		return err
	}
	selected := c.Selected()
	if selected == nil {
		return nil
	}
	var vars []config.Variable
	switch selected.Name {
	case "demo":
		vars = demoVariables()
	case "serve", "doctor":
		vars = serveVariables()
	case "migrate", "why", "import", "export", "conflicts", "try":
		vars = config.Variables[config.Database]()
	case "erase":
		vars = config.Variables[eraseSettings]()
	case "add-user":
		vars = config.Variables[consoleSettings]()
	case "list", "show", "replay", "drop", "hold", "release":
		vars = config.Variables[busSettings]()
	default:
		return nil
	}
	say(c.Stdout, "\nSettings, from the environment (NAME_FILE reads NAME's value from a file):")
	return config.WriteHelp(c.Stdout, vars)
}
