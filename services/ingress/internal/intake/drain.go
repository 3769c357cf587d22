package intake

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/meta/webhook"
	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/services/ingress/internal/spool"
)

const (
	// drainBatch is how many webhooks are published at once when the bus is back.
	drainBatch = 256
	// drainTry is how long the bus has for one flight of them.
	drainTry = 5 * time.Second
	// The bounds of the time between two tries.
	firstRetry, lastRetry = 50 * time.Millisecond, time.Second
)

// Drain publishes what is in the spool, the oldest first, until ctx ends.
func (i *Intake) Drain(ctx context.Context) error {
	published := 0
	for {
		records, err := i.spool.Next(ctx, drainBatch)
		if err == nil {
			records = i.inOrder(ctx, records)
		}
		if err == nil && !i.settle(ctx, records) || ctx.Err() != nil {
			return nil //nolint:nilerr // ctx has ended: what is left is published after the next start
		}
		if err != nil { // too many open files, perhaps: nothing is lost
			i.log.Error("spool.unreadable", telemetry.KeyError, err)
			pause(ctx, lastRetry)
			continue
		}
		i.away.Store(false)
		i.spool.Done()
		i.fence.Note()
		published += len(records)
		if i.spool.Stats().Webhooks == 0 {
			i.log.Info("spool.emptied", "webhooks", published)
			published = 0
		}
	}
}

// inOrder waits until some of the records may leave, and takes those.
func (i *Intake) inOrder(ctx context.Context, records []spool.Record) []spool.Record {
	i.fence.Note() // others wait for what is first here
	for {
		n, changed := i.fence.May(records)
		if n > 0 {
			return i.spool.First(n)
		}
		timer := time.NewTimer(firstRetry)
		select {
		case <-ctx.Done():
			timer.Stop()
			return records
		case <-changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// settle publishes records, however long that takes; it is false when ctx ended first. An event that will never be taken
// is left out, and what it came in is kept for a person.
func (i *Intake) settle(ctx context.Context, records []spool.Record) bool {
	b := i.parse(records)
	err := i.insist(ctx, b)
	if class, _ := bus.Classify(err); err != nil && class == bus.Poison {
		for n := range b.events {
			one := batch{events: b.events[n : n+1], lanes: b.lanes[n : n+1], causes: b.causes[n : n+1]}
			err = i.insist(ctx, one)
			if ctx.Err() != nil {
				return false
			}
			if err != nil {
				i.refused.Inc()
				i.spool.Keep()
				i.log.Error("spool.event_refused", telemetry.KeyEvent, b.events[n].ID, telemetry.KeyRequest, b.causes[n], telemetry.KeyError, err)
			}
		}
	}
	if ctx.Err() != nil {
		return false
	}
	i.count(b.events)
	return true
}

// insist publishes a batch, flight by flight. An error is that ctx ended, or that the bus will never take it.
func (i *Intake) insist(ctx context.Context, b batch) error {
	for _, flight := range b.flights() {
		if err := i.insistOn(ctx, flight); err != nil {
			return err
		}
	}
	return nil
}

func (i *Intake) insistOn(ctx context.Context, flight batch) error {
	delays := backoff.NewExponentialBackOff()
	delays.InitialInterval, delays.MaxInterval = firstRetry, lastRetry
	told := false
	for {
		if i.bus.Joined() {
			attempt, cancel := context.WithTimeout(ctx, drainTry)
			err := send(attempt, i.bus, flight)
			cancel()
			if class, _ := bus.Classify(err); err == nil || class == bus.Poison {
				return err
			}
			if !told && ctx.Err() == nil {
				i.log.Warn("spool.waiting", "webhooks", i.spool.Stats().Webhooks, telemetry.KeyError, err)
				told = true
			}
		}
		if !pause(ctx, delays.NextBackOff()) {
			return context.Cause(ctx)
		}
	}
}

// parse takes records apart once more, with the ids that they had the first time.
func (i *Intake) parse(records []spool.Record) batch {
	var b batch
	for _, r := range records {
		events, err := webhook.Parse(r.Body, webhook.Options{ReceivedAt: r.At, Known: i.answers})
		if err != nil { // by a program that took more than this one
			i.refused.Inc()
			i.spool.Keep()
			i.log.Error("spool.webhook_refused", telemetry.KeyRequest, r.Request, telemetry.KeyError, err)
			continue
		}
		lanes, _ := lanesOf(events)
		for n := range events {
			b.add(events[n], lanes[n], r.Request)
		}
	}
	return b
}

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
