package fence

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/services/ingress/internal/spool"
)

// teller tells others what the spool holds; it belongs to one goroutine.
type teller struct {
	f      *Fence
	bucket Bucket
	// toldAt and toldIn are when, and in which epoch, others were last told; nothing: that it holds nothing.
	toldAt  time.Time
	toldIn  uint64
	nothing bool
	waiting bool // that it waits for somebody is in the log
}

// turn does what is to be done now, and says how long there will be nothing.
func (t *teller) turn(ctx context.Context) time.Duration {
	if !t.f.pulse.alive(t.f.o.Connected()) {
		t.release(t.f.wanted.Load())
		return soon
	}
	epoch, want := t.f.pulse.epoch.Load(), t.f.wanted.Load()
	t.tell(ctx, epoch)
	t.release(want)
	switch {
	case t.f.settled.Load() != epoch && !t.settle(epoch):
		return soon
	case t.nothing:
		return t.f.o.DeadAfter / 2
	default:
		return min(heartbeat, t.f.o.DeadAfter/4)
	}
}

// settle opens the fence when what others hold is known. At the start of a replica that holds nothing that is as soon as the bucket
// was read: there was no outage that it could have shared with others.
func (t *teller) settle(epoch uint64) bool {
	f := t.f
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.watched != f.pulse.losses.Load()+1 || t.toldIn != epoch {
		return false
	}
	if epoch > 1 || !t.nothing {
		if time.Since(f.pulse.back()) < f.o.Settle || epoch > 1 && t.missesLocked() {
			return false
		}
	}
	t.waiting = false
	f.settled.Store(epoch)
	f.tellChangedLocked()
	return true
}

// missesLocked says whether another has told nothing since the outage, and may yet. What was told before it is recognised by the
// bus's clock: it is older than our own last telling by more than the outage and what has passed since.
func (t *teller) missesLocked() bool {
	f := t.f
	if f.own.IsZero() {
		return true
	}
	began := f.own.Add(-time.Since(f.pulse.outage()))
	for name, o := range f.others {
		if o.created.Before(began) && f.silentFor(o) < f.o.DeadAfter {
			if !t.waiting && time.Since(f.pulse.back()) > 2*f.o.Settle {
				t.waiting = true
				f.o.Log.Warn("fence.waiting", "replica", name, "meaning", "it has not come back from the outage, and its spool may hold what has to go first")
			}
			return true
		}
	}
	return false
}

// tell writes what the spool holds, or that it holds nothing, which is said again only now and then.
func (t *teller) tell(ctx context.Context, epoch uint64) {
	held := t.f.o.Held()
	nothing := len(held.Lanes) == 0
	if nothing && t.nothing && t.toldIn == epoch && time.Since(t.toldAt) < t.f.o.DeadAfter/3 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, tellWithin)
	defer cancel()
	_, err := t.bucket.Put(ctx, t.f.o.Name, encode(held))
	if err == nil {
		t.toldAt, t.toldIn, t.nothing = time.Now(), epoch, nothing
	} else {
		t.nothing = false // who knows what is there
	}
	if failed := err != nil; t.f.deaf.Swap(failed) != failed && failed {
		t.f.o.Log.Warn("fence.tell", telemetry.KeyError, err)
	}
}

// leave takes the replica's name away when it ends with an empty spool: nobody need wait for it.
func (t *teller) leave(ctx context.Context) {
	if len(t.f.o.Held().Lanes) > 0 || !t.f.pulse.alive(t.f.o.Connected()) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellWithin)
	defer cancel()
	if err := t.bucket.Delete(ctx, t.f.o.Name); err != nil {
		t.f.o.Log.Warn("fence.leave", telemetry.KeyError, err)
	}
}

// release lets those go who wanted others to be told.
func (t *teller) release(want uint64) {
	t.f.mu.Lock()
	defer t.f.mu.Unlock()
	if t.f.told < want {
		t.f.told = want
		t.f.tellChangedLocked()
	}
}

// laneSet is a set of lanes.
type laneSet [spool.Lanes / 64]uint64

func (s *laneSet) add(lanes []uint16) {
	for _, l := range lanes {
		s[l/64] |= 1 << (l % 64)
	}
}

func (s *laneSet) any(lanes []uint16) bool {
	for _, l := range lanes {
		if s[l/64]&(1<<(l%64)) != 0 {
			return true
		}
	}
	return false
}

// heldVersion begins a value: then come the time of the oldest, in nanoseconds since 1970, and the lanes, two bytes each.
const heldVersion = 1

func encode(h spool.Held) []byte {
	b := make([]byte, 0, 1+8+2*len(h.Lanes))
	b = append(b, heldVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(h.Oldest.UnixNano()))
	for _, l := range h.Lanes {
		b = binary.BigEndian.AppendUint16(b, l)
	}
	return b
}

func decode(b []byte) (spool.Held, error) {
	if len(b) < 9 || len(b)%2 == 0 {
		return spool.Held{}, errors.New("expected a version, a time and lanes of two bytes")
	}
	if b[0] != heldVersion {
		return spool.Held{}, fmt.Errorf("version: got %d, expected %d", b[0], heldVersion)
	}
	h := spool.Held{Oldest: time.Unix(0, int64(binary.BigEndian.Uint64(b[1:])))} //nolint:gosec // its bits
	for at := 9; at < len(b); at += 2 {
		h.Lanes = append(h.Lanes, binary.BigEndian.Uint16(b[at:]))
	}
	return h, nil
}
