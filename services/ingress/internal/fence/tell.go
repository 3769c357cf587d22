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
	// losses and back are of the connection that there is: how often one was lost, since when this one is known.
	losses uint64
	back   time.Time
	// present: the bucket has a value of ours, or may have.
	present bool
}

// turn does what is to be done now, and says how long there will be nothing.
func (t *teller) turn(ctx context.Context) time.Duration {
	losses, ok := t.f.o.Connected()
	if !ok {
		t.release(t.f.wanted.Load())
		return soon
	}
	if t.back.IsZero() || losses != t.losses {
		t.losses, t.back = losses, time.Now()
	}
	want := t.f.wanted.Load()
	t.tell(ctx)
	t.release(want)
	if t.f.settled.Load() == losses+1 {
		return heartbeat
	}
	return t.settle(losses)
}

// settle opens the fence when what others hold is known. At the start of a replica that holds nothing that is as soon as the bucket
// was read: there was no outage that it could have shared with others.
func (t *teller) settle(losses uint64) time.Duration {
	t.f.mu.Lock()
	defer t.f.mu.Unlock()
	first := t.f.settled.Load() == 0 && !t.present
	if t.f.watched != losses+1 || !first && time.Since(t.back) < t.f.o.Settle {
		return soon
	}
	t.f.settled.Store(losses + 1)
	t.f.tellChangedLocked()
	return heartbeat
}

// tell writes what the spool holds, or takes away what it held.
func (t *teller) tell(ctx context.Context) {
	held := t.f.o.Held()
	if len(held.Lanes) == 0 && !t.present {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, tellWithin)
	defer cancel()
	var err error
	if len(held.Lanes) == 0 {
		if err = t.bucket.Delete(ctx, t.f.o.Name); err == nil {
			t.present = false
		}
	} else {
		t.present = true
		_, err = t.bucket.Put(ctx, t.f.o.Name, encode(held))
	}
	if failed := err != nil; t.f.deaf.Swap(failed) != failed && failed {
		t.f.o.Log.Warn("fence.tell", telemetry.KeyError, err)
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
