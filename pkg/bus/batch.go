package bus

import (
	"context"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
)

// Received is one message of a batch.
type Received struct {
	// ID is what its publisher gave it.
	ID, Subject string
	Payload     []byte
	header      nats.Header
}

// Header is a header's value, empty when there is none. Names are as their publisher wrote them.
func (r *Received) Header(name string) string {
	if v := r.header[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// Batch is the messages that a context's message stands for, nil when it is one of its own; see SubscriberConfig.Batch. A
// handler that succeeds has handled all of them. One that fails has handled none: each then comes alone, so that it is
// tried again, and given up on, for itself.
func Batch(ctx context.Context) []Received {
	if h := heldOf(ctx); h != nil {
		return h.batch
	}
	return nil
}

// batches gathers what is handed out together: most at a time, or as many as have come a while after the first.
type batches struct {
	handle func([]*held)
	most   int
	wait   time.Duration

	mu      sync.Mutex
	idle    sync.Cond // signalled when one has been handled
	queue   []*held
	due     bool // the first of the queue has waited long enough
	timer   *time.Timer
	free    int // handlers that may begin
	running int
}

// newBatches makes batches that go to handle, on goroutines of its own, so many at once.
func newBatches(slots, most int, wait time.Duration, handle func([]*held)) *batches {
	b := &batches{handle: handle, most: most, wait: wait, free: slots}
	b.idle.L = &b.mu
	b.timer = time.AfterFunc(wait, b.expire)
	b.timer.Stop()
	return b
}

// add queues a message. It does not block.
func (b *batches) add(h *held) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queue = append(b.queue, h)
	if len(b.queue) == 1 {
		b.timer.Reset(b.wait)
	}
	b.startLocked()
}

func (b *batches) expire() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.due = true
	b.startLocked()
}

// startLocked hands out what is ready: nothing while all handlers are busy, whose batches are the larger for it.
func (b *batches) startLocked() {
	for b.free > 0 && len(b.queue) > 0 && (b.due || len(b.queue) >= b.most) {
		n := min(b.most, len(b.queue))
		batch := b.queue[:n:n]
		b.queue = b.queue[n:]
		if len(b.queue) == 0 {
			b.queue, b.due = nil, false
			b.timer.Stop()
		}
		b.free--
		b.running++
		go b.work(batch)
	}
}

func (b *batches) work(batch []*held) {
	b.handle(batch)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free++
	b.running--
	b.idle.Broadcast()
	b.startLocked()
}

// waitRunning blocks until nothing is being handled.
func (b *batches) waitRunning() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.running > 0 {
		b.idle.Wait()
	}
}

// drain blocks until nothing is queued either. What is queued ends by itself, since the feed hands out no more.
func (b *batches) drain() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.due = true
	b.startLocked()
	for b.running > 0 || len(b.queue) > 0 {
		b.idle.Wait()
	}
}

// deliverBatch hands out several messages as one and waits until it is settled. Refused, each goes its own way, by a lane.
func (sub *subscription) deliverBatch(batch []*held) {
	if len(batch) == 1 {
		sub.lanes.add(batch[0])
		return
	}
	f := batch[0].feed
	together := &held{feed: f, subject: sub.topic, batch: f.together(batch)}
	ctx := &lazyContext{Context: f.ctx, held: together}
	m := message.NewMessage(together.batch[0].ID, nil)
	m.SetContext(ctx)
	handled := false
	if f.handsOut() {
		select {
		case sub.out <- m:
			handled = sub.await(m, f)
		case <-f.draining:
		}
	}
	ctx.end(context.Canceled)
	for _, h := range batch {
		if !handled {
			sub.lanes.add(h)
			continue
		}
		f.settle(h)
		sub.bytes.release(h.size)
	}
}

func (f *feed) together(batch []*held) []Received {
	out := make([]Received, len(batch))
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, h := range batch {
		out[i] = Received{ID: h.msg.Header.Get(nats.MsgIdHdr), Subject: h.subject, Payload: h.msg.Data, header: h.msg.Header}
	}
	return out
}
