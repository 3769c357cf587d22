// Package media keeps the attachments of messages before Meta's links to them expire.
//
// The archive notes what there is to fetch in the transaction that writes the message, and what is to be removed in the one that
// erases it. This package does both beside the archive, which never waits for it: any number of archivers share the work, one
// that dies is followed by another, and a file is there whole or not at all.
//
// It asks only addresses that anybody may ask, believes nothing of what a server says of a file, and shows none to anybody.
package media

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dm/parley/pkg/mediastore"
	"github.com/parley-dm/parley/pkg/telemetry"
)

// The bounds of the work. A claim outlasts whatever an attempt may still be doing: what was claimed is free for others then, and
// what was to be removed meanwhile is removed then.
const (
	attemptTimeout = 2 * time.Minute
	claimTime      = 5 * time.Minute
	databaseTime   = 10 * time.Second
	// parting is how long an attempt may go on when a stop has begun.
	parting = 3 * time.Second
	// look is how often the table is looked at without a reason, and again when something was in the way.
	look  = 2 * time.Second
	again = 5 * time.Second
	// recount is how often it is counted what waits.
	recount = 15 * time.Second
	// reopen is how often a store that cannot be used is tried.
	reopen = 30 * time.Second
)

// The bounds of trying: what a server refuses, so often; everything else for so long, which is less than Meta's links live.
const (
	refusedTries = 4
	giveUp       = 72 * time.Hour
)

// pauses are between one attempt and the next; the last one repeats.
var pauses = []time.Duration{10 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour}

// Deps is what a Keeper works with.
type Deps struct {
	// Pool is its own: the archive must not wait for a connection.
	Pool *pgxpool.Pool
	// Open opens the store; it is tried until it succeeds.
	Open    func() (mediastore.Store, error)
	Fetcher *Fetcher
	Log     *slog.Logger
	Metrics prometheus.Registerer
}

// Options says how.
type Options struct {
	// Workers is how many files are fetched at once.
	Workers int
	// Pauses are between one attempt and the next; those of this package if nil.
	Pauses []time.Duration
}

// Keeper fetches and removes.
type Keeper struct {
	d       Deps
	o       Options
	store   mediastore.Store
	wake    chan struct{}
	counted time.Time
	metrics metrics
}

// New makes a Keeper. [Keeper.Run] does the work.
func New(d Deps, o Options) (*Keeper, error) {
	if o.Pauses == nil {
		o.Pauses = pauses
	}
	k := &Keeper{d: d, o: o, wake: make(chan struct{}, max(o.Workers, 1))}
	return k, k.metrics.register(d.Metrics)
}

// Wake says that there is something to fetch. It takes no time.
func (k *Keeper) Wake() {
	select {
	case k.wake <- struct{}{}:
	default: // all are awake
	}
}

// Run works until ctx ends. It never fails: what is in the way is told and waited for.
func (k *Keeper) Run(ctx context.Context) error {
	if !k.open(ctx) {
		return nil
	}
	defer func() { _ = k.store.Close() }()
	var group sync.WaitGroup
	for range k.o.Workers {
		group.Go(func() { k.each(ctx, k.wake, k.fetchNext) })
	}
	group.Go(func() { k.each(ctx, nil, k.removeNext) })
	group.Wait()
	return nil
}

func (k *Keeper) open(ctx context.Context) bool {
	said := ""
	for ctx.Err() == nil {
		store, err := k.d.Open()
		if err == nil {
			k.store = store
			return true
		}
		if err.Error() != said {
			said = err.Error()
			k.d.Log.ErrorContext(ctx, "media.no_store", telemetry.KeyError, err)
		}
		pause(ctx, nil, reopen)
	}
	return false
}

// each calls next until ctx ends: at once while there is more, else when it is woken or after a while.
func (k *Keeper) each(ctx context.Context, wake <-chan struct{}, next func(context.Context) (more bool, err error)) {
	said := ""
	for ctx.Err() == nil {
		more, err := next(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			if err.Error() != said {
				said = err.Error()
				k.d.Log.WarnContext(ctx, "media.waiting", telemetry.KeyError, err)
			}
			pause(ctx, nil, again)
		case !more:
			pause(ctx, wake, look)
		}
		if err == nil {
			said = ""
		}
	}
}

