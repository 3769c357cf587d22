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
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// PublisherConfig says how to publish.
type PublisherConfig struct {
	// AckTimeout is how long a call waits for JetStream's acknowledgements, tries again included. Default 5 s. A shorter
	// deadline of the caller's context wins.
	AckTimeout time.Duration
	// MaxPending is how many messages of this publisher may await their acknowledgement; callers beyond it wait their turn.
	// Default 4000.
	MaxPending int
	// TryTimeout is how long one flight may take before the slice is sent again with the same ids. Default 2 s.
	TryTimeout time.Duration
}

func (c *PublisherConfig) setDefaults() {
	if c.AckTimeout <= 0 {
		c.AckTimeout = 5 * time.Second
	}
	if c.MaxPending <= 0 {
		c.MaxPending = 4000
	}
	if c.TryTimeout <= 0 {
		c.TryTimeout = 2 * time.Second
	}
}

// Publisher publishes to JetStream. It implements message.Publisher.
type Publisher struct {
	conn   *Conn
	cfg    PublisherConfig
	window chan struct{}

	mu     sync.Mutex
	closed bool
	calls  sync.WaitGroup
}

// NewPublisher makes a publisher on a connection, which stays the caller's.
func NewPublisher(conn *Conn, cfg PublisherConfig) *Publisher {
	cfg.setDefaults()
	return &Publisher{conn: conn, cfg: cfg, window: make(chan struct{}, cfg.MaxPending)}
}

// Addressed is a message and the subject that it goes to.
type Addressed struct {
	Subject string
	Message *message.Message
}

// Publish publishes all messages to one subject; see [Publisher.PublishAll].
func (p *Publisher) Publish(topic string, messages ...*message.Message) error {
	out := make([]Addressed, len(messages))
	for i, m := range messages {
		out[i] = Addressed{Subject: topic, Message: m}
	}
	ctx := context.Background()
	if len(messages) > 0 {
		ctx = messages[0].Context()
	}
	return p.PublishAll(ctx, out...)
}

// PublishAll publishes the messages in one flight, in their order, and returns when JetStream has acknowledged all of them.
// When one was not acknowledged the whole slice is sent again, with the same ids, until the deadline; then the error is
// [ErrUnavailable], and some of them may be stored. A subject that no stream takes is [ErrNoStream].
func (p *Publisher) PublishAll(ctx context.Context, out ...Addressed) error {
	if err := p.enter(); err != nil {
		return err
	}
	defer p.calls.Done()
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	msgs := make([]*nats.Msg, len(out))
	for i, a := range out {
		m, err := encode(a)
		if err != nil {
			return err
		}
		msgs[i] = m
	}
	ctx, cancel := context.WithTimeout(ctx, p.cfg.AckTimeout)
	defer cancel()

	delays := backoff.NewExponentialBackOff()
	delays.InitialInterval, delays.MaxInterval = 50*time.Millisecond, time.Second
	for {
		err := p.flight(ctx, msgs)
		if err == nil || errors.Is(err, ErrNoStream) || !retryable(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		case <-time.After(delays.NextBackOff()):
		}
	}
}

// flight sends the messages without waiting in between and joins their acknowledgements.
func (p *Publisher) flight(ctx context.Context, msgs []*nats.Msg) error {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.TryTimeout)
	defer cancel()
	if len(msgs) == 1 {
		return p.single(ctx, msgs[0])
	}
	// A slice larger than the window goes in runs of half of it, so that two large slices cannot starve each other.
	for run := max(1, cap(p.window)/2); len(msgs) > 0; {
		n := min(run, len(msgs))
		if err := p.run(ctx, msgs[:n]); err != nil {
			return err
		}
		msgs = msgs[n:]
	}
	return nil
}

func (p *Publisher) single(ctx context.Context, m *nats.Msg) error {
	if err := p.acquire(ctx); err != nil {
		return err
	}
	defer p.release(1)
	future, err := p.conn.js.PublishMsgAsync(m)
	if err != nil {
		return fmt.Errorf("publish to %s: %w", m.Subject, err)
	}
	return await(ctx, future)
}

func (p *Publisher) run(ctx context.Context, msgs []*nats.Msg) error {
	futures := make([]jetstream.PubAckFuture, 0, len(msgs))
	defer func() { p.release(len(futures)) }()
	var first error
	for _, m := range msgs {
		if first = p.acquire(ctx); first != nil {
			break
		}
		future, err := p.conn.js.PublishMsgAsync(m)
		if err != nil {
			p.release(1)
			first = fmt.Errorf("publish to %s: %w", m.Subject, err)
			break
		}
		futures = append(futures, future)
	}
	for _, f := range futures {
		if err := await(ctx, f); err != nil && first == nil {
			first = err
		}
	}
	return first
}

func (p *Publisher) acquire(ctx context.Context) error {
	select {
	case p.window <- struct{}{}:
		return nil
	default:
	}
	select {
	case p.window <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %d messages are waiting for their acknowledgement", ErrUnavailable, cap(p.window))
	}
}

func (p *Publisher) release(n int) {
	for range n {
		<-p.window
	}
}

func await(ctx context.Context, f jetstream.PubAckFuture) error {
	select {
	case <-f.Ok():
		return nil
	case err := <-f.Err():
		if errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, nats.ErrNoResponders) {
			return fmt.Errorf("publish to %s: %w", f.Msg().Subject, ErrNoStream)
		}
		return fmt.Errorf("publish to %s: %w", f.Msg().Subject, err)
	case <-ctx.Done():
		return fmt.Errorf("publish to %s: %w", f.Msg().Subject, context.Cause(ctx))
	}
}

// retryable says whether sending again can help: not when the server has refused the message for what it is.
func retryable(err error) bool {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return api.Code >= 500
	}
	return !errors.Is(err, context.Canceled) && !errors.Is(err, nats.ErrMaxPayload) && !errors.Is(err, nats.ErrConnectionClosed) && !errors.Is(err, ErrLeaseLost)
}

// encode turns a message into NATS's: the UUID is its id, the metadata are its headers.
func encode(a Addressed) (*nats.Msg, error) {
	if a.Message.UUID == "" {
		return nil, fmt.Errorf("publish to %s: the message has no UUID, expected one to deduplicate by", a.Subject)
	}
	if a.Subject == "" || strings.ContainsAny(a.Subject, " \t\r\n*>") {
		return nil, fmt.Errorf("publish message %s: subject %q, expected one without spaces and wildcards", a.Message.UUID, a.Subject)
	}
	header := make(nats.Header, len(a.Message.Metadata)+1)
	for k, v := range a.Message.Metadata {
		header[k] = []string{v}
	}
	header[jetstream.MsgIDHeader] = []string{a.Message.UUID}
	return &nats.Msg{Subject: a.Subject, Data: a.Message.Payload, Header: header}, nil
}

func (p *Publisher) enter() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return fmt.Errorf("publish: %w", ErrClosed)
	}
	p.calls.Add(1)
	return nil
}

// Close waits for the calls under way. The connection stays open.
func (p *Publisher) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.calls.Wait()
	return nil
}
