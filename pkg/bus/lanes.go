package bus

import (
	"sync"
)

// lanes hands out messages so that those of one lane go one after another and different lanes side by side, at most limit
// at once. Lanes are served in the order in which they became ready, one message a turn, so that a busy one does not
// starve the others.
//
// Lanes outlive the consumers that fill them: when a partition's consumer is replaced, a message of the old one that is
// still being handled keeps its lane, and what the new one brings waits behind it.
type lanes struct {
	limit  int
	handle func(*held)

	mu      sync.Mutex
	idle    sync.Cond // signalled when a feed has nothing running any more
	byKey   map[string]*lane
	ready   []*lane
	workers int
	count   int           // messages queued or running
	running map[*feed]int // of which running, by feed
}

type lane struct {
	key   string
	queue []*held
}

// newLanes makes lanes whose messages go to handle, on goroutines of its own, at most limit at once.
func newLanes(limit int, handle func(*held)) *lanes {
	l := &lanes{limit: limit, handle: handle, byKey: map[string]*lane{}, running: map[*feed]int{}}
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
	fresh := &lane{key: h.key, queue: []*held{h}}
	if h.key != "" {
		l.byKey[h.key] = fresh
	}
	l.enqueue(fresh)
}

// enqueue makes a lane ready and sees to it that a worker comes.
func (l *lanes) enqueue(ready *lane) {
	l.ready = append(l.ready, ready)
	if l.workers < l.limit {
		l.workers++
		go l.work()
	}
}

// work handles the heads of ready lanes until none is ready.
func (l *lanes) work() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.ready) > 0 {
		current := l.ready[0]
		l.ready[0] = nil
		l.ready = l.ready[1:]
		h := current.queue[0]

		l.running[h.feed]++
		l.mu.Unlock()
		l.handle(h)
		l.mu.Lock()

		l.finished(h.feed)
		current.queue[0] = nil
		current.queue = current.queue[1:]
		if len(current.queue) > 0 {
			l.ready = append(l.ready, current)
		} else if current.key != "" {
			delete(l.byKey, current.key)
		}
	}
	l.workers--
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

// size is the number of messages queued or running, and of lanes with one of them.
func (l *lanes) size() (messages, keyed int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count, len(l.byKey)
}
