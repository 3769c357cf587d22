package takeover

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/dm"
)

const (
	// slice is how much time of what was sent is read at once; sliceSettles is how long after its end everything in it is there.
	slice        = time.Minute
	sliceSettles = 30 * time.Second
	// before and after are how much earlier and later than the message its delivery was stored, nearly always: clocks differ, and
	// the answer to the call comes after the message. late is how much later where it was in doubt.
	before, after, late = 30 * time.Second, 30 * time.Second, 15 * time.Minute
	// pastRemembered bounds the messages of the past in memory, about 10 MB.
	pastRemembered = 500_000
)

// past remembers what was sent in some slices of the time that the index does not reach back to. One who is far behind, as after
// an hour's outage or under more than the machine can take, hears only of echoes that are old. To ask the ledger about each
// would cost the more the further behind it is, and it would never catch up.
type past struct {
	reading chan struct{} // one at a time: others want the same slice most of the time

	mu     sync.Mutex
	slices map[time.Time]*pastSlice
	size   int
	uses   int
}

type pastSlice struct {
	keys map[uint64]struct{}
	used int
}

func newPast() *past {
	return &past{reading: make(chan struct{}, 1), slices: map[time.Time]*pastSlice{}}
}

// has says whether a message is known to be ours, and which of the slices that begin in a time have yet to be read to know it.
func (p *past) has(key uint64, from, to time.Time) (known bool, unread []time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.uses++
	for at := from.Truncate(slice); at.Before(to); at = at.Add(slice) {
		s, ok := p.slices[at]
		if !ok {
			unread = append(unread, at)
			continue
		}
		s.used = p.uses
		if _, ok := s.keys[key]; ok {
			return true, nil
		}
	}
	return false, unread
}

// add remembers a slice, and forgets those that were not used for longest where they are too many together.
func (p *past) add(at time.Time, keys map[uint64]struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.size += len(keys)
	for p.size > pastRemembered && len(p.slices) > 0 {
		var oldest time.Time
		for other, s := range p.slices {
			if oldest.IsZero() || s.used < p.slices[oldest].used {
				oldest = other
			}
		}
		p.size -= len(p.slices[oldest].keys)
		delete(p.slices, oldest)
	}
	p.uses++
	p.slices[at] = &pastSlice{keys: keys, used: p.uses}
}

// wasSent says whether an echo from before what the index has is of a message of ours whose delivery was stored within a time.
// False means that it is not known here. The error says when to ask again.
func (w *Watch) wasSent(ctx context.Context, e *dm.Event, key uint64, within time.Duration) (bool, error) {
	at, index := eventTime(e), w.sent.reaches()
	from, to := at.Add(-before), at.Add(within)
	if to.After(index) {
		to = index // which has the rest
	}
	known, unread := w.past.has(key, from, to)
	if known || len(unread) == 0 {
		return known, nil
	}
	select {
	case w.past.reading <- struct{}{}:
		defer func() { <-w.past.reading }()
	default:
		return false, w.later(behindPoll)
	}
	known, unread = w.past.has(key, from, to)
	for _, at := range unread {
		end := at.Add(slice)
		if end.Add(sliceSettles).After(w.d.Now()) {
			continue // more may be stored in it
		}
		keys := map[uint64]struct{}{}
		err := w.d.Streams.SentBetween(ctx, at, end, func(d dm.Delivery) { keys[w.sent.key(d.Account, d.MID)] = struct{}{} })
		if err != nil {
			return false, bus.WhileAway(fmt.Errorf("find out whose echo it is: %w", err))
		}
		w.past.add(at, keys) // and it may forget another that was read for this
		if _, ok := keys[key]; ok {
			known = true
		}
	}
	return known, nil
}
