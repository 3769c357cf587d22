package pipeline

import (
	"context"
	"fmt"
	"time"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/topology"
)

// An ingress tells of its spool every ten seconds at least. One that was not heard for unheard may be cut off with webhooks in its
// spool that it could not tell of; one that was not heard for gone has died with nothing in it that anybody knows of.
const (
	unheard = 20 * time.Second
	gone    = 5 * time.Minute
)

// Spooled says whether webhooks wait in the spool of an ingress, or may: what has come, and is in no stream yet.
func (p *Pipeline) Spooled(ctx context.Context) (spooled bool, err error) {
	bucket, err := bus.OpenBucket(ctx, p.conn, topology.Spools.Name)
	if err == nil {
		err = bucket.Each(ctx, func(e bus.Entry) error {
			spooled = spooled || mayHold(e.Value, time.Since(e.Created))
			return nil
		})
	}
	if err != nil {
		return false, fmt.Errorf("look for what waits in spools: %w", err)
	}
	return spooled, nil
}

// mayHold says whether webhooks may wait in a spool, by what its ingress told last, and how long ago that was.
func mayHold(told []byte, silent time.Duration) bool {
	return len(told) > topology.SpoolHeader || silent > unheard && silent < gone
}
