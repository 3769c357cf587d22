// The seed fills a private PostgreSQL with made-up conversations, as many as a large business has after a quarter, so that
// pages can be timed and their plans read.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/postgres"
	"github.com/parley-dm/parley/pkg/postgres/pglocal"
	"github.com/parley-dm/parley/services/console/internal/seed"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	context.AfterFunc(ctx, stop)
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		_, _ = fmt.Fprintln(os.Stderr, "seed:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop was called
	}
}

func run(ctx context.Context, args []string) (err error) {
	var o seed.Options
	flags := flag.NewFlagSet("seed", flag.ContinueOnError)
	dir := flags.String("dir", "", "keeps the database in this folder, and serves it again at the next start without filling it; a temporary one if not given")
	url := flags.String("database", "", "fills this database instead, as a superuser; its schema must be empty or have no messages")
	stay := flags.Bool("stay", true, "serves the private database until it is interrupted")
	flags.IntVar(&o.Conversations, "conversations", 100_000, "how many conversations")
	flags.IntVar(&o.Messages, "messages", 1_000_000, "how many messages")
	flags.IntVar(&o.Accounts, "accounts", 20, "how many accounts they belong to")
	flags.Uint64Var(&o.Seed, "seed", 1, "the same seed makes the same rows")
	flags.DurationVar(&o.Span, "span", 90*24*time.Hour, "over how long a time they are spread")
	flags.TextVar(&o.Until, "until", time.Now().UTC().Truncate(time.Second), "the time of the newest message, such as 2026-11-25T12:00:00Z")
	if err := flags.Parse(args); err != nil {
		return err
	}
	o.Say = func(format string, args ...any) {
		_, _ = fmt.Fprintf(os.Stdout, time.Now().Format("15:04:05 ")+format+"\n", args...)
	}
	if err := o.Validate(); err != nil {
		return err
	}
	if *url != "" {
		return fill(ctx, config.Database{URL: config.Secret(*url)}, o)
	}
	// The settings are for filling a database that may be lost.
	server, err := pglocal.Start(ctx, pglocal.Options{Dir: *dir, Port: pglocal.AnyPort, Unsafe: true, Settings: map[string]string{
		"shared_buffers": "1GB", "maintenance_work_mem": "512MB", "max_wal_size": "8GB", "work_mem": "16MB",
		"max_parallel_maintenance_workers": "2", "effective_cache_size": "8GB", "random_page_cost": "1.1", "jit": "off",
	}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	if err := fill(ctx, config.Database{URL: config.Secret(server.URL())}, o); err != nil || !*stay {
		return err
	}
	o.Say("served until interrupted:\nDATABASE_URL='%s'", server.TCPURL())
	select {
	case <-ctx.Done():
	case <-server.Done():
	}
	return nil
}

func fill(ctx context.Context, db config.Database, o seed.Options) error {
	if _, _, err := postgres.Migrate(ctx, db); err != nil {
		return err
	}
	return seed.Fill(ctx, db, o)
}
