package bus

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go/jetstream"
)

// held is a message that the server has delivered and that is not settled.
type held struct {
	feed     *feed
	key      string
	seq      uint64 // in the stream
	size     int
	attempts int

	// Guarded by feed.mu: a redelivery replaces msg, so that the acknowledgement goes to the consumer that lives.
	msg   jetstream.Msg
	heard time.Time
}

// message makes Watermill's message of it. Each attempt gets a new one, since a message can be settled only once.
func (h *held) message(ctx context.Context) *message.Message {
	h.feed.mu.Lock()
	msg := h.msg
	h.feed.mu.Unlock()
	header := msg.Headers()
	m := message.NewMessage(header.Get(jetstream.MsgIDHeader), msg.Data())
	for k, v := range header {
		if k != jetstream.MsgIDHeader && len(v) > 0 {
			m.Metadata[k] = v[0]
		}
	}
	m.SetContext(context.WithValue(ctx, contextKey{}, delivery{feed: h.feed, subject: msg.Subject(), seq: h.seq}))
	return m
}

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
	// deadline is when the lease ends by our own clock, as UnixNano of a monotonic base; 0 is never.
	deadline atomic.Int64

	mu       sync.Mutex
	consume  jetstream.ConsumeContext
	held     map[uint64]*held
	base     uint64 // everything up to it was settled before this feed began
	last     uint64 // the highest stream sequence received
	expected uint64 // the consumer sequence of the next delivery
	epoch    int    // counts the consumers
	beats    sync.WaitGroup
}

// started is the base of the monotonic clock that deadlines count in.
var started = time.Now()

func monotonic() int64 { return int64(time.Since(started)) }

func newFeed(sub *subscription, ordered bool) *feed {
	f := &feed{sub: sub, ordered: ordered, draining: make(chan struct{}), held: map[uint64]*held{}}
	f.ctx, f.cancel = context.WithCancelCause(sub.base)
	f.beats.Go(f.heartbeat)
	return f
}

// start consumes from a consumer, in place of the one before.
func (f *feed) start(consumer jetstream.Consumer) error {
	f.mu.Lock()
	f.epoch++
	epoch := f.epoch
	f.expected = 1
	before := f.consume
	f.consume = nil
	f.mu.Unlock()
	if before != nil {
		before.Stop()
	}
	consume, err := consumer.Consume(
		func(msg jetstream.Msg) { f.receive(epoch, msg) },
		jetstream.PullMaxMessages(f.sub.s.cfg.MaxHeld),
		jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) { f.consumeError(epoch, err) }),
	)
	if err != nil {
		return err
	}
	f.mu.Lock()
	f.consume = consume
	f.mu.Unlock()
	return nil
}

// mute ignores what the present consumer still says; it is about to be replaced.
func (f *feed) mute() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.epoch++
}

// receive takes a delivery into the account and the lanes.
func (f *feed) receive(epoch int, msg jetstream.Msg) {
	meta, err := msg.Metadata()
	if err != nil {
		f.sub.s.cfg.Logger.Error("bus.metadata", "error", err, "subject", msg.Subject())
		return
	}
	size := len(msg.Data())
	f.sub.bytes.acquire(int64(size), func() bool { return !f.handsOut() })
	h := f.account(epoch, msg, meta, size)
	if h == nil {
		f.sub.bytes.release(int64(size))
		return
	}
	f.sub.s.metrics.received.Inc()
	f.sub.lanes.add(h)
}

// account decides whether a delivery is new. What is held already only learns where its acknowledgement goes; what was
// settled is acknowledged again; a gap means that something was lost between the server and us.
func (f *feed) account(epoch int, msg jetstream.Msg, meta *jetstream.MsgMetadata, size int) *held {
	f.mu.Lock()
	defer f.mu.Unlock()
	if epoch != f.epoch || !f.handsOut() {
		return nil
	}
	seq := meta.Sequence.Stream
	if f.ordered {
		if meta.Sequence.Consumer != f.expected {
			f.sub.s.cfg.Logger.Warn("bus.gap", "group", f.sub.s.cfg.Group, "expected", f.expected, "got", meta.Sequence.Consumer)
			f.epoch++ // nothing more of this consumer
			go f.lost()
			return nil
		}
		f.expected++
	}
	if h, ok := f.held[seq]; ok {
		h.msg, h.heard = msg, time.Now()
		return nil
	}
	if f.ordered && seq <= f.last {
		_ = msg.Ack()
		return nil
	}
	f.last = max(f.last, seq)
	h := &held{feed: f, seq: seq, size: size, msg: msg, heard: time.Now()}
	if f.sub.s.cfg.Key != nil {
		header := msg.Headers()
		probe := &message.Message{UUID: header.Get(jetstream.MsgIDHeader), Payload: msg.Data(), Metadata: make(message.Metadata, len(header))}
		for k, v := range header {
			if len(v) > 0 {
				probe.Metadata[k] = v[0]
			}
		}
		h.key = f.sub.s.cfg.Key(msg.Subject(), probe)
	}
	f.held[seq] = h
	return h
}

// settle acknowledges a message that was handled. Plain acknowledgements: an acknowledgement that gets lost costs a
// repetition, which every handler must bear; waiting for each would cost a round trip a message.
func (f *feed) settle(h *held) {
	f.mu.Lock()
	delete(f.held, h.seq)
	msg := h.msg
	f.mu.Unlock()
	if err := msg.Ack(); err != nil && !errors.Is(err, jetstream.ErrMsgAlreadyAckd) {
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
			return true
		}
	}
}

// heartbeat tells the server about messages that are held for long.
func (f *feed) heartbeat() {
	interval := f.sub.s.cfg.AckWait / 3
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-f.ctx.Done():
			return
		case now := <-ticker.C:
			f.mu.Lock()
			var silent []jetstream.Msg
			for _, h := range f.held {
				if now.Sub(h.heard) >= interval/2 {
					silent = append(silent, h.msg)
				}
			}
			f.mu.Unlock()
			for _, msg := range silent {
				_ = msg.InProgress()
			}
		}
	}
}

func (f *feed) consumeError(epoch int, err error) {
	if errors.Is(err, jetstream.ErrConsumerDeleted) || errors.Is(err, jetstream.ErrConsumerNotFound) {
		f.mu.Lock()
		current := epoch == f.epoch
		f.mu.Unlock()
		if current && f.lost != nil {
			go f.lost()
		}
		return
	}
	f.sub.s.cfg.Logger.Debug("bus.consume", "error", err, "group", f.sub.s.cfg.Group)
}

// beginDrain stops the flow: nothing more comes in, nothing more is handed out, waits for another attempt end.
func (f *feed) beginDrain() {
	f.once.Do(func() {
		close(f.draining)
		f.sub.bytes.wake()
		f.mu.Lock()
		consume := f.consume
		f.mu.Unlock()
		if consume != nil {
			consume.Stop()
		}
	})
}

// drain lets what runs finish for a while and then cancels it. When it returns nothing of the feed runs.
func (f *feed) drain(timeout time.Duration) {
	f.beginDrain()
	done := make(chan struct{})
	go func() { f.sub.lanes.waitFor(f); close(done) }()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		f.cancel(ErrDrainTimeout)
		<-done
	}
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
		_ = h.msg.Nak()
		delete(f.held, seq)
	}
}
