package archiver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/parley-dm/parley/pkg/bus"
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
	Add(facts ...record.Facts) error
}

// batchesPerTransaction is how many batches of the bus make one transaction, at least: those of the three kinds that are
// about the same messages should meet in one.
const batchesPerTransaction = 4

// subscribe registers the three handlers. They wait as long as a transaction does for more rows, and before it does: a message
// that comes alone costs the bus many times as much.
func subscribe(p *pipeline.Pipeline, cfg Config, a archive) error {
	consume := pipeline.Consume{
		Shared: true, MaxInFlight: cfg.MaxInFlight, Batch: max(min(cfg.Batch/batchesPerTransaction, cfg.MaxInFlight/batchesPerTransaction), 1), BatchWait: cfg.Flush,
	}
	return errors.Join(
		p.HandleEventBatches("events", consume, keeper(a, record.FromEvent)),
		p.HandleIntentBatches("intents", consume, keeper(a, record.FromIntent)),
		p.HandleDeliveryBatches("deliveries", consume, keeper(a, record.FromDelivery)),
	)
}

// keeper stores the facts of envelopes and classifies what went wrong: only a message that PostgreSQL refuses for itself is given up. All
// else is the database's state: the archive waits it out, and ends the wait when a stop begins. The handler keeps its slot
// meanwhile, and is not bound by the time of one attempt: what cannot be written is not to be fetched in numbers.
func keeper[T envelope.Data](a archive, factsOf func(*T) record.Facts) pipeline.BatchHandler[T] {
	return func(_ context.Context, all []envelope.Envelope[T]) error {
		if len(all) == 0 {
			return nil
		}
		facts := make([]record.Facts, len(all))
		for i := range all {
			facts[i] = factsOf(&all[i].Data)
		}
		err := a.Add(facts...)
		var poison *store.PoisonError
		switch {
		case err == nil:
			return nil
		case errors.As(err, &poison):
			return bus.Permanent(fmt.Errorf("archive %s: %w", all[0].ID, err))
		default:
			return bus.WhileAway(fmt.Errorf("archive %s: %w", all[0].ID, err))
		}
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
