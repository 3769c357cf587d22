package bus

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// feed brings the messages of one consumer to the lanes and keeps account of what is held. Its consumer may be replaced
// under it (by a new generation of the same owner); the account goes on.
type feed struct {
	sub     *subscription
	ordered bool   // one owner: a gap in what the server delivered is an error
	lost    func() // ordered: the consumer is gone or has skipped something

	ctx      context.Context
	cancel   context.CancelCauseFunc
	draining chan struct{}
	once     sync.Once
	// deadline is when the lease ends by our own clock, as the monotonic clock counts; 0 is never. The guard cancels what
	// runs then, whatever the calls to the server are doing.
	deadline atomic.Int64
	guard    *time.Timer

	mu       sync.Mutex
	consume  *puller
	held     map[uint64]*held
	base     uint64 // everything up to it was settled before this feed began
	last     uint64 // the highest stream sequence received
	expected uint64 // the consumer sequence of the next delivery
	epoch    int    // counts the consumers
	beats    sync.WaitGroup
	tending  sync.WaitGroup // of what runs beside the handlers
}

// started is the base of the monotonic clock that deadlines count in.
var started = time.Now()

func monotonic() int64 { return int64(time.Since(started)) }

func newFeed(sub *subscription, ordered bool) *feed {
	f := &feed{sub: sub, ordered: ordered, draining: make(chan struct{}), held: map[uint64]*held{}}
	f.ctx, f.cancel = context.WithCancelCause(sub.base)
	f.guard = time.AfterFunc(math.MaxInt64, f.expire)
	f.beats.Go(f.heartbeat)
	return f
}

// start consumes from a consumer, in place of the one before.
func (f *feed) start(consumer string) error {
	f.mu.Lock()
	f.epoch++
	epoch := f.epoch
	f.expected = 1
	before := f.consume
	f.consume = nil
	f.mu.Unlock()
	if before != nil {
		before.stop()
	}
	consume, err := f.conn().pull(f.sub.stream, consumer, f.sub.s.cfg.MaxHeld, f.sub.s.pullBytes(),
		func(msg *nats.Msg) { f.receive(epoch, msg) }, func(err error) { f.consumeError(epoch, err) })
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-f.draining: // in the meantime: nobody else would stop it
		consume.stop()
	default:
		f.consume = consume
	}
	return nil
}

// tend starts what runs beside the handlers of a partition.
func (f *feed) tend(tend func(context.Context, int) (func(), error), partition int) error {
	if tend == nil {
		return nil
	}
	work, err := tend(&lazyContext{Context: f.ctx, held: &held{feed: f}}, partition)
	if err != nil {
		return fmt.Errorf("tend partition %d: %w", partition, err)
	}
	if work != nil {
		f.tending.Go(work)
	}
	return nil
}

func (f *feed) conn() *Conn { return f.sub.s.conn }

// mute ignores what the present consumer still says; it is about to be replaced.
func (f *feed) mute() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.epoch++
}

// receive takes a delivery into the account and the lanes.
func (f *feed) receive(epoch int, msg *nats.Msg) {
	meta, err := msg.Metadata()
	if err != nil {
		f.sub.s.cfg.Logger.Error("bus.metadata", "error", err, "subject", msg.Subject)
		return
	}
	h := newHeld(f, msg, meta.Sequence.Stream)
	f.sub.bytes.acquire(h.size, f)
	if !f.account(epoch, h, meta.Sequence.Consumer) {
		f.sub.bytes.release(h.size)
		return
	}
	f.sub.s.metrics.received.Inc()
	if f.sub.batches != nil {
		f.sub.batches.add(h)
		return
	}
	f.sub.lanes.add(h)
}

// account decides whether a delivery is new. What is held already only learns where its acknowledgement goes; what was
// settled is acknowledged again; a gap means that something was lost between the server and us.
func (f *feed) account(epoch int, h *held, sequence uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if epoch != f.epoch {
		return false
	}
	if !f.handsOut() {
		if !f.ordered {
			_ = f.conn().send(h.msg, answerNak) // we are leaving; others may have it at once
		}
		return false
	}
	if f.ordered {
		if sequence != f.expected {
			f.sub.s.cfg.Logger.Warn("bus.gap", "group", f.sub.s.cfg.Group, "expected", f.expected, "got", sequence)
			f.loseLocked()
			return false
		}
		f.expected++
	}
	if before, ok := f.held[h.seq]; ok {
		before.msg, before.heard = h.msg, h.heard
		return false
	}
	if f.ordered && h.seq <= f.last {
		_ = f.conn().send(h.msg, answerAck)
		return false
	}
	f.last = max(f.last, h.seq)
	f.held[h.seq] = h
	return true
}

