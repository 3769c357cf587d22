// Package standalone is all of Parley in one process: the services, a NATS server unless there is one, and for the demo
// also PostgreSQL and Meta, played. It is what the binary parley runs.
//
// It decides nothing itself: it reads the settings once for all, starts the services in order and stops them in reverse.
package standalone

import (
	"context"
	"errors"
	"fmt"

	"github.com/parley-dm/parley/pkg/postgres"
	"github.com/parley-dm/parley/services/standalone/internal/datadir"
)

// Serve runs everything but the simulator until ctx ends. PostgreSQL, and a NATS server that is not ours, may be away when
// it starts: webhooks are taken at once, and the rest begins when they come.
func Serve(ctx context.Context, cfg Config) (err error) {
	if err := checkPorts(ctx, cfg); err != nil {
		return err
	}
	dir, err := datadir.Open(cfg.DataDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	_, _, away := postgres.Migrate(ctx, cfg.Archiver.Database)
	if away != nil && !postgres.Away(away) {
		return fmt.Errorf("DATABASE_URL: %w", away)
	}
	p, err := open(ctx, cfg, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }() //nolint:contextcheck // ctx has ended by then
	stages := []stage{{"announce", p.announce}}
	if away != nil {
		stages = append(stages, stage{"migrate", p.migrate})
	}
	stages = append(stages, p.services()...)
	return runStages(ctx, stages, stagesTimeout(cfg.ShutdownTimeout))
}
