// Package cli is `simulator load`: load against a running Parley, with a verdict as its exit status.
package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/run"
	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/services/simulator"
	"github.com/parley-dm/parley/services/simulator/internal/load"
)

type flags struct {
	Customers  int           `help:"How many customers write." default:"100"`
	Messages   int           `help:"How many messages each writes (default: 10, or as many as fit into --for)."`
	Rate       float64       `help:"Webhooks a second over all customers; 0 is as fast as they are taken."`
	For        time.Duration `help:"End the sending after this time."`
	Keywords   int           `help:"Write 'load 0' to 'load N-1' in turn and expect 'answer 0' to 'answer N-1', so that order is judged; needs the rules of --print-rules. 0 writes plain messages and only counts replies." default:"10"`
	Expect     []string      `help:"Write these texts in turn instead, and expect their replies: 'price=It costs 12 €'. May be repeated." sep:"none" placeholder:"TEXT=REPLY"`
	Account    string        `help:"The account that is written to (default: the first)."`
	Accounts   int           `help:"Spread the customers over the first N accounts of the simulator (SIMULATOR_ACCOUNTS, SIMULATOR_ACCOUNT_COUNT) and judge each by itself, too."`
	Apart      []string      `help:"Sum these accounts up by themselves, and all others together: what the others feel while these are paused." placeholder:"ID"`
	Settle     time.Duration `help:"How long nothing may happen before what is missing is taken for lost." default:"15s"`
	Linger     time.Duration `help:"How long to wait for replies too many when all are answered." default:"1s"`
	InFlight   int           `help:"How many webhooks may wait to be accepted." default:"512"`
	Simulator  string        `help:"Drive the simulator that runs at this URL (http://127.0.0.1:8082) instead of starting one here." placeholder:"URL"`
	JSON       bool          `help:"Print the result as JSON." name:"json"`
	PrintRules bool          `help:"Print the SQL that makes the rules which --keywords or --expect need, and end."`
}

const description = `Plays many customers, and judges what they received: for each message sent in, exactly one reply, in order.

Starts a Graph API of its own on SIMULATOR_ADDR, where the sender's GRAPH_API_URL must point, and posts webhooks to WEBHOOK_URL; or drives a simulator that runs already (--simulator). Its settings are those of simulator --help. The exit status is 0 when the verdict is good, 1 when it is not, 2 for wrong flags or settings.

Keep each customer below the responder's MAX_REPLIES_PER_MINUTE (20) or raise it: above it a conversation is held, and that is a missing reply here. An account's SEND_RATE_PER_ACCOUNT (100 a second) bounds the rate of replies.`

// Load is the sub-command with the process's signals and output; it returns the exit code.
func Load(args, environ []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	context.AfterFunc(ctx, stop)
	return Execute(ctx, args, environ, os.Stdout, os.Stderr)
}

// Execute is Load without the process.
func Execute(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	var f flags
	helped := false
	parser, err := kong.New(&f, kong.Name("simulator load"), kong.Description(description), kong.Writers(stdout, stderr), kong.Exit(func(int) { helped = true }))
	if err != nil {
		return fail(stderr, run.ExitUsage, err)
	}
	_, err = parser.Parse(args)
	if helped {
		return run.ExitOK
	}
	if err != nil {
		return fail(stderr, run.ExitUsage, err)
	}
	pairs, err := f.pairs()
	if err != nil {
		return fail(stderr, run.ExitUsage, err)
	}
	if f.PrintRules {
		if err := load.WriteRules(stdout, pairs); err != nil {
			return fail(stderr, run.ExitFailed, err)
		}
		return run.ExitOK
	}
	cfg, err := config.Load[simulator.Config](environ)
	if err != nil {
		return fail(stderr, run.ExitUsage, err)
	}
	options := load.Options{
		Account: f.Account, Accounts: f.Accounts, Apart: f.Apart, Customers: f.Customers, Messages: f.Messages, Rate: f.Rate, For: load.Duration(f.For), Pairs: pairs,
		Settle: load.Duration(f.Settle), Linger: load.Duration(f.Linger), InFlight: f.InFlight,
	}
	bar := newBar(stderr)
	var result load.Result
	if f.Simulator != "" {
		result, err = remote(ctx, strings.TrimRight(f.Simulator, "/"), options, bar.show)
	} else {
		result, err = own(ctx, cfg, options, stderr, bar.show)
	}
	bar.end()
	if err != nil {
		return fail(stderr, run.ExitFailed, err)
	}
	return report(stdout, stderr, result, f.JSON)
}

func fail(stderr io.Writer, code int, err error) int {
	_, _ = fmt.Fprintf(stderr, "simulator load: %v\n", err)
	return code
}

func report(stdout, stderr io.Writer, result load.Result, asJSON bool) int {
	var err error
	if asJSON {
		enc := json.NewEncoder(stdout)
		enc.SetIndent("", "  ")
		err = enc.Encode(result)
	} else {
		err = result.Write(stdout)
	}
	switch {
	case err != nil:
		return fail(stderr, run.ExitFailed, err)
	case !result.Good:
		return run.ExitFailed
	default:
		return run.ExitOK
	}
}

func (f *flags) pairs() ([]load.Pair, error) {
	if len(f.Expect) == 0 {
		if f.Keywords < 0 || f.Keywords > 10_000 {
			return nil, fmt.Errorf("--keywords: got %d, expected 0 to 10000", f.Keywords)
		}
		return load.Numbered(f.Keywords), nil
	}
	var out []load.Pair
	for _, e := range f.Expect {
		say, expect, ok := strings.Cut(e, "=")
		if !ok || say == "" || expect == "" {
			return nil, fmt.Errorf("--expect: got %q, expected TEXT=REPLY", e)
		}
		out = append(out, load.Pair{Say: say, Expect: expect})
	}
	return out, nil
}

// own starts a simulator here for the time of the load.
func own(ctx context.Context, cfg simulator.Config, o load.Options, stderr io.Writer, progress func(load.Progress)) (load.Result, error) {
	// The admin endpoints are left out: the Parley beside it most likely has their port.
	t, err := telemetry.Start(ctx, telemetry.Options{Service: "simulator", Common: quiet(cfg.Common), LogTo: stderr, NoAdmin: true})
	if err != nil {
		return load.Result{}, err
	}
	cfg.Telemetry = t
	s, err := simulator.New(cfg)
	if err != nil {
		return load.Result{}, err
	}
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	group := run.NewGroup(serving)
	ready := make(chan struct{})
	group.Go("serve", func(ctx context.Context) error { return s.Serve(ctx, ready) })
	var result load.Result
	var runErr error
	select {
	case <-ready:
		result, runErr = s.Load(ctx, o, progress)
	case <-group.Context().Done(): // it could not listen; Wait says why
	}
	stop()
	if err := group.Wait(); err != nil {
		return result, fmt.Errorf("%w (if a simulator runs there, drive it with --simulator %s)", err, cfg.URL())
	}
	return result, runErr
}

// quiet keeps lines of information off the progress bar.
func quiet(c config.Common) config.Common {
	if c.LogLevel == "INFO" && !c.Debug {
		c.LogLevel = "WARNING"
	}
	return c
}
