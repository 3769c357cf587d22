package takeover

import (
	"context"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// index remembers which messages are ours: the newest ones, as hashes. What it does not know may be ours all the same.
type index struct {
	seed   maphash.Seed
	behind atomic.Bool

	mu    sync.Mutex
	known map[uint64]struct{}
	ring  []remembrance
	next  int
	// from is since when all that was sent is known.
	from    time.Time
	waiters map[uint64]chan struct{}
}

// remembrance is a message of ours and when it was heard of.
type remembrance struct {
	key uint64
	at  time.Time
}

func newIndex(size int) *index {
	return &index{seed: maphash.MakeSeed(), known: map[uint64]struct{}{}, ring: make([]remembrance, 0, size), waiters: map[uint64]chan struct{}{}}
}

// key is a mid's: it is unique with its account only.
func (x *index) key(account, mid string) uint64 {
	var h maphash.Hash
	h.SetSeed(x.seed)
	_, _ = h.WriteString(account)
	_ = h.WriteByte(0)
	_, _ = h.WriteString(mid)
	return h.Sum64()
}

// began says that what was sent since a time is being heard of, and that some of what was sent before may have been missed.
func (x *index) began(from time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.from = from
}

// reaches is since when all that was sent is known, but for what is behind.
func (x *index) reaches() time.Time {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.from
}

func (x *index) add(key uint64, at time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, there := x.known[key]; there {
		return
	}
	if len(x.ring) < cap(x.ring) {
		x.ring = append(x.ring, remembrance{key, at})
	} else {
		gone := x.ring[x.next]
		delete(x.known, gone.key)
		if gone.at.After(x.from) {
			x.from = gone.at
		}
		x.ring[x.next] = remembrance{key, at}
		x.next = (x.next + 1) % len(x.ring)
	}
	x.known[key] = struct{}{}
	if w, ok := x.waiters[key]; ok {
		close(w)
		delete(x.waiters, key)
	}
}

func (x *index) has(key uint64) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	_, ok := x.known[key]
	return ok
}

func (x *index) size() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.known)
}

// await waits for a key until a time is over or stop is closed, and says whether it is known.
func (x *index) await(ctx context.Context, key uint64, d time.Duration, stop <-chan struct{}) bool {
	x.mu.Lock()
	if _, ok := x.known[key]; ok {
		x.mu.Unlock()
		return true
	}
	heard, ok := x.waiters[key]
	if !ok {
		heard = make(chan struct{})
		x.waiters[key] = heard
	}
	x.mu.Unlock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-heard:
		return true
	case <-timer.C:
	case <-stop:
	case <-ctx.Done():
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.waiters[key] == heard {
		delete(x.waiters, key) // another who waits for the same echo asks again
	}
	_, known := x.known[key]
	return known
}
