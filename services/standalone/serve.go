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

// Serve runs everything but the simulator until ctx ends.
func Serve(ctx context.Context, cfg Config) (err error) {
	if err := checkPorts(ctx, cfg); err != nil {
		return err
	}
	dir, err := datadir.Open(cfg.DataDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	if _, _, err := postgres.Migrate(ctx, cfg.Archiver.Database); err != nil {
		return fmt.Errorf("DATABASE_URL: %w", err)
	}
	p, err := open(ctx, cfg, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }() //nolint:contextcheck // ctx has ended by then
	stages := append([]stage{{"announce", p.announce}}, p.services()...)
	return runStages(ctx, stages, stagesTimeout(cfg.ShutdownTimeout))
}
