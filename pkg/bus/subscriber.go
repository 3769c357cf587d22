package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
)

// KeyFunc names the lane of a message: messages with one key are handled one after another. An empty key is a lane of its
// own. Only the subject, the UUID and the metadata are cheap to look at; the payload is there too.
type KeyFunc func(subject string, m *message.Message) string

// SubscriberConfig says how to subscribe.
type SubscriberConfig struct {
	// Group names the consumer: subscribers of one group share the messages out among them, different groups get all.
	Group string
	// Stream names the stream that holds a topic. A topic is a subject, with wildcards if wanted.
	Stream func(ctx context.Context, topic string) (string, error)
	// Key is nil when order does not matter.
	Key KeyFunc
	// MaxInFlight bounds the messages that are being handled at once. Default 256.
	MaxInFlight int
	// Batch, above 1, hands out up to so many messages as one, for handlers that are faster so: as many as have come by BatchWait
	// (default 5 ms) after the first, or after a handler is free; see the function of that name. One that comes alone is
	// handed out as any other. Only where order does not matter.
	Batch     int
	BatchWait time.Duration
	// MaxHeld bounds the messages that the server may have handed to one consumer without an acknowledgement: those
	// running and those queued behind them. Default 4 × MaxInFlight, or with Batch two batches more than MaxInFlight: where
	// no message waits for another's turn, what is queued deeper only has to be kept alive.
	MaxHeld int
	// MaxHeldBytes bounds their payloads, over all consumers of the subscriber; beyond it each consumer may have a sixteenth
	// of it, or two messages of the largest size that the server takes, on its way. Default 64 MiB.
	MaxHeldBytes int64
	// AckWait is when the server gives a message of which it heard nothing to another subscriber. Messages that are held
	// are kept alive, so it is only what a crash costs. Default 10 s.
	AckWait time.Duration
	// FromNow: a group that is new hears of what is published from now on, and not of what the stream has already. Where nobody asks for
	// [KeptUnread] the server forgets it, so that a group that was given up keeps nothing in the stream. Only without ownership.
	FromNow bool
	// CloseTimeout is how long Close lets running handlers finish before it cancels their contexts. Default 25 s.
	CloseTimeout time.Duration
	// Ownership, if set, gives each partition of the topic one owner; without it the group shares one consumer and the
	// order of lanes holds within each subscriber only.
	Ownership *Ownership
	Logger    *slog.Logger
	Metrics   prometheus.Registerer
}

// heldPerFlight is how many messages are held for each that runs, so that a long queue of one key starves no other.
const heldPerFlight = 4

func (c *SubscriberConfig) setDefaults() {
	if c.MaxInFlight <= 0 {
		c.MaxInFlight = 256
	}
	if c.MaxHeld <= 0 {
		c.MaxHeld = heldPerFlight * c.MaxInFlight
		if c.Batch > 1 {
			c.MaxHeld = c.MaxInFlight + 2*c.Batch
		}
	}
	if c.MaxHeldBytes <= 0 {
		c.MaxHeldBytes = 64 << 20
	}
	if c.BatchWait <= 0 {
		c.BatchWait = 5 * time.Millisecond
	}
	if c.AckWait <= 0 {
		c.AckWait = 10 * time.Second
	}
	if c.CloseTimeout <= 0 {
		c.CloseTimeout = 25 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Metrics == nil {
		c.Metrics = prometheus.NewRegistry()
	}
	if c.Ownership != nil {
		c.Ownership.setDefaults()
	}
}

// Validate reports what is missing.
func (c *SubscriberConfig) Validate() error {
	var errs []error
	if c.Group == "" || strings.ContainsAny(c.Group, " .*>/\\") {
		errs = append(errs, fmt.Errorf("group %q: expected a name without spaces, dots, wildcards and slashes", c.Group))
	}
	if c.Stream == nil {
		errs = append(errs, errors.New("stream: expected a function that names a topic's stream"))
	}
	if c.Ownership != nil {
		errs = append(errs, c.Ownership.validate())
	}
	if c.FromNow && c.Ownership != nil {
		errs = append(errs, errors.New("from now: expected no ownership, whose partitions are heard from the beginning"))
	}
	if c.Batch > 1 && (c.Key != nil || c.Ownership != nil) {
		errs = append(errs, fmt.Errorf("batch: got %d with a key or an ownership, expected 1 where order matters", c.Batch))
	}
	return errors.Join(errs...)
}

// KeptUnread is how long the place of a group is kept that is FromNow and asks for nothing.
const KeptUnread = 24 * time.Hour

// Subscriber hands out messages of JetStream. It implements message.Subscriber.
type Subscriber struct {
	conn    *Conn
	cfg     SubscriberConfig
	metrics *subscriberMetrics

	mu     sync.Mutex
	closed bool
	subs   map[*subscription]struct{}
}

// NewSubscriber makes a subscriber on a connection, which stays the caller's.
func NewSubscriber(conn *Conn, cfg SubscriberConfig) (*Subscriber, error) {
	cfg.setDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("subscriber: %w", err)
	}
	return &Subscriber{conn: conn, cfg: cfg, metrics: newSubscriberMetrics(cfg.Metrics, cfg.Group), subs: map[*subscription]struct{}{}}, nil
}

