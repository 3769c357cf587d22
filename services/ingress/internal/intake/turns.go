package intake

import (
	"context"
	"sync"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/services/ingress/internal/spool"
)

// lanesOf gives the lane of each event, and the lanes that occur.
func lanesOf(events []dm.Event) (each, all []uint16) {
	each = make([]uint16, len(events))
	seen := make(map[uint16]bool, 1)
	for i := range events {
		l := uint16(events[i].Partition(spool.Lanes)) //nolint:gosec // below Lanes, which are 65536
		each[i] = l
		if !seen[l] {
			seen[l] = true
			all = append(all, l)
		}
	}
	return each, all
}

// turns lets webhooks that share a lane go one after another, as they came, so that one that fails is in the spool before the
// next one is looked at.
type turns struct {
	mu   sync.Mutex
	last map[uint16]chan struct{}
}

// turn is one webhook's.
type turn struct {
	t      *turns
	lanes  []uint16
	before []chan struct{}
	over   chan struct{}
}

// next gives a webhook its turn: behind all that have theirs in one of its lanes.
func (t *turns) next(lanes []uint16) *turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := &turn{t: t, lanes: lanes, over: make(chan struct{})}
	for _, l := range lanes {
		if before := t.last[l]; before != nil {
			n.before = append(n.before, before)
		}
		t.last[l] = n.over
	}
	return n
}

// wait waits until it is a webhook's turn. When ctx ends first its turn is passed over when it comes.
func (n *turn) wait(ctx context.Context) error {
	for i, before := range n.before {
		select {
		case <-before:
		case <-ctx.Done():
			go func() {
				for _, b := range n.before[i:] {
					<-b
				}
				n.end()
			}()
			return context.Cause(ctx)
		}
	}
	return nil
}

// end lets the next one go.
func (n *turn) end() {
	n.t.mu.Lock()
	defer n.t.mu.Unlock()
	for _, l := range n.lanes {
		if n.t.last[l] == n.over {
			delete(n.t.last, l)
		}
	}
	close(n.over)
}
