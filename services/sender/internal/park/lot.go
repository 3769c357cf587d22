// Package park keeps what cannot be sent for a while out of the way of everything else: the reply intents of an account
// that is paused lie in a queue of the account's own, and the partition goes on.
//
// Order holds because a conversation's intents are handled one after another, because all of an account goes into its queue
// as long as anything is in it, and because the queue is emptied from its beginning, one conversation's intents one after
// another, by the owner of the partition alone. What two owners may do at once, when one of them has stood still, the
// ledger makes harmless: it is asked before every message, here as elsewhere.
//
// It decides neither whether an account may send, which is what it asks the handler, nor what becomes of an intent.
package park

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/envelope"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/services/sender/internal/limit"
)

// An intent is parked when its account is paused for longer than longWait, or when more than maxWaiting of its account wait
// in their lanes for whatever reason: they take the partition's room.
const (
	longWait   = 2 * time.Second
	maxWaiting = 64
)

// Queues is where parked intents lie.
type Queues interface {
	Subject(i *dm.ReplyIntent) string
	Partition(i *dm.ReplyIntent) int
	Put(ctx context.Context, e envelope.Envelope[dm.ReplyIntent]) error
	Count(ctx context.Context, partition int) (map[string]uint64, error)
	Len(ctx context.Context, subject string) (uint64, error)
	Read(ctx context.Context, subject string, most int) ([]pipeline.Parked, error)
	Handle(ctx context.Context, name string, one pipeline.Parked) error
	Remove(ctx context.Context, one pipeline.Parked) error
}

// Options says how.
type Options struct {
	// Handler names the handler, in dead letters and metrics.
	Handler string
	// MaxInFlight bounds the parked intents that are handled at once; 256 if zero.
	MaxInFlight int
	// Changed is closed when the accounts change next: whoever waits for a new token looks again. nil for never.
	Changed func() <-chan struct{}
	// Depth is told how many intents of an account are parked, whenever that has changed; nil tells nobody.
	Depth   func(account string, parked uint64)
	Log     *slog.Logger
	Metrics prometheus.Registerer
}

// Lot is a sender's side of parking. It is safe for concurrent use.
type Lot struct {
	o      Options
	in     Queues
	places chan struct{} // of parked intents that are being handled
	rounds chan struct{} // of queues that are being emptied

	metrics *metrics
	count   atomic.Int32 // of queues and of intents that wait, so that nothing parked costs nothing

	mu     sync.Mutex
	wards  map[int]*ward
	queues map[string]*queue
	// full is until when nothing is parked, because there was no room.
	full time.Time
}

// New makes a Lot and registers its metrics.
func New(in Queues, o Options) (*Lot, error) {
	if o.MaxInFlight <= 0 {
		o.MaxInFlight = 256
	}
	l := &Lot{
		o: o, in: in, places: make(chan struct{}, o.MaxInFlight), rounds: make(chan struct{}, maxRounds),
		wards: map[int]*ward{}, queues: map[string]*queue{},
	}
	var err error
	l.metrics, err = newMetrics(o.Metrics, l)
	return l, err
}

// queue is what is parked of one account. It exists as long as anything is, or may be.
type queue struct {
	subject, account string
	ward             *ward
	// Guarded by Lot.mu: how many are just being parked, how many ever were, how many lie there as far as is known.
	putting int
	puts    uint64
	depth   uint64
	// opened is when it was begun, oldest when its first intent was parked.
	opened, oldest time.Time
	next           time.Time // when to look at it again
	busy           bool

	emptying emptying // belongs to whoever made it busy
}

// Handle is what a lane does with an intent: it goes to the queue when something of its account is there, and else to the
// handler, and to the queue when that would have it wait for long.
func (l *Lot) Handle(deliver pipeline.Handler[dm.ReplyIntent]) pipeline.Handler[dm.ReplyIntent] {
	return func(ctx context.Context, e envelope.Envelope[dm.ReplyIntent]) ([]pipeline.Outgoing, error) {
		// In this order: a ward that closes takes its queues away only when its partition drains.
		if l.count.Load() > 0 {
			switch q, ours := l.join(&e.Data); {
			case !ours:
				return nil, limit.ErrStopped
			case q != nil:
				return nil, l.put(ctx, q, e)
			}
		} else if stopping(ctx) {
			return nil, limit.ErrStopped
		}
		out, err := deliver(ctx, e)
		class, at := bus.Classify(err)
		switch {
		case err == nil || class != bus.Deferred:
			if l.count.Load() > 0 {
				l.forget(&e.Data)
			}
			return out, err
		case stopping(ctx):
			return out, err
		}
		long := errors.Is(err, limit.ErrPaused) && time.Until(at) > longWait
		if !l.wait(&e.Data) && !long {
			return out, err
		}
		q := l.open(ctx, &e.Data, at, err)
		if q == nil {
			return out, err
		}
		return nil, l.put(ctx, q, e)
	}
}