// fetchNext fetches what is due next, and says whether there may be more.
func (k *Keeper) fetchNext(ctx context.Context) (bool, error) {
	j, ok, err := k.claim(ctx)
	if err != nil || !ok {
		return false, err
	}
	began := time.Now()
	// What has begun does not end with ctx, but with its own time, or a moment after ctx.
	work, cancel := context.WithTimeout(context.WithoutCancel(ctx), attemptTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, func() { //nolint:revive // the stop function is what is deferred
		pause(work, nil, parting)
		cancel()
	})()
	info, err := k.attempt(work, &j)
	outcome, reason := k.finish(ctx, &j, info, err)
	k.metrics.attempts.WithLabelValues(outcome).Inc()
	k.metrics.took.Observe(time.Since(began).Seconds())
	level := slog.LevelInfo
	if outcome == outcomeFailed {
		level = slog.LevelWarn
	}
	k.d.Log.Log(ctx, level, "media.attempted", telemetry.KeyAccount, j.Account, "position", j.Position, telemetry.KeyOutcome, outcome, "reason", reason,
		"content_type", info.ContentType, "bytes", info.Bytes, telemetry.KeyAttempt, j.Attempts, telemetry.KeyDuration, time.Since(began).Milliseconds())
	return true, nil
}

// attempt fetches a file and keeps it.
func (k *Keeper) attempt(ctx context.Context, j *job) (mediastore.Info, error) {
	if j.URL == "" {
		return mediastore.Info{}, never("its message has no such attachment any more")
	}
	draft, err := k.store.Draft()
	if err != nil {
		return mediastore.Info{}, fmt.Errorf("begin a file: %w", err)
	}
	defer draft.Discard()
	info, err := k.d.Fetcher.Fetch(ctx, j.URL, draft.File)
	if err != nil {
		return mediastore.Info{}, err
	}
	if err := k.store.Keep(ctx, draft, j.Key, info); err != nil {
		return mediastore.Info{}, fmt.Errorf("keep a file: %w", err)
	}
	return info, nil
}

// The outcomes of an attempt.
const (
	outcomeStored   = "stored"
	outcomeAgain    = "again"
	outcomeFailed   = "failed"
	outcomeGone     = "gone" // it was erased, or is somebody else's by now
	outcomeReleased = "released"
	outcomeUnnoted  = "unnoted" // the database is away: somebody does it again
)

// finish notes what came of an attempt.
func (k *Keeper) finish(ctx context.Context, j *job, info mediastore.Info, err error) (outcome, reason string) {
	noting, cancel := context.WithTimeout(context.WithoutCancel(ctx), databaseTime)
	defer cancel()
	var noted bool
	var failed error
	switch {
	case err == nil:
		outcome = outcomeStored
		noted, failed = k.stored(noting, j, info)
		k.metrics.bytes.Add(float64(info.Bytes))
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		outcome = outcomeReleased
		noted, failed = k.release(noting, j)
	default:
		var tries int
		reason, tries = judge(err)
		if tries > 0 && j.Attempts >= tries || time.Since(j.Created) > giveUp {
			outcome = outcomeFailed
			noted, failed = k.failed(noting, j, reason)
		} else {
			outcome = outcomeAgain
			noted, failed = k.later(noting, j, reason, k.o.Pauses[min(j.Attempts, len(k.o.Pauses))-1])
		}
	}
	switch {
	case failed != nil:
		k.d.Log.WarnContext(ctx, "media.waiting", telemetry.KeyError, failed)
		return outcomeUnnoted, reason
	case !noted:
		return outcomeGone, reason
	}
	return outcome, reason
}

// removeNext removes what is due next, and says whether there may be more.
func (k *Keeper) removeNext(ctx context.Context) (bool, error) {
	asking, cancel := context.WithTimeout(ctx, databaseTime)
	defer cancel()
	if err := k.count(asking); err != nil {
		return false, err
	}
	r, ok, err := k.claimRemoval(asking)
	if err != nil || !ok {
		return false, err
	}
	removing, cancelRemoving := context.WithTimeout(context.WithoutCancel(ctx), attemptTimeout)
	defer cancelRemoving()
	err = k.store.Remove(removing, r.Key)
	if err == nil {
		err = k.removed(removing, r)
	}
	if err != nil {
		return false, fmt.Errorf("remove a file: %w", err) // it is claimed: the next one is tried meanwhile
	}
	k.metrics.removed.Inc()
	k.d.Log.InfoContext(ctx, "media.removed", "key", r.Key)
	return true, nil
}

// pause waits, unless it is woken.
func pause(ctx context.Context, wake <-chan struct{}, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-wake:
	case <-timer.C:
	}
}
