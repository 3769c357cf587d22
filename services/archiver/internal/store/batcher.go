package store

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/parley-dm/parley/services/archiver/internal/record"
)

// ErrClosed is returned to whoever adds after Close, and to whoever waits for a database that is away when the archive is
// left.
var ErrClosed = errors.New("the archive is closed")

const (
	// A batch that cannot be written because the database is away is tried again after so long, at first and at last.
	minAway, maxAway = 100 * time.Millisecond, 5 * time.Second
	// leaveTime is how long a transaction may go on after Leave.
	leaveTime = 5 * time.Second
	// growth bounds, in multiples of Options.Wait, how long a batch grows while another is being written.
	growth = 100
)

// Options bounds a batch.
type Options struct {
	// Rows and Wait end a batch: so many rows, or so long after its first. Writers write at once.
	Rows, Writers int
	Wait          time.Duration
}

// Observer is told what happens; its methods may be called at once.
type Observer interface {
	Committed(rows int, took time.Duration)
	Halved()
	// Away is told each time that a batch could not be written through no fault of its own, Back when one could be again, and
	// CaughtUp when what had gathered is written, or is no longer written slowly.
	Away(err error)
	Back(after time.Duration)
	CaughtUp(after time.Duration)
}

// writer is what the batcher needs of a store.
type writer interface {
	Write(ctx context.Context, facts []record.Facts) error
}

// Batcher gathers the facts of many handlers into transactions: each handler waits until its own are committed. While the
// database is away each writer holds on to its batch, the handlers wait, and nothing more is taken: what is held is bounded
// by how many handlers there are.
type Batcher struct {
	store    writer
	o        Options
	observer Observer
	queue    chan *request
	// gather is held by the writer that fills its batch, so that the others' batches are not half empty.
	gather sync.Mutex
	// busy counts the writers that write, done hears that one has finished.
	busy atomic.Int64
	done chan struct{}
	// gathering counts the facts that wait for a commit.
	gathering atomic.Int64
	pace      pace
	leaving   context.Context
	leave     context.CancelFunc
	closed    chan struct{}
	once      sync.Once
	wg        sync.WaitGroup
}

type request struct {
	facts []record.Facts
	rows  int
	done  chan error
}

// NewBatcher starts the writers. Close ends them.
func NewBatcher(store writer, o Options, observer Observer) *Batcher {
	b := &Batcher{store: store, o: o, observer: observer, queue: make(chan *request), done: make(chan struct{}, 1), closed: make(chan struct{})}
	b.leaving, b.leave = context.WithCancel(context.Background())
	for range o.Writers {
		b.wg.Go(b.run)
	}
	return b
}

// Add stores facts and returns when all of them are committed, however long the database is away. A [PoisonError] is about
// some of these facts, and none is stored. After Leave it returns an error if the database is away: the facts may be stored
// all the same.
func (b *Batcher) Add(facts ...record.Facts) error {
	r := &request{facts: facts, done: make(chan error, 1)}
	for i := range facts {
		r.rows += facts[i].Size()
	}
	select {
	case b.queue <- r:
	default:
		select {
		case b.queue <- r:
		case <-b.closed:
			return ErrClosed
		}
	}
	n := int64(len(facts))
	b.gathering.Add(n)
	defer b.gathering.Add(-n)
	return <-r.done
}

// Gathering is how many facts wait for their commit.
func (b *Batcher) Gathering() int { return int(b.gathering.Load()) }

// Leave says that a stop has begun: what can be written is, but nobody waits any more for a database that is away.
func (b *Batcher) Leave() { b.leave() }

// Close finishes what was added and ends the writers.
func (b *Batcher) Close() {
	b.Leave()
	b.once.Do(func() { close(b.closed) })
	b.wg.Wait()
}

func (b *Batcher) run() {
	timer := time.NewTimer(b.o.Wait)
	defer timer.Stop()
	for {
		batch, full := b.next(timer)
		if batch == nil {
			return
		}
		b.busy.Add(1)
		b.inTurn(batch, full)
		b.busy.Add(-1)
		select {
		case b.done <- struct{}{}:
		default:
		}
	}
}

// next gathers a batch, and says whether it is a full one; nil when closed. A batch whose time is over goes on growing while another is
// being written, which makes fewer transactions of the same rows when the database is slow.
func (b *Batcher) next(timer *time.Timer) (batch []*request, full bool) {
	b.gather.Lock()
	defer b.gather.Unlock()
	var first *request
	select {
	case first = <-b.queue:
	case <-b.closed:
		return nil, false
	}
	batch, rows := []*request{first}, first.rows
	timer.Reset(b.o.Wait)
	due := false
	for most := b.pace.most(b.o.Rows); rows < most; {
		select {
		case r := <-b.queue:
			batch, rows = append(batch, r), rows+r.rows
		case <-timer.C:
			if due || b.busy.Load() == 0 {
				return batch, false
			}
			due = true
			timer.Reset(growth * b.o.Wait)
		case <-b.done:
			if due && b.busy.Load() == 0 {
				return batch, false
			}
		case <-b.closed:
			return batch, false
		}
	}
	return batch, true
}

// commit writes a batch, for as long as that takes, and tells each handler.
func (b *Batcher) commit(batch []*request) {
	err := b.write(batch)
	switch {
	case isPoison(err) && len(batch) > 1:
		// Some fact is at fault: halve until it is alone.
		b.observer.Halved()
		b.commit(batch[:len(batch)/2])
		b.commit(batch[len(batch)/2:])
		return
	case isPoison(err):
		err = &PoisonError{Err: err}
	}
	for _, r := range batch {
		r.done <- err
	}
}

// write writes a batch again and again while the database is away. It belongs to no handler's context: the others' facts
// are in it too.
func (b *Batcher) write(batch []*request) error {
	facts := make([]record.Facts, 0, len(batch))
	rows := 0
	for _, r := range batch {
		facts, rows = append(facts, r.facts...), rows+r.rows
	}
	delays := backoff.NewExponentialBackOff()
	delays.InitialInterval, delays.MaxInterval = minAway, maxAway
	var since time.Time
	for {
		start := time.Now()
		err := b.attempt(facts)
		if err == nil || isPoison(err) {
			if !since.IsZero() {
				b.pace.back(time.Since(since))
				b.observer.Back(time.Since(since))
			}
			if err == nil {
				b.observer.Committed(rows, time.Since(start))
			}
			return err
		}
		if since.IsZero() {
			since = start
		}
		b.observer.Away(err)
		select {
		case <-time.After(delays.NextBackOff()):
		case <-b.leaving.Done():
			return errors.Join(ErrClosed, err)
		}
	}
}

// attempt is one transaction. After Leave it may take a moment yet, not as long as a server that hangs would have it.
func (b *Batcher) attempt(facts []record.Facts) error {
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	stop := context.AfterFunc(b.leaving, func() {
		timer := time.NewTimer(leaveTime)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-ctx.Done():
		}
	})
	defer stop()
	return b.store.Write(ctx, facts)
}
