package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/parley-dm/parley/pkg/run"
)

func main() { os.Exit(execute(os.Args[1:])) }

// execute makes a run and returns the exit code: 0 for a good verdict.
func execute(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o, err := parse(args, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return run.ExitOK
	case err != nil:
		_, _ = fmt.Fprintln(os.Stderr, "chaos:", err)
		return run.ExitUsage
	}
	good, err := chaos(ctx, o, os.Stdout)
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "chaos:", err)
	}
	if err != nil || !good {
		return run.ExitFailed
	}
	return run.ExitOK
}

// chaos is one run.
func chaos(ctx context.Context, o options, out io.Writer) (good bool, err error) {
	w, err := newWorld(ctx, o, out)
	defer func() { err = errors.Join(err, w.close(o.keep || err != nil || !good)) }()
	if err != nil {
		return false, err
	}
	names := []string{targetPostgres}
	for _, m := range w.members {
		names = append(names, m.Name)
	}
	steps := plan(o, names)
	w.say("everything is ready: %d processes and PostgreSQL; seed %d, %d troubles in %s, %d messages of %d customers, %.0f a second",
		len(w.members), o.seed, len(steps), o.duration, o.customers*o.messages, o.customers, o.rate)
	w.begun()

	watching, stop := context.WithCancel(ctx)
	defer stop()
	go w.progress(watching)
	tormented := make(chan error, 1)
	go func() { tormented <- w.torment(watching, steps) }()
	written, err := w.load(ctx)
	if err != nil {
		stop()
	}
	if err := errors.Join(err, <-tormented); err != nil {
		return false, err
	}
	if err := w.heal(ctx); err != nil {
		w.crash("after everything was started again: %v", err)
	}
	healed := time.Now()
	if err := w.settle(ctx, written); err != nil {
		return false, err
	}
	stop()
	w.say("settled %s after everything was well", time.Since(healed).Round(100*time.Millisecond))
	return w.verdict(ctx)
}
