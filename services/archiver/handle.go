package archiver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/envelope"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/services/archiver/internal/record"
	"github.com/parley-dm/parley/services/archiver/internal/store"
)

// schemaPoll is how often an older schema, or a database that is away, is looked at again.
const schemaPoll = time.Second

// archive stores facts and returns when they are committed.
type archive interface {
	Add(facts record.Facts) error
}

// subscribe registers the three handlers.
func subscribe(p *pipeline.Pipeline, cfg Config, a archive) error {
	consume := pipeline.Consume{Shared: true, MaxInFlight: cfg.MaxInFlight}
	return errors.Join(
		p.HandleEvents("events", consume, func(_ context.Context, e envelope.Envelope[dm.Event]) ([]pipeline.Outgoing, error) {
			return nil, keep(a, e.ID, record.FromEvent(&e.Data))
		}),
		p.HandleIntents("intents", consume, func(_ context.Context, e envelope.Envelope[dm.ReplyIntent]) ([]pipeline.Outgoing, error) {
			return nil, keep(a, e.ID, record.FromIntent(&e.Data))
		}),
		p.HandleDeliveries("deliveries", consume, func(_ context.Context, e envelope.Envelope[dm.Delivery]) ([]pipeline.Outgoing, error) {
			return nil, keep(a, e.ID, record.FromDelivery(&e.Data))
		}),
	)
}

// keep stores facts and classifies what went wrong: only a message that PostgreSQL refuses for itself is given up. All
// else is the database's state: the archive waits it out, and ends the wait when a stop begins. The handler keeps its slot
// meanwhile, and is not bound by the time of one attempt: what cannot be written is not to be fetched in numbers.
func keep(a archive, id string, facts record.Facts) error {
	err := a.Add(facts)
	var poison *store.PoisonError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &poison):
		return bus.Permanent(fmt.Errorf("archive %s: %w", id, err))
	default:
		return bus.WhileAway(fmt.Errorf("archive %s: %w", id, err))
	}
}

// awaitSchema waits until the database is there with a current schema, and says what it waits for. It is false when the
// context ended first.
func awaitSchema(ctx context.Context, check telemetry.Check, log *slog.Logger) bool {
	tick := time.NewTicker(schemaPoll)
	defer tick.Stop()
	said := ""
	for {
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := check(attempt)
		cancel()
		if err == nil {
			if said != "" {
				log.Info("schema.current")
			}
			return true
		}
		if ctx.Err() == nil && err.Error() != said {
			log.Warn("schema.waiting", telemetry.KeyError, err)
			said = err.Error()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
}
