package bus

import (
	"sync"
)

// lanes hands out messages so that those of one lane go one after another and different lanes side by side, at most limit
// at once. Lanes are served in the order in which they became ready, one message a turn, so that a busy one does not
// starve the others.
//
// A message that only waits, for another attempt, keeps its lane but not its slot among the limit: see yield. However many
// lanes wait, the others go on.
//
// Lanes outlive the consumers that fill them: when a partition's consumer is replaced, a message of the old one that is
// still being handled keeps its lane, and what the new one brings waits behind it.
type lanes struct {
	handle func(*held)

	mu      sync.Mutex
	idle    sync.Cond // signalled when a feed has nothing running any more
	byKey   map[string]*lane
	ready   []*lane
	free    int             // slots that nobody holds
	back    []chan struct{} // messages that have waited and want a slot again, in their order
	count   int             // messages queued or running
	running map[*feed]int   // of which running, by feed
}

// slot says whether a message counts among the limit. Guarded by lanes.mu.
type slot int

const (
	slotNone    slot = iota // queued, or done
	slotHeld                // being handled
	slotYielded             // being handled, and waiting
)

type lane struct {
	key   string
	queue []*held
	one   [1]*held // where the queue begins: most lanes have one message
}

// newLanes makes lanes whose messages go to handle, on goroutines of its own, at most limit at once.
func newLanes(limit int, handle func(*held)) *lanes {
	l := &lanes{free: limit, handle: handle, byKey: map[string]*lane{}, running: map[*feed]int{}}
	l.idle.L = &l.mu
	return l
}

// add queues a message in its lane. It does not block. A message without a key is a lane of its own.
func (l *lanes) add(h *held) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
	if h.key != "" {
		if busy, ok := l.byKey[h.key]; ok {
			busy.queue = append(busy.queue, h)
			return
		}
	}
	fresh := &lane{key: h.key, one: [1]*held{h}}
	fresh.queue = fresh.one[:]
	if h.key != "" {
		l.byKey[h.key] = fresh
	}
	l.enqueue(fresh)
}

// enqueue makes a lane ready and sees to it that a worker comes.
func (l *lanes) enqueue(ready *lane) {
	l.ready = append(l.ready, ready)
	if l.free > 0 {
		l.free--
		go l.work()
	}
}

// work handles the heads of ready lanes until none is ready, or until a message that has waited wants its slot.
func (l *lanes) work() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.ready) > 0 {
		current := l.ready[0]
		l.ready[0] = nil
		l.ready = l.ready[1:]
		h := current.queue[0]

		h.slot = slotHeld
		l.running[h.feed]++
		l.mu.Unlock()
		l.handle(h)
		l.mu.Lock()

		holds := h.slot == slotHeld
		h.slot = slotNone
		l.finished(h.feed)
		current.queue[0] = nil
		current.queue = current.queue[1:]
		if len(current.queue) > 0 {
			l.ready = append(l.ready, current)
		} else if current.key != "" {
			delete(l.byKey, current.key)
		}
		if !holds { // given up on while it waited: its slot is somebody else's
			if len(l.ready) == 0 || l.free == 0 {
				return
			}
			l.free--
		}
		if len(l.back) > 0 {
			l.pass()
			return
		}
	}
	l.next()
}

// pass gives the slot that the caller holds to the first who waits for one.
func (l *lanes) pass() {
	close(l.back[0])
	l.back[0] = nil
	l.back = l.back[1:]
}

// yield gives a message's slot to others for as long as it only waits. false when it holds none.
func (l *lanes) yield(h *held) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h.slot != slotHeld {
		return false
	}
	h.slot = slotYielded
	l.next()
	return true
}

// resume takes a slot again after a yield. It waits its turn.
func (l *lanes) resume(h *held) {
	l.mu.Lock()
	if h.slot != slotYielded {
		l.mu.Unlock()
		return // given up on meanwhile
	}
	if l.free > 0 {
		l.free--
		h.slot = slotHeld
		l.mu.Unlock()
		return
	}
	turn := make(chan struct{})
	l.back = append(l.back, turn)
	l.mu.Unlock()
	<-turn
	l.mu.Lock()
	defer l.mu.Unlock()
	if h.slot == slotYielded {
		h.slot = slotHeld
		return
	}
	l.next() // given up on while it stood in the queue: the slot goes on
}

// next hands a slot on: to a message that has waited, to a ready lane, or to whoever comes.
func (l *lanes) next() {
	switch {
	case len(l.back) > 0:
		l.pass()
	case len(l.ready) > 0:
		go l.work()
	default:
		l.free++
	}
}

func (l *lanes) finished(f *feed) {
	l.count--
	if l.running[f]--; l.running[f] == 0 {
		delete(l.running, f)
		l.idle.Broadcast()
	}
}

// waitFor blocks until nothing of a feed is running. What it has queued ends by itself as soon as its turn comes, since
// the feed hands out no more.
func (l *lanes) waitFor(f *feed) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.running[f] > 0 {
		l.idle.Wait()
	}
}

// wait blocks until nothing is queued or running.
func (l *lanes) wait() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.count > 0 {
		l.idle.Wait()
	}
}
