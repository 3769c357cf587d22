package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/cenkalti/backoff/v5"
	"github.com/nats-io/nats.go/jetstream"
)

// abandonAfter is how long a message whose context has ended may go on being handled before its lane goes on without it.
const abandonAfter = time.Second

// subscription is one Subscribe call: the lanes, the channel out, and the feeds that bring messages.
type subscription struct {
	s             *Subscriber
	topic, stream string
	out           chan *message.Message
	lanes         *lanes
	batches       *batches // nil when each is handed out alone
	bytes         *byteBudget
	began         time.Time       // by our clock
	base          context.Context // values of the Subscribe call, never cancelled by it
	owner         *owner
	shared        *feed

	once    sync.Once
	stopped chan struct{}
	detach  func() bool // from the Subscribe call's context
}

func newSubscription(ctx context.Context, s *Subscriber, topic, stream string) *subscription {
	sub := &subscription{
		s: s, topic: topic, stream: stream, out: make(chan *message.Message), bytes: newByteBudget(s.cfg.MaxHeldBytes),
		began: time.Now(), base: context.WithoutCancel(ctx), stopped: make(chan struct{}),
	}
	sub.lanes = newLanes(s.cfg.MaxInFlight, sub.deliver)
	if s.cfg.Batch > 1 {
		sub.batches = newBatches(max(1, s.cfg.MaxInFlight/s.cfg.Batch), s.cfg.Batch, s.cfg.BatchWait, sub.deliverBatch)
	}
	return sub
}

// startShared joins the group's one consumer of the topic.
func (sub *subscription) startShared(ctx context.Context) error {
	consumer, err := sub.sharedConsumer(ctx)
	if err != nil {
		return err
	}
	sub.shared = newFeed(sub, false)
	sub.shared.lost = sub.rejoin
	return sub.shared.start(consumer)
}

func (sub *subscription) sharedConsumer(ctx context.Context) (name string, err error) {
	name = sub.s.cfg.Group + "_" + safeName(sub.topic)
	cfg := sub.s.consumerConfig(name, sub.topic)
	if sub.s.cfg.FromNow {
		if err := sub.fromNow(ctx, &cfg); err != nil {
			return "", fmt.Errorf("make consumer %s: %w", name, err)
		}
	}
	if _, err := sub.s.conn.js.CreateOrUpdateConsumer(ctx, sub.stream, cfg); err != nil {
		return "", fmt.Errorf("make consumer %s: %w", name, err)
	}
	return name, nil
}

// fromNow lets a consumer that is new begin when the subscription did, also when somebody deletes it meanwhile. One that is there
// goes on.
func (sub *subscription) fromNow(ctx context.Context, cfg *jetstream.ConsumerConfig) error {
	cfg.InactiveThreshold = KeptUnread
	there, err := sub.s.conn.js.Consumer(ctx, sub.stream, cfg.Durable)
	switch {
	case err == nil:
		was := there.CachedInfo().Config
		cfg.DeliverPolicy, cfg.OptStartTime = was.DeliverPolicy, was.OptStartTime
	case notFound(err):
		cfg.DeliverPolicy, cfg.OptStartTime = jetstream.DeliverByStartTimePolicy, &sub.began
	default:
		return err
	}
	return nil
}

// rejoin makes the shared consumer again after somebody deleted it; what it had acknowledged comes again.
func (sub *subscription) rejoin() {
	delays := backoff.NewExponentialBackOff()
	for {
		ctx, cancel := context.WithTimeout(sub.shared.ctx, 5*time.Second)
		consumer, err := sub.sharedConsumer(ctx)
		if err == nil {
			err = sub.shared.start(consumer)
		}
		cancel()
		if err == nil || !pause(sub.shared, delays.NextBackOff()) {
			return
		}
		sub.s.cfg.Logger.Warn("bus.rejoin", "error", err, "group", sub.s.cfg.Group)
	}
}

// deliver hands out one message and waits until it is settled. It is what the lanes run.
func (sub *subscription) deliver(h *held) {
	defer sub.bytes.release(h.size)
	var delays *backoff.ExponentialBackOff
	for h.feed.handsOut() {
		ctx := &lazyContext{Context: h.feed.ctx, held: h}
		m := h.message(ctx)
		select {
		case sub.out <- m:
		case <-h.feed.draining:
			ctx.end(context.Canceled)
			return
		}
		acked := sub.await(m, h.feed)
		ctx.end(context.Canceled)
		if acked {
			h.feed.settle(h)
			return
		}
		// Refused: once more, in its lane, after a moment.
		if delays == nil {
			delays = backoff.NewExponentialBackOff()
			delays.InitialInterval, delays.MaxInterval = time.Millisecond, 50*time.Millisecond
		}
		if !pause(h.feed, delays.NextBackOff()) {
			return
		}
	}
}

// await waits for a message's acknowledgement. false is a refusal, or that nobody will ever say.
func (sub *subscription) await(m *message.Message, f *feed) bool {
	select {
	case <-m.Acked():
		return true
	case <-m.Nacked():
		return false
	case <-f.ctx.Done():
	}
	// Its lane is held for a moment yet: what runs may be about to end, and its repetition must not run beside it.
	timer := time.NewTimer(abandonAfter)
	defer timer.Stop()
	select {
	case <-m.Acked():
		return true
	case <-m.Nacked():
		return false
	case <-timer.C:
		return false
	}
}

func pause(f *feed, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-f.draining:
		return false
	}
}

// stop ends the subscription: nothing more is handed out, what runs may finish, and what is left goes to others.
func (sub *subscription) stop() {
	sub.once.Do(func() {
		defer close(sub.stopped)
		if sub.owner != nil {
			sub.owner.stop()
		}
		if sub.shared != nil {
			sub.shared.drain(sub.s.cfg.CloseTimeout)
			sub.shared.giveBack()
		}
		if sub.batches != nil {
			sub.batches.drain()
		}
		sub.lanes.wait()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := sub.s.conn.Flush(ctx); err != nil {
			sub.s.cfg.Logger.Warn("bus.flush", "error", err, "group", sub.s.cfg.Group)
		}
		close(sub.out)
	})
	<-sub.stopped
}

// safeName makes a consumer's name of a topic.
func safeName(topic string) string {
	return strings.NewReplacer(".", "_", "*", "any", ">", "all", " ", "_").Replace(topic)
}

// notFound says whether an API call failed because the consumer is not there.
func notFound(err error) bool {
	return errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrConsumerDoesNotExist)
}
