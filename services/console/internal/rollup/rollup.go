// Package rollup counts messages by five minutes, and sums those by the hour and the day, so that the page of analytics is quick
// whatever their number, and so that counting costs little whatever their number: what was counted is not counted again at once.
//
// What goes on is counted once a minute. What is over may still change, because rows arrive late, are sent late and fail late: it is
// counted again after half of its age, until it is a day old, so that a row that is late by an hour is in the sums half an hour
// later. What was never counted, after an installation or a long absence, is caught up with from the oldest message on.
package rollup

import (
	"context"
	"log/slog"
	"time"

	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/services/console/internal/store"
)

// Store counts.
type Store interface {
	RolledUpUntil(ctx context.Context) (time.Time, error)
	Stale(ctx context.Context, from, began, now time.Time) ([]store.Stretch, error)
	RollUp(ctx context.Context, at store.Stretch, now time.Time) (counted bool, err error)
	ForgetSlices(ctx context.Context, before time.Time) error
}

const (
	every = time.Minute
	// late is how late a row may be and still be counted: 26 hours, and the half of it that may pass before what was counted then is
	// counted again.
	late = 39 * time.Hour
	// kept is for how long the parts of an hour are kept: until none of them is counted again.
	kept = late + 2*time.Hour
	// countTimeout bounds the counting of an hour at most.
	countTimeout = 2 * time.Minute
	// oldest bounds what is caught up with.
	oldest = 400 * 24 * time.Hour
)

// Counter counts.
type Counter struct {
	store Store
	log   *slog.Logger
	now   func() time.Time
	// began is when this Counter first counted. Rows may have changed while none did, so what was counted before is counted again.
	began time.Time
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
	if c.began.IsZero() {
		c.began = now
	}
	until, err := c.store.RolledUpUntil(ctx)
	if err != nil || until.IsZero() {
		return err
	}
	from := until.Add(-late)
	if first := now.Add(-oldest); from.Before(first) {
		from = first
	}
	stale, err := c.store.Stale(ctx, from.Truncate(time.Hour), c.began, now)
	if err != nil {
		return err
	}
	for _, at := range stale {
		counted, err := c.one(ctx, at)
		if err != nil || !counted {
			return err // another console counts, or the database is away
		}
	}
	return c.store.ForgetSlices(ctx, now.Add(-kept).Truncate(time.Hour))
}

// one counts a stretch, and rests for as long as that took: what there is to catch up with takes half of one of the database's
// processors at most.
func (c *Counter) one(ctx context.Context, at store.Stretch) (counted bool, err error) {
	began := time.Now()
	counting, cancel := context.WithTimeout(ctx, countTimeout)
	defer cancel()
	if counted, err = c.store.RollUp(counting, at, c.now().UTC()); err != nil || !counted {
		return counted, err
	}
	select {
	case <-ctx.Done():
		return false, ctx.Err()
	case <-time.After(time.Since(began)):
		return true, nil
	}
}
