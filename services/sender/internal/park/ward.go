package park

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/telemetry"
)

// maxRounds bounds the queues that are being emptied at once: one account's slowness takes one place of them.
const maxRounds = 32

// How often the stream is asked what is parked: what came there otherwise than by us is found then. countTimeout bounds the
// question; it is asked before a partition's first message.
const (
	recount      = 30 * time.Second
	countTimeout = 5 * time.Second
)

// ward is one partition that is ours: it decides when which of its queues is looked at.
type ward struct {
	l         *Lot
	ctx       context.Context // of the partition
	partition int
	wake      chan struct{}
	rounds    sync.WaitGroup

	// Guarded by Lot.mu. waiting are the intents that the handler has sent back to their lanes, by queue.
	closed  bool
	waiting map[string]map[string]struct{}
}

func (w *ward) nudge() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Tend takes care of a partition that has become ours: what is parked there is known before anything new is handled. The
// work that it returns empties the queues.
func (l *Lot) Tend(ctx context.Context, partition int) (work func(), err error) {
	w := &ward{l: l, ctx: ctx, partition: partition, wake: make(chan struct{}, 1), waiting: map[string]map[string]struct{}{}}
	counts, err := w.ask(ctx)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wards[partition] = w
	w.found(counts)
	return w.run, nil
}

// Owns says whether a partition is ours.
func (l *Lot) Owns(partition int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.wards[partition]
	return w != nil && !w.closed
}

func (w *ward) ask(ctx context.Context) (map[string]uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, countTimeout)
	defer cancel()
	return w.l.in.Count(ctx, w.partition)
}

// found opens the queues that the stream has and we do not, and corrects what we think is in the others.
func (w *ward) found(counts map[string]uint64) {
	for subject, n := range counts {
		q := w.l.queues[subject]
		if q == nil && n > 0 {
			account := subject[strings.LastIndexByte(subject, '.')+1:]
			q = w.l.openLocked(w, subject, account, n)
			w.l.o.Log.Info("account.parked", telemetry.KeyAccount, account, "parked", n, "reason", "found parked")
		}
		if q != nil && q.putting == 0 {
			q.depth = n
		}
	}
}

// run looks at the queues whose time has come, until the partition is given up.
func (w *ward) run() {
	defer w.close()
	counting := time.NewTicker(recount)
	defer counting.Stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var changed <-chan struct{}
		if w.l.o.Changed != nil {
			changed = w.l.o.Changed() // taken before looking, so that nothing is missed
		}
		timer.Reset(time.Until(w.look()))
		select {
		case <-bus.Draining(w.ctx):
			return
		case <-w.ctx.Done():
			return
		case <-changed:
			w.hurry()
		case <-counting.C:
			w.recount()
		case <-w.wake:
		case <-timer.C:
		}
	}
}

// look begins a round for each queue whose time has come, as far as there are places, and says when to look again.
func (w *ward) look() time.Time {
	w.l.mu.Lock()
	defer w.l.mu.Unlock()
	now := time.Now()
	again := now.Add(time.Minute)
	for _, q := range w.l.queues {
		switch {
		case q.ward != w || q.busy:
		case q.next.After(now):
			if q.next.Before(again) {
				again = q.next
			}
		default:
			select {
			case w.l.rounds <- struct{}{}:
				q.busy = true
				w.rounds.Go(func() { w.round(q) })
			default: // all are taken: there is no hurry for who has waited for so long
				again = now.Add(20 * time.Millisecond)
			}
		}
	}
	return again
}

// Hurry has every queue looked at now: somebody ended a pause.
func (l *Lot) Hurry() {
	l.mu.Lock()
	wards := slices.Collect(maps.Values(l.wards))
	l.mu.Unlock()
	for _, w := range wards {
		w.hurry()
		w.nudge()
	}
}

// hurry has the ward's queues looked at now: a new token may have come.
func (w *ward) hurry() {
	w.l.mu.Lock()
	defer w.l.mu.Unlock()
	for _, q := range w.l.queues {
		if q.ward == w {
			q.next = time.Time{}
		}
	}
}

func (w *ward) recount() {
	counts, err := w.ask(w.ctx)
	if err != nil {
		w.l.o.Log.WarnContext(w.ctx, "park.count", "partition", w.partition, telemetry.KeyError, err)
		return
	}
	w.l.mu.Lock()
	defer w.l.mu.Unlock()
	w.found(counts)
}

// round empties a queue as far as it goes now.
func (w *ward) round(q *queue) {
	next, err := w.l.empty(w.ctx, q)
	<-w.l.rounds
	closed := false
	if err == nil && next.IsZero() {
		closed, err = w.l.close(w.ctx, q)
		next = time.Now().Add(minDelay)
	}
	if err != nil && !stopping(w.ctx) {
		w.l.o.Log.WarnContext(w.ctx, "park.round", telemetry.KeyAccount, q.account, telemetry.KeyError, fmt.Errorf("queue %s: %w", q.subject, err))
		next = time.Now().Add(time.Second)
	}
	w.l.mu.Lock()
	if !closed {
		q.next, q.busy = next, false
	}
	depth := q.depth
	w.l.mu.Unlock()
	if w.l.o.Depth != nil {
		w.l.o.Depth(q.account, depth)
	}
	w.nudge()
}

// close ends a queue that is empty: its account's next intents go their usual way. The stream's leader says that it is
// empty, and nothing may have been parked since we began to ask, nor be about to be.
func (l *Lot) close(ctx context.Context, q *queue) (bool, error) {
	l.mu.Lock()
	puts, putting := q.puts, q.putting
	l.mu.Unlock()
	if putting > 0 {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, countTimeout)
	defer cancel()
	n, err := l.in.Len(ctx, q.subject)
	if err != nil {
		return false, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if q.puts != puts || q.putting > 0 {
		return false, nil
	}
	if q.depth = n; n > 0 {
		return false, nil
	}
	delete(l.queues, q.subject)
	l.count.Add(-1)
	l.o.Log.InfoContext(ctx, "account.unparked", telemetry.KeyAccount, q.account, "left", q.emptying.left, "after_ms", time.Since(q.opened).Milliseconds())
	return true, nil
}

// close gives the partition up when nothing of it runs any more. What is parked stays where it is, for the next owner.
func (w *ward) close() {
	w.l.mu.Lock()
	w.closed = true
	w.l.mu.Unlock()
	w.rounds.Wait()
	w.l.mu.Lock()
	defer w.l.mu.Unlock()
	for subject, q := range w.l.queues {
		if q.ward == w {
			delete(w.l.queues, subject)
			w.l.count.Add(-1)
		}
	}
	for _, ids := range w.waiting {
		w.l.count.Add(-int32(len(ids))) //nolint:gosec // bounded by what the subscriber holds
	}
	w.waiting = nil
	if w.l.wards[w.partition] == w {
		delete(w.l.wards, w.partition)
	}
}