// join finds the queue of an account that has something parked, and announces one more. It does not know what is parked
// in a partition that is being given up.
func (l *Lot) join(i *dm.ReplyIntent) (q *queue, ours bool) {
	subject := l.in.Subject(i)
	l.mu.Lock()
	defer l.mu.Unlock()
	if w := l.wards[l.in.Partition(i)]; w == nil || w.closed {
		return nil, false
	}
	if q = l.queues[subject]; q != nil {
		q.putting++
		l.forgetLocked(q.ward, subject, i.ID)
	}
	return q, true
}

// wait notes that an intent waits in its lane, and says whether too many of its account do.
func (l *Lot) wait(i *dm.ReplyIntent) (tooMany bool) {
	subject := l.in.Subject(i)
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.wards[l.in.Partition(i)]
	if w == nil {
		return false
	}
	ids := w.waiting[subject]
	if ids == nil {
		ids = map[string]struct{}{}
		w.waiting[subject] = ids
	}
	if _, known := ids[i.ID]; !known {
		ids[i.ID] = struct{}{}
		l.count.Add(1)
	}
	return len(ids) > maxWaiting
}

// forget notes that an intent waits no longer.
func (l *Lot) forget(i *dm.ReplyIntent) {
	subject := l.in.Subject(i)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forgetLocked(l.wards[l.in.Partition(i)], subject, i.ID)
}

func (l *Lot) forgetLocked(w *ward, subject, id string) {
	if w == nil {
		return
	}
	ids := w.waiting[subject]
	if _, known := ids[id]; !known {
		return
	}
	l.count.Add(-1)
	if delete(ids, id); len(ids) == 0 {
		delete(w.waiting, subject)
	}
}

// open begins an account's queue, or finds it begun, and announces one intent. nil when the partition is not ours, or when
// there was no room a moment ago.
func (l *Lot) open(ctx context.Context, i *dm.ReplyIntent, at time.Time, why error) *queue {
	subject := l.in.Subject(i)
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.wards[l.in.Partition(i)]
	now := time.Now()
	if w == nil || w.closed || now.Before(l.full) {
		return nil
	}
	q := l.queues[subject]
	if q == nil {
		q = l.openLocked(w, subject, i.Account, 0)
		q.next = at
		l.o.Log.WarnContext(ctx, "account.parked", telemetry.KeyAccount, i.Account, "until", at.UTC().Format(time.RFC3339), "reason", why.Error())
	}
	q.putting++
	l.forgetLocked(w, subject, i.ID)
	return q
}

func (l *Lot) openLocked(w *ward, subject, account string, depth uint64) *queue {
	now := time.Now()
	q := &queue{subject: subject, account: account, ward: w, depth: depth, opened: now, oldest: now, next: now, emptying: emptying{window: 1}}
	l.queues[subject] = q
	l.count.Add(1)
	w.nudge()
	return q
}

// fullPause is how long nothing is parked after there was no room: each attempt takes a handler's time.
const fullPause = 5 * time.Second

// put parks an intent. When it fails the lane keeps the intent and tries again; the queue stays until it is known to be
// empty.
func (l *Lot) put(ctx context.Context, q *queue, e envelope.Envelope[dm.ReplyIntent]) error {
	l.mu.Lock()
	full := l.full
	l.mu.Unlock()
	err := bus.DeferUntil(errFull, full)
	if !time.Now().Before(full) {
		err = l.in.Put(ctx, e)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	q.putting--
	q.puts++
	switch {
	case err == nil:
		q.depth++
		l.metrics.parked.Inc()
	case errors.Is(err, bus.ErrUnavailable) && !time.Now().Before(l.full):
		l.full = time.Now().Add(fullPause)
		l.metrics.refused.Inc()
		l.o.Log.ErrorContext(ctx, "park.refused", telemetry.KeyAccount, q.account, telemetry.KeyError, err,
			"what_to_do", "the stream of parked intents is full, or the bus is away: see bus_stream_fill_ratio; the intents wait in their lanes meanwhile")
	}
	return err
}

// errFull is why an intent waits that should be parked.
var errFull = errors.New("there was no room to park a moment ago")

func stopping(ctx context.Context) bool {
	select {
	case <-bus.Draining(ctx):
		return true
	default:
		return ctx.Err() != nil
	}
}
