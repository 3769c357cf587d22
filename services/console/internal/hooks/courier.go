package hooks

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/parley-dm/parley/pkg/signed"
	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/services/console/internal/store"
)

// The bounds of telling.
const (
	postTimeout = 10 * time.Second
	atOnce      = 8
	// claim is longer than a round of posts may take: one that died with its process is tried by another then.
	claim    = 2 * time.Minute
	look     = 2 * time.Second
	parting  = 5 * time.Second
	maxError = 300
)

// pauses are between one attempt and the next; after the last it has failed.
var pauses = []time.Duration{
	5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour,
}

// Deliver posts what waits until ctx ends.
func (h *Hooks) Deliver(ctx context.Context) error {
	client := h.reach().Client(postTimeout, atOnce)
	defer client.CloseIdleConnections()
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		more, err := h.round(ctx, client)
		if err != nil && ctx.Err() == nil {
			h.o.Log.WarnContext(ctx, "webhooks.waiting", telemetry.KeyError, err) // the database is away: the next round tries
		}
		if more && ctx.Err() == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-h.wake:
		case <-tick.C:
		}
	}
}

// round posts what is due now, and says whether there may be more.
func (h *Hooks) round(ctx context.Context, client *http.Client) (more bool, err error) {
	if ctx.Err() != nil {
		return false, nil //nolint:nilerr // it was told to stop
	}
	due, err := h.store.DueDeliveries(ctx, atOnce, claim)
	if err != nil {
		return false, err
	}
	var all sync.WaitGroup
	errs := make([]error, len(due))
	for i, d := range due {
		all.Go(func() { errs[i] = h.deliver(ctx, client, d) })
	}
	all.Wait()
	err = errors.Join(errs...)
	return len(due) == atOnce && err == nil, err
}

// deliver makes one attempt. One that has begun when a stop does has a moment to end.
func (h *Hooks) deliver(ctx context.Context, client *http.Client, d store.DueDelivery) error {
	posting, cancel := context.WithTimeout(context.WithoutCancel(ctx), postTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, func() { //nolint:revive // the stop function is what is deferred
		select {
		case <-posting.Done():
		case <-time.After(parting):
			cancel()
		}
	})()
	r := store.DeliveryResult{ID: d.ID}
	err := errOff
	if d.Active {
		r.Status, err = signed.Post(posting, client, signed.Message{URL: d.URL, Secret: d.Secret, Event: d.Event, ID: strconv.FormatInt(d.ID, 10), Body: d.Body})
	}
	if err != nil {
		r.Error = err.Error()[:min(len(err.Error()), maxError)]
		if d.Attempts <= len(pauses) && !errors.Is(err, errOff) && !errors.Is(err, signed.ErrPrivate) {
			r.Again = h.o.Now().Add(pauses[d.Attempts-1])
		}
	}
	h.o.Log.InfoContext(ctx, "webhook.attempted", "delivery", d.ID, "event", d.Event, telemetry.KeyAttempt, d.Attempts, "status", r.Status, "ok", err == nil)
	noting, cancelNoting := context.WithTimeout(context.WithoutCancel(ctx), parting)
	defer cancelNoting()
	return h.store.FinishDelivery(noting, r)
}

var errOff = errors.New("the webhook is switched off")
