package standalone

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/pipeline/deadletter"
)

type deadCommand struct {
	List   deadListCommand   `cmd:"" default:"withargs" help:"List them, oldest first."`
	Show   deadShowCommand   `cmd:"" help:"Show one, with its envelope and a panic's stack."`
	Replay deadReplayCommand `cmd:"" help:"Give them once more to the stage that gave up on them. Counts first; --yes does it."`
	Drop   deadDropCommand   `cmd:"" help:"Remove them for good. Counts first; --yes does it."`
}

// deadFilter is the flags that pick dead letters.
type deadFilter struct {
	Stage   string        `help:"Only those of one stage: responder, sender, archiver."`
	Account string        `help:"Only those of one account."`
	Reason  string        `help:"Only those whose reason contains this."`
	Older   time.Duration `help:"Only those older than this, such as 1h." placeholder:"AGE"`
	Newer   time.Duration `help:"Only those younger than this." placeholder:"AGE"`
}

func (f deadFilter) filter(numbers []uint64) deadletter.Filter {
	return deadletter.Filter{Numbers: numbers, Stage: f.Stage, Account: f.Account, Reason: f.Reason, OlderThan: f.Older, NewerThan: f.Newer}
}

type deadListCommand struct {
	deadFilter
	Limit int  `default:"50" help:"At most so many."`
	JSON  bool `help:"One JSON object a line."`
}

// Run lists dead letters.
func (c *deadListCommand) Run(ctx context.Context, inv Invocation) error {
	return withBus(ctx, inv, func(conn *bus.Conn) error {
		table := tabwriter.NewWriter(inv.Stdout, 0, 0, 2, ' ', 0)
		lines := json.NewEncoder(inv.Stdout)
		shown, total := 0, 0
		err := deadletter.List(ctx, conn, c.filter(nil), func(l deadletter.Letter) (bool, error) {
			if total++; shown >= c.Limit {
				return true, nil
			}
			if shown++; c.JSON {
				return true, lines.Encode(l)
			}
			if shown == 1 {
				_, _ = fmt.Fprintln(table, "NUMBER\tAT\tSTAGE\tACCOUNT\tCLASS\tATTEMPTS\tREASON")
			}
			_, err := fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%d\t%s\n", l.Number, l.At.UTC().Format(time.RFC3339), l.Stage, l.Account, l.Class, l.Attempts, shorten(l.Reason))
			return true, err
		})
		if err != nil || c.JSON {
			return err
		}
		if err := table.Flush(); err != nil {
			return err
		}
		say(inv.Stdout, "%d dead letter(s), %d shown", total, shown)
		return nil
	})
}

// shorten keeps a line of the table a line; show has the whole.
func shorten(s string) string {
	const most = 100
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

type deadShowCommand struct {
	Number uint64 `arg:"" help:"The dead letter's number."`
}

// Run shows a dead letter.
func (c *deadShowCommand) Run(ctx context.Context, inv Invocation) error {
	return withBus(ctx, inv, func(conn *bus.Conn) error {
		l, err := deadletter.Get(ctx, conn, c.Number)
		if err != nil {
			return err
		}
		for _, field := range []struct{ name, value string }{
			{"number", fmt.Sprint(l.Number)}, {"at", l.At.UTC().Format(time.RFC3339Nano)}, {"stage", l.Stage}, {"account", l.Account}, {"class", l.Class},
			{"attempts", fmt.Sprint(l.Attempts)}, {"reason", l.Reason}, {"subject", l.Subject}, {"sequence", fmt.Sprint(l.Sequence)}, {"id", l.ID},
		} {
			say(inv.Stdout, "%-9s %s", field.name, field.value)
		}
		if l.Stack != "" {
			say(inv.Stdout, "stack\n  %s", strings.ReplaceAll(l.Stack, " | ", "\n  "))
		}
		return printEnvelope(inv.Stdout, l.Envelope)
	})
}

// printEnvelope prints the message as it was: indented if it is JSON.
func printEnvelope(w io.Writer, payload []byte) error {
	var parsed json.RawMessage
	if json.Unmarshal(payload, &parsed) != nil {
		_, err := fmt.Fprintf(w, "envelope (not JSON)\n%q\n", payload)
		return err
	}
	pretty, err := json.MarshalIndent(parsed, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "envelope\n%s\n", pretty)
	return err
}

type deadReplayCommand struct {
	deadFilter
	Numbers []uint64 `arg:"" optional:"" help:"Numbers of dead letters; all that the flags pick without."`
	Yes     bool     `help:"Do it."`
	By      string   `help:"Who asks; the system's user by default."`
}

// Run replays dead letters.
func (c *deadReplayCommand) Run(ctx context.Context, inv Invocation) error {
	return withBus(ctx, inv, func(conn *bus.Conn) error {
		n, err := count(ctx, conn, c.filter(c.Numbers))
		if err != nil || !c.Yes {
			return ask(inv, err, "%d dead letter(s) would be replayed", n)
		}
		n, err = deadletter.Replay(ctx, conn, c.filter(c.Numbers), whoAsks(c.By))
		say(inv.Stdout, "%d dead letter(s) replayed", n)
		return err
	})
}

type deadDropCommand struct {
	deadFilter
	Numbers []uint64 `arg:"" optional:"" help:"Numbers of dead letters; all that the flags pick without."`
	Yes     bool     `help:"Do it."`
}

// Run drops dead letters.
func (c *deadDropCommand) Run(ctx context.Context, inv Invocation) error {
	return withBus(ctx, inv, func(conn *bus.Conn) error {
		n, err := count(ctx, conn, c.filter(c.Numbers))
		if err != nil || !c.Yes {
			return ask(inv, err, "%d dead letter(s) would be dropped for good", n)
		}
		n, err = deadletter.Drop(ctx, conn, c.filter(c.Numbers))
		say(inv.Stdout, "%d dead letter(s) dropped", n)
		return err
	})
}

func count(ctx context.Context, conn *bus.Conn, f deadletter.Filter) (int, error) {
	n := 0
	err := deadletter.List(ctx, conn, f, func(deadletter.Letter) (bool, error) { n++; return true, nil })
	return n, err
}

// ask says what would be done, and how to have it done.
func ask(inv Invocation, err error, format string, n int) error {
	if err != nil {
		return err
	}
	say(inv.Stdout, format+"; add --yes to do it", n)
	return nil
}

// whoAsks is the name that a replay carries.
func whoAsks(by string) string {
	if by != "" {
		return by
	}
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return name
}

// busSettings is what the commands that look at the bus read.
type busSettings struct{ config.NATS }

// withBus connects to NATS_URL for one command.
func withBus(ctx context.Context, inv Invocation, f func(*bus.Conn) error) error {
	settings, err := config.Load[busSettings](inv.Environ)
	if err != nil {
		return err
	}
	conn, err := bus.Connect(ctx, bus.ConnConfig{URL: settings.NATS.URL.Reveal(), CredsFile: settings.NATS.CredsFile, Name: name + " command"})
	if err != nil {
		return fmt.Errorf("%w\nNATS_URL says where the bus is. A `parley serve` with NATS embedded is reached only when NATS_LISTEN is set for it", err)
	}
	defer conn.Close()
	return f(conn) // makes no streams: how many replicas they have is the services' business
}
