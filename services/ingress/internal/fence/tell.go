package fence

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/pkg/topology"
	"github.com/parley-dm/parley/services/ingress/internal/spool"
)

// teller tells others what the spool holds; it belongs to one goroutine.
type teller struct {
	f      *Fence
	bucket Bucket
	// toldAt, toldIn and toldAs are when, in which epoch and in which revision others were last told; nothing: that it holds nothing.
	toldAt  time.Time
	toldIn  uint64
	toldAs  uint64
	nothing bool
	firstAs uint64 // the revision of the first telling of the epoch
	waiting bool   // that it waits for somebody is in the log
}

// turn does what is to be done now, and says how long there will be nothing. With others there is something all the time: what is
// told is the sign of life, when it is heard.
func (t *teller) turn(ctx context.Context) time.Duration {
	losses, connected := t.f.o.Connected()
	alone := t.f.alone()
	if !connected || alone && !t.f.pulse.alive(losses, connected) {
		t.release(t.f.wanted.Load())
		return soon
	}
	epoch, want := t.f.pulse.epoch.Load(), t.f.wanted.Load()
	told := t.tell(ctx, epoch, alone)
	t.release(want)
	t.bury(ctx)
	if told && !alone {
		t.listen()
	}
	switch {
	case t.f.settled.Load() != epoch && !t.settle(epoch), t.f.pulse.epoch.Load() != epoch:
		return soon
	case !told:
		return soon
	case !alone:
		return pulseEvery
	case t.nothing:
		return t.f.o.DeadAfter / 2
	default:
		return min(heartbeat, t.f.o.DeadAfter/4)
	}
}

// listen has the watch begin anew that gives nothing of what the bus takes: the server that had it may be gone, which the client
// would notice many seconds later.
func (t *teller) listen() {
	t.f.mu.Lock()
	defer t.f.mu.Unlock()
	if t.f.heardAs < t.toldAs && time.Since(t.f.listening) > stallAfter && !t.f.pulse.alive(t.f.o.Connected()) {
		t.f.listening = time.Now()
		t.f.listenAgain()
	}
}

// settle opens the fence when what others hold is known. At the start of a replica that holds nothing that is as soon as the others
// that the bucket names have told; else those are waited for as well that had nothing in it.
func (t *teller) settle(epoch uint64) bool {
	f := t.f
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.watched != f.pulse.losses.Load()+1 || t.toldIn != epoch || f.heardAs < t.firstAs {
		return false // what was told before ours may not be heard yet
	}
	if (epoch > 1 || !t.nothing) && time.Since(f.pulse.back()) < f.o.Settle || t.missesLocked() {
		return false
	}
	t.waiting = false
	f.settled.Store(epoch)
	f.tellChangedLocked()
	return true
}

// missesLocked says whether another has told nothing since the outage, and may yet. What it told before is of no use, even a moment
// before: each answers the first telling after an outage, which asks for it.
func (t *teller) missesLocked() bool {
	f := t.f
	for name, o := range f.others {
		if o.revision < t.firstAs && f.silentFor(o) < f.o.DeadAfter {
			if !t.waiting && time.Since(f.pulse.back()) > 2*f.o.Settle {
				t.waiting = true
				f.o.Log.Warn("fence.waiting", "replica", name, "meaning", "it has not come back from the outage, and its spool may hold what has to go first")
			}
			return true
		}
	}
	return false
}

