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

	mu      sync.Mutex
	known   map[uint64]struct{}
	ring    []uint64
	next    int
	waiters map[uint64]chan struct{}
}

func newIndex(size int) *index {
	return &index{seed: maphash.MakeSeed(), known: map[uint64]struct{}{}, ring: make([]uint64, 0, size), waiters: map[uint64]chan struct{}{}}
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

func (x *index) add(key uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, there := x.known[key]; there {
		return
	}
	if len(x.ring) < cap(x.ring) {
		x.ring = append(x.ring, key)
	} else {
		delete(x.known, x.ring[x.next])
		x.ring[x.next] = key
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