// loseLocked ignores what the present consumer still says and asks for another.
func (f *feed) loseLocked() {
	f.epoch++
	go f.lost()
}

// settle acknowledges a message that was handled. Plain acknowledgements: an acknowledgement that gets lost costs a
// repetition, which every handler must bear; waiting for each would cost a round trip a message.
func (f *feed) settle(h *held) {
	f.mu.Lock()
	delete(f.held, h.seq)
	msg := h.msg
	f.mu.Unlock()
	if err := f.conn().send(msg, answerAck); err != nil {
		f.sub.s.cfg.Logger.Debug("bus.ack", "error", err, "group", f.sub.s.cfg.Group)
	}
	f.sub.s.metrics.settled.Inc()
}

// floor is the highest stream sequence up to which everything is settled.
func (f *feed) floor() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	floor := max(f.last, f.base)
	for seq := range f.held {
		floor = min(floor, seq-1)
	}
	return floor
}

// handsOut says whether messages may still be given to handlers: not while draining, nor when the lease is over by our own
// clock. A process that was stopped and wakes up finds its lease over here, before anything else tells it.
func (f *feed) handsOut() bool {
	select {
	case <-f.draining:
		return false
	default:
		return f.valid()
	}
}

func (f *feed) valid() bool {
	deadline := f.deadline.Load()
	return deadline == 0 || monotonic() < deadline
}

// extend moves the lease's end. It fails once the lease is over by our own clock: what was dropped since then would be
// missing, so the partition has to be taken anew.
func (f *feed) extend(until int64) bool {
	for {
		deadline := f.deadline.Load()
		if deadline != 0 && monotonic() >= deadline {
			return false
		}
		if f.deadline.CompareAndSwap(deadline, max(deadline, until)) {
			f.guard.Reset(time.Duration(max(deadline, until) - monotonic()))
			return f.valid()
		}
	}
}

// left is how long the lease lasts yet.
func (f *feed) left() time.Duration { return time.Duration(f.deadline.Load() - monotonic()) }

// expire cancels what runs when the lease is over.
func (f *feed) expire() {
	if left := f.left(); left > 0 {
		f.guard.Reset(left)
		return
	}
	f.cancel(ErrLeaseLost)
	f.sub.bytes.wake()
}

// consumeError reacts to what the server, or the client, says of the consumer. A consumer that is gone is made again, and
// so is one that does not answer (JetStream was not up yet, or the consumer was deleted while we were cut off): the client
// would ask again only after it has missed several heartbeats, or never.
func (f *feed) consumeError(epoch int, err error) {
	switch {
	case errors.Is(err, jetstream.ErrConsumerDeleted), errors.Is(err, jetstream.ErrConsumerNotFound), errors.Is(err, jetstream.ErrBadRequest),
		errors.Is(err, nats.ErrNoResponders):
		f.mu.Lock()
		defer f.mu.Unlock()
		if epoch == f.epoch && f.handsOut() {
			f.sub.s.cfg.Logger.Info("bus.consumer_lost", "error", err, "group", f.sub.s.cfg.Group)
			f.loseLocked()
		}
	default:
		f.sub.s.cfg.Logger.Debug("bus.consume", "error", err, "group", f.sub.s.cfg.Group)
	}
}

// beginDrain stops the flow: nothing more comes in, nothing more is handed out, waits for another attempt end.
func (f *feed) beginDrain() {
	f.once.Do(func() {
		f.mu.Lock()
		close(f.draining)
		consume := f.consume
		f.mu.Unlock()
		f.sub.bytes.wake()
		switch {
		case consume == nil:
		case f.ordered:
			consume.stop() // the next owner begins at the floor
		default:
			// What is on its way to us is given back: others would wait for AckWait otherwise.
			consume.drain(time.Second)
		}
	})
}

// drain lets what runs finish for a while and then cancels it. When it returns nothing of the feed runs.
func (f *feed) drain(timeout time.Duration) {
	f.beginDrain()
	done := make(chan struct{})
	go func() {
		if f.sub.batches != nil {
			f.sub.batches.waitRunning()
		}
		f.sub.lanes.waitFor(f)
		f.tending.Wait()
		close(done)
	}()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		f.cancel(ErrDrainTimeout)
		<-done
	}
	f.guard.Stop()
	f.cancel(ErrClosed)
	f.beats.Wait()
}

// abort is drain when the partition is lost: what runs is cancelled at once.
func (f *feed) abort() {
	f.cancel(ErrLeaseLost)
	f.drain(0)
}

// giveBack tells the server that the messages left may go to others at once. Only for consumers that are shared: an
// owned partition's next owner starts at the floor.
func (f *feed) giveBack() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for seq, h := range f.held {
		_ = f.conn().send(h.msg, answerNak)
		delete(f.held, seq)
	}
}
