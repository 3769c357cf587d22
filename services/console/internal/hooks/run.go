package hooks

import (
	"context"
	"errors"
	"time"

	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/pkg/telemetry"
)

// Service is what the consumers are named after.
const Service = "webhooks"

// look for a first webhook this often, beside being told of one.
const lookFirst = 10 * time.Second

// Follow hears of what happens, from when there is a first webhook on: an installation without one pays nothing for them. A
// pipeline of its own, so that it begins then.
func (h *Hooks) Follow(ctx context.Context, o pipeline.Options) (err error) {
	if !h.awaitFirst(ctx) {
		return nil
	}
	o.Service = Service
	p, err := pipeline.Open(ctx, o)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	if err := h.Handle(p); err != nil { //nolint:contextcheck // each message brings its own context
		return err
	}
	return p.Run(ctx)
}

// awaitFirst waits for a webhook. It is false when ctx ended first.
func (h *Hooks) awaitFirst(ctx context.Context) bool {
	tick := time.NewTicker(lookFirst)
	defer tick.Stop()
	for {
		found, err := h.webhooks(ctx)
		switch {
		case ctx.Err() != nil:
			return false
		case err != nil:
			h.o.Log.DebugContext(ctx, "webhooks.not_read_yet", telemetry.KeyError, err)
		case len(found) > 0:
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-h.first:
		case <-tick.C:
		}
	}
}
