package store

import (
	"sync"
	"time"
)

const (
	// share is how much of the time the archive writes while it catches up.
	share = 1. / 3
	// cut is by how much its batches are smaller then: what shares its machine waits for the end of one.
	cut = 4
)

// pace is how fast an archive catches up when the database was away: one writer, small batches, and rests between. What had gathered is
// late anyway; written as fast as can be, it would take the machine from the replies that are due now, where they share one. So
// it is for as long as the database was away and no longer: a load that is more than this pace bears shall not gather for ever.
type pace struct {
	mu    sync.Mutex
	from  time.Time
	until time.Time // zero: nothing to catch up with
	turn  sync.Mutex
}

// back begins to catch up after so long.
func (p *pace) back(after time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.until.IsZero() {
		p.from = now
	}
	if until := now.Add(after); until.After(p.until) {
		p.until = until
	}
}

// catchingUp says whether the pace holds for a batch, and, once, after how long it does no more: since one was not full, which is
// that nothing more had gathered, or since its time is over.
func (p *pace) catchingUp(full bool) (slow bool, ended time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	switch {
	case p.until.IsZero():
		return false, 0
	case full && now.Before(p.until):
		return true, 0
	}
	p.until = time.Time{}
	return false, now.Sub(p.from)
}

// most is how many rows make a batch now, of so many at other times.
func (p *pace) most(rows int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.until.IsZero() {
		return rows
	}
	return max(rows/cut, 1)
}

// inTurn commits a batch, by the pace while that holds.
func (b *Batcher) inTurn(batch []*request, full bool) {
	slow, ended := b.pace.catchingUp(full)
	if ended > 0 {
		b.observer.CaughtUp(ended)
	}
	if !slow {
		b.commit(batch)
		return
	}
	b.pace.turn.Lock()
	defer b.pace.turn.Unlock()
	began := time.Now()
	b.commit(batch)
	rest := time.NewTimer(time.Duration((1/share - 1) * float64(time.Since(began))))
	defer rest.Stop()
	select {
	case <-rest.C:
	case <-b.leaving.Done():
	}
}
