package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-dm/parley/services/archiver/internal/record"
)

// ErrClosed is returned to whoever adds after Close.
var ErrClosed = errors.New("the archive is closed")

// PoisonError is a fact that PostgreSQL refuses whatever is tried. It holds no message text.
type PoisonError struct{ Err error }

func (e *PoisonError) Error() string { return "PostgreSQL refuses this: " + e.Err.Error() }

func (e *PoisonError) Unwrap() error { return e.Err }

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
}

// writer is what the batcher needs of a store.
type writer interface {
	Write(ctx context.Context, facts []record.Facts) error
}

// Batcher gathers the facts of many handlers into transactions: each handler waits until its own are committed.
type Batcher struct {
	store    writer
	o        Options
	observer Observer
	queue    chan *request
	// gather is held by the writer that fills its batch, so that the others' batches are not half empty.
	gather sync.Mutex
	// gathering counts the handlers whose facts wait for a commit.
	gathering atomic.Int64
	closed    chan struct{}
	once      sync.Once
	wg        sync.WaitGroup
}

type request struct {
	facts record.Facts
	done  chan error
}

// NewBatcher starts the writers. Close ends them.
func NewBatcher(store writer, o Options, observer Observer) *Batcher {
	b := &Batcher{store: store, o: o, observer: observer, queue: make(chan *request), closed: make(chan struct{})}
	for range o.Writers {
		b.wg.Go(b.run)
	}
	return b
}

// Add stores facts and returns when they are committed. A [PoisonError] is about these facts alone; any other error may
// be over when it is tried again. When ctx ends first the facts may be stored all the same.
func (b *Batcher) Add(ctx context.Context, facts record.Facts) error {
	r := &request{facts: facts, done: make(chan error, 1)}
	select {
	case b.queue <- r:
		b.gathering.Add(1)
		defer b.gathering.Add(-1)
	case <-b.closed:
		return ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("wait for the archive: %w", context.Cause(ctx))
	}
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("wait for the commit: %w", context.Cause(ctx))
	}
}

// Gathering is how many handlers wait for their commit.
func (b *Batcher) Gathering() int { return int(b.gathering.Load()) }

// Close finishes what was added and ends the writers.
func (b *Batcher) Close() {
	b.once.Do(func() { close(b.closed) })
	b.wg.Wait()
}

func (b *Batcher) run() {
	timer := time.NewTimer(b.o.Wait)
	defer timer.Stop()
	for {
		batch := b.next(timer)
		if batch == nil {
			return
		}
		b.commit(batch)
	}
}

// next gathers a batch; nil when closed.
func (b *Batcher) next(timer *time.Timer) []*request {
	b.gather.Lock()
	defer b.gather.Unlock()
	var first *request
	select {
	case first = <-b.queue:
	case <-b.closed:
		return nil
	}
	batch, rows := []*request{first}, first.facts.Size()
	timer.Reset(b.o.Wait)
	for rows < b.o.Rows {
		select {
		case r := <-b.queue:
			batch, rows = append(batch, r), rows+r.facts.Size()
		case <-timer.C:
			return batch
		case <-b.closed:
			return batch
		}
	}
	return batch
}

// commit writes a batch and tells each handler. It belongs to no handler's context: the others' facts are in it too.
func (b *Batcher) commit(batch []*request) {
	facts := make([]record.Facts, len(batch))
	rows := 0
	for i, r := range batch {
		facts[i], rows = r.facts, rows+r.facts.Size()
	}
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	start := time.Now()
	err := b.store.Write(ctx, facts)
	switch {
	case err == nil:
		b.observer.Committed(rows, time.Since(start))
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

// isPoison: PostgreSQL was there and refused the data themselves: wrong data (class 22), a violated constraint (23), or
// more than fits, such as a key too long for an index (54).
func isPoison(err error) bool {
	c := code(err)
	if len(c) != 5 {
		return false
	}
	switch c[:2] {
	case "22", "23", "54":
		return true
	default:
		return false
	}
}