// Subscribe hands out the messages of a topic until ctx ends or Close is called; then the channel is closed, after the
// messages that are being handled have been settled.
//
// A message's context is not cancelled when a stop begins, so that what runs can finish. It ends when the message is
// settled, when the stop takes longer than CloseTimeout, and when its partition is lost; see [Draining].
func (s *Subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	stream, err := s.cfg.Stream(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", topic, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, fmt.Errorf("subscribe to %s: %w", topic, ErrClosed)
	}
	if s.cfg.Ownership != nil && len(s.subs) > 0 {
		return nil, fmt.Errorf("subscribe to %s: a subscriber with ownership takes one topic", topic)
	}
	sub := newSubscription(ctx, s, topic, stream)
	start := sub.startShared
	if s.cfg.Ownership != nil {
		start = sub.startOwned
	}
	if err := start(ctx); err != nil {
		sub.stop() //nolint:contextcheck // what was begun is undone even if the caller's context has ended
		return nil, fmt.Errorf("subscribe to %s: %w", topic, err)
	}
	s.subs[sub] = struct{}{}
	sub.detach = context.AfterFunc(ctx, func() { s.end(sub) }) //nolint:contextcheck // runs because the caller's has ended
	return sub.out, nil
}

// end stops one subscription; the first caller does it, the others wait.
func (s *Subscriber) end(sub *subscription) {
	sub.stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.subs, sub)
	sub.detach()
}

// Close ends all subscriptions as Subscribe says. It is safe to call more than once.
func (s *Subscriber) Close() error {
	s.mu.Lock()
	s.closed = true
	subs := make([]*subscription, 0, len(s.subs))
	for sub := range s.subs {
		subs = append(subs, sub)
	}
	s.mu.Unlock()
	var wg sync.WaitGroup
	for _, sub := range subs {
		wg.Go(func() { s.end(sub) })
	}
	wg.Wait()
	return nil
}

// Partitions lists the partitions that this member owns now.
func (s *Subscriber) Partitions() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for sub := range s.subs {
		if sub.owner != nil {
			return sub.owner.owned()
		}
	}
	return nil
}

// pullBytes bounds what one request to the server brings, so that a consumer whose messages have to wait for room does not
// pile them up before it. The largest message must fit, or it would never come.
func (s *Subscriber) pullBytes() int {
	const headers = 64 << 10
	return int(max(s.cfg.MaxHeldBytes/16, s.conn.nc.MaxPayload()+headers))
}

func (s *Subscriber) consumerConfig(name, filter string) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable: name, FilterSubject: filter, AckPolicy: jetstream.AckExplicitPolicy, AckWait: s.cfg.AckWait,
		// The bound on attempts is ours, so that our code and not silence sees the last one.
		MaxDeliver: -1, MaxAckPending: s.cfg.MaxHeld, DeliverPolicy: jetstream.DeliverAllPolicy,
	}
}
