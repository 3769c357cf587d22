// Package rollup counts messages hour by hour, and sums the hours day by day, so that the page of analytics is quick whatever their number.
//
// The current hour and the one before are counted once a minute; the day before once an hour, because rows arrive late, are sent late and
// fail late. What was never counted, after an installation or a long absence, is caught up with from the oldest message on.
package rollup

import (
	"context"
	"log/slog"
	"time"

	"github.com/parley-dm/parley/pkg/telemetry"
)

// Store counts.
type Store interface {
	RollUp(ctx context.Context, hour time.Time) (counted bool, err error)
	RollUpDay(ctx context.Context, day time.Time) (counted bool, err error)
	RolledUpUntil(ctx context.Context) (time.Time, error)
}

const (
	every = time.Minute
	// late is how far back an hour may still change.
	late = 26 * time.Hour
	day  = 24 * time.Hour
	// hourTimeout bounds the counting of one hour, and the summing of one day.
	hourTimeout = 2 * time.Minute
	// oldest bounds what is caught up with.
	oldest = 400 * 24 * time.Hour
)

// Counter counts.
type Counter struct {
	store Store
	log   *slog.Logger
	now   func() time.Time
	swept time.Time
}

// New makes a Counter; now is the clock.
func New(store Store, log *slog.Logger, now func() time.Time) *Counter {
	return &Counter{store: store, log: log, now: now}
}

// Run counts until ctx ends.
func (c *Counter) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		if err := c.Count(ctx); err != nil && ctx.Err() == nil {
			c.log.WarnContext(ctx, "analytics.not_counted", telemetry.KeyError, err)
		}
		timer.Reset(every)
	}
}

// Count counts what is due.
func (c *Counter) Count(ctx context.Context) error {
	now := c.now().UTC()
	until, err := c.store.RolledUpUntil(ctx)
	if err != nil || until.IsZero() {
		return err
	}
	from := until.Add(-2 * time.Hour)
	if now.Sub(c.swept) >= time.Hour {
		from = until.Add(-late)
	}
	if first := now.Add(-oldest); from.Before(first) {
		from = first
	}
	for hour := from.Truncate(time.Hour); !hour.After(now); hour = hour.Add(time.Hour) {
		counted, err := c.one(ctx, hour, c.store.RollUp)
		// A day is summed when its last hour is counted, and the one that goes on when all that is due is.
		if next := hour.Add(time.Hour); err == nil && counted && (next.After(now) || next.Equal(next.Truncate(day))) {
			counted, err = c.one(ctx, hour.Truncate(day), c.store.RollUpDay)
		}
		if err != nil || !counted {
			return err // another console counts, or the database is away
		}
	}
	if now.Sub(c.swept) >= time.Hour {
		c.swept = now
	}
	return nil
}

func (c *Counter) one(ctx context.Context, at time.Time, count func(context.Context, time.Time) (bool, error)) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, hourTimeout)
	defer cancel()
	return count(ctx, at)
}
