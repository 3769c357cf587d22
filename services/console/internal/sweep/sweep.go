// Package sweep has deleted, again and again, what is over and nobody needs any more. What that is, the store knows.
package sweep

import (
	"context"
	"log/slog"
	"time"

	"github.com/parley-dm/parley/pkg/telemetry"
)

// Store deletes some of what is over, and says whether there may be more.
type Store interface {
	Sweep(ctx context.Context) (more bool, err error)
}

// Every is how often it is looked; timeout bounds one look. The first is soon after a start.
const (
	Every   = time.Hour
	timeout = time.Minute
)

// Run has it deleted every so often, [Every] if zero, until ctx ends. While the database is away it waits for the next time.
func Run(ctx context.Context, s Store, log *slog.Logger, every time.Duration) error {
	if every <= 0 {
		every = Every
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		if err := all(ctx, s); err != nil && ctx.Err() == nil {
			log.WarnContext(ctx, "console.not_swept", telemetry.KeyError, err)
		}
		timer.Reset(every)
	}
}

func all(ctx context.Context, s Store) error {
	for more := true; more && ctx.Err() == nil; {
		var err error
		if more, err = one(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func one(ctx context.Context, s Store) (more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return s.Sweep(ctx)
}
