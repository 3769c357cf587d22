// Package archiver is the stage that keeps: every event, reply intent and delivery becomes rows in PostgreSQL.
//
// It needs no order and no owner: its writes commute and repeat safely, so replicas share one consumer and many messages
// go into one transaction. A message is acknowledged after its commit. It migrates nothing.
package archiver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/pkg/postgres"
	"github.com/parley-dm/parley/pkg/run"
	"github.com/parley-dm/parley/services/archiver/internal/store"
)

// Name is the stage's name in logs, metrics and subscriptions.
const Name = "archiver"

// Config is the archiver's settings.
type Config struct {
	config.Common
	config.NATS
	config.Database
	Media       Media
	Batch       int           `env:"ARCHIVE_BATCH" envDefault:"1000" help:"rows after which a transaction waits for no more"`
	Flush       time.Duration `env:"ARCHIVE_FLUSH" envDefault:"25ms" help:"how long a transaction waits for more rows; a message waits as long once before, on the bus"`
	Writers     int           `env:"ARCHIVE_WRITERS" envDefault:"2" help:"transactions that are written at once"`
	MaxInFlight int           `env:"ARCHIVE_MAX_IN_FLIGHT" envDefault:"2000" help:"messages of each kind that wait for their commit at once; bounds memory while PostgreSQL is away"`

	// Host is lent by a process that runs several services.
	Host *pipeline.Host `env:"-"`
}

// Validate reports every problem of the settings.
func (c Config) Validate() error {
	errs := []error{c.Common.Validate(), c.NATS.Validate(), c.Database.Validate(), c.Media.Validate()}
	for _, v := range []struct {
		name     string
		got, max int
	}{{"ARCHIVE_BATCH", c.Batch, 5000}, {"ARCHIVE_WRITERS", c.Writers, 64}, {"ARCHIVE_MAX_IN_FLIGHT", c.MaxInFlight, 100_000}} {
		if v.got < 1 || v.got > v.max {
			errs = append(errs, fmt.Errorf("%s: got %d, expected 1 to %d", v.name, v.got, v.max))
		}
	}
	if c.Flush <= 0 || c.Flush > 10*time.Second {
		errs = append(errs, fmt.Errorf("ARCHIVE_FLUSH: got %s, expected more than 0, at most 10s", c.Flush))
	}
	return errors.Join(errs...)
}

// Run archives until the context ends.
func Run(ctx context.Context, cfg Config) (err error) {
	p, err := pipeline.Open(ctx, pipeline.Options{Service: Name, Common: cfg.Common, NATS: cfg.NATS, Host: cfg.Host})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	tel := p.Telemetry()

	// One connection for the readiness check, which must not wait for the writers.
	pool, err := postgres.Open(ctx, cfg.Database, postgres.Options{Name: Name, MaxConns: int32(min(cfg.Writers, 64)) + 1}) //nolint:gosec // bounded
	if err != nil {
		return err
	}
	defer pool.Close()
	schema := func(ctx context.Context) error { return postgres.CheckSchema(ctx, pool) }
	tel.Health.Add("postgres", schema)

	metrics, err := newMetrics(tel.Metrics, tel.Log)
	if err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	kept, err := keepMedia(ctx, cfg, tel)
	if err != nil {
		return err
	}
	defer kept.close()
	batcher := store.NewBatcher(store.New(pool, store.Hooks{Retried: metrics.Retried, Media: kept.wake()}), store.Options{Rows: cfg.Batch, Writers: cfg.Writers, Wait: cfg.Flush}, metrics)
	defer batcher.Close()
	if err := metrics.watch(tel.Metrics, batcher.Gathering); err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	if err := subscribe(p, cfg, batcher); err != nil { //nolint:contextcheck // each message brings its own context
		return err
	}

	group := run.NewGroup(ctx)
	group.Go("archive", func(ctx context.Context) error {
		defer context.AfterFunc(ctx, batcher.Leave)()
		if !awaitSchema(ctx, schema, tel.Log) {
			return nil
		}
		return p.Run(ctx)
	})
	if kept != nil {
		group.Go("media", func(ctx context.Context) error {
			if !awaitSchema(ctx, schema, slog.New(slog.DiscardHandler)) {
				return nil
			}
			return kept.keeper.Run(ctx)
		})
	}
	return group.Wait()
}