// tell writes what the spool holds, or that it holds nothing, which one that is alone says again only now and then. It is false
// when the bus did not take it.
func (t *teller) tell(ctx context.Context, epoch uint64, alone bool) bool {
	held := t.f.o.Held()
	nothing := len(held.Lanes) == 0
	settled := t.f.Live()
	if asked := t.f.asked.Swap(false); alone && !asked && settled && nothing && t.nothing && t.toldIn == epoch && time.Since(t.toldAt) < t.f.o.DeadAfter/3 {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, tellWithin)
	defer cancel()
	revision, err := t.bucket.Put(ctx, t.f.o.Name, encode(held, !settled))
	if err == nil {
		if t.toldIn != epoch {
			t.firstAs = revision
		}
		t.toldAt, t.toldIn, t.toldAs, t.nothing = time.Now(), epoch, revision, nothing
	} else {
		t.nothing = false // who knows what is there
	}
	if failed := err != nil; t.f.deaf.Swap(failed) != failed && failed {
		t.f.o.Log.Warn("fence.tell", telemetry.KeyError, err)
	}
	return err == nil
}

// bury takes the names of those away that are not waited for any more.
func (t *teller) bury(ctx context.Context) {
	t.f.mu.Lock()
	t.f.buryLocked()
	names := slices.Collect(maps.Keys(t.f.buried))
	clear(t.f.buried)
	t.f.mu.Unlock()
	for _, name := range names {
		ctx, cancel := context.WithTimeout(ctx, tellWithin)
		if err := t.bucket.Delete(ctx, name); err != nil {
			t.f.o.Log.Warn("fence.bury", "replica", name, telemetry.KeyError, err)
		}
		cancel()
	}
}

// leave takes the replica's name away when it ends with an empty spool: nobody need wait for it. Else it tells what others wait for.
func (t *teller) leave(ctx context.Context) {
	if _, connected := t.f.o.Connected(); !connected {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellWithin)
	defer cancel()
	var err error
	if held := t.f.o.Held(); len(held.Lanes) > 0 {
		_, err = t.bucket.Put(ctx, t.f.o.Name, encode(held, false))
	} else {
		err = t.bucket.Delete(ctx, t.f.o.Name)
	}
	if err != nil {
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

// heldVersion begins a value: then come 1 where the others are asked to tell as well, the time of the oldest, in nanoseconds since
// 1970, and for each lane its number, in two bytes, and the time of its oldest, in four: milliseconds after the oldest of all, rounded down.
const (
	heldVersion = 2
	heldHeader  = topology.SpoolHeader
	heldLane    = 2 + 4
)

func encode(h spool.Held, ask bool) []byte {
	b := make([]byte, 0, heldHeader+heldLane*len(h.Lanes))
	b = append(b, heldVersion, 0)
	if ask {
		b[1] = 1
	}
	b = binary.BigEndian.AppendUint64(b, uint64(h.Oldest.UnixNano()))
	for l, since := range h.Lanes {
		after := math.Floor(since.Sub(h.Oldest).Seconds() * 1000)
		b = binary.BigEndian.AppendUint16(b, l)
		b = binary.BigEndian.AppendUint32(b, uint32(int32(min(max(after, math.MinInt32), math.MaxInt32)))) //nolint:gosec // its bits
	}
	return b
}

func decode(b []byte) (h spool.Held, asks bool, err error) {
	if len(b) < heldHeader {
		return h, false, errors.New("expected a version, whether it asks, and a time")
	}
	if b[0] != heldVersion {
		return h, false, fmt.Errorf("version: got %d, expected %d", b[0], heldVersion)
	}
	if (len(b)-heldHeader)%heldLane != 0 {
		return h, false, fmt.Errorf("lanes: got %d bytes, expected %d for each", len(b)-heldHeader, heldLane)
	}
	h.Oldest = time.Unix(0, int64(binary.BigEndian.Uint64(b[2:]))) //nolint:gosec // its bits
	h.Lanes = make(map[uint16]time.Time, (len(b)-heldHeader)/heldLane)
	for at := heldHeader; at < len(b); at += heldLane {
		after := int32(binary.BigEndian.Uint32(b[at+2:])) //nolint:gosec // its bits
		h.Lanes[binary.BigEndian.Uint16(b[at:])] = h.Oldest.Add(time.Duration(after) * time.Millisecond)
	}
	return h, b[1] == 1, nil
}
