package pipeline

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/topology"
)

// WithoutErased leaves those events out that are about a customer or a message that was erased since. It is to be asked after the
// streams were read, for what is erased is marked before it leaves them.
func (p *Pipeline) WithoutErased(ctx context.Context, events []dm.Event) ([]dm.Event, error) {
	if len(events) == 0 {
		return nil, nil
	}
	bucket, err := bus.OpenBucket(ctx, p.conn, topology.Erased.Name)
	if err != nil {
		return nil, fmt.Errorf("look for what was erased: %w", err)
	}
	kept := make([]dm.Event, 0, len(events))
	for i := range events {
		erased, err := erasedIn(ctx, bucket, &events[i])
		if err != nil {
			return nil, fmt.Errorf("look for what was erased: %w", err)
		}
		if !erased {
			kept = append(kept, events[i])
		}
	}
	return kept, nil
}

func erasedIn(ctx context.Context, bucket *bus.Bucket, e *dm.Event) (bool, error) {
	for _, id := range []string{e.Customer, e.MID} {
		mark, err := bucket.Get(ctx, hex.EncodeToString(topology.ErasedHash(e.Account, id)))
		switch {
		case errors.Is(err, bus.ErrKeyNotFound):
		case err != nil:
			return false, err
		case !e.Time.After(mark.Created): // who writes again is a customer like any other
			return true, nil
		}
	}
	return false, nil
}
