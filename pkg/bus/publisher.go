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
	"golang.org/x/sync/semaphore"
)

// PublisherConfig says how to publish.
type PublisherConfig struct {
	// AckTimeout is how long a call waits for JetStream's acknowledgements, tries again included. Default 5 s. A shorter
	// deadline of the caller's context wins.
	AckTimeout time.Duration
	// MaxPending is how many messages of this publisher may await their acknowledgement; callers beyond it wait their turn.
	// Default 4000.
	MaxPending int
	// TryTimeout is how long one flight may take, after it got its place in the window, before the slice is sent again with
	// the same ids. Default 2 s.
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
	window *semaphore.Weighted

	mu     sync.Mutex
	closed bool
	calls  sync.WaitGroup
}

// NewPublisher makes a publisher on a connection, which stays the caller's.
func NewPublisher(conn *Conn, cfg PublisherConfig) *Publisher {
	cfg.setDefaults()
	return &Publisher{conn: conn, cfg: cfg, window: semaphore.NewWeighted(int64(cfg.MaxPending))}
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
//
// When one was not acknowledged the whole slice is sent again, with the same ids, until the deadline: those that were
// stored are not stored twice, but one that the server refused the first time comes to stand behind those that it took.
// At the deadline the error is [ErrUnavailable], and some of them may be stored; it is [ErrNoStream] as well when no
// stream took the subject until then. What the server will never take is [ErrRefused], at once.
func (p *Publisher) PublishAll(ctx context.Context, out ...Addressed) error {
	if err := p.enter(); err != nil {
		return err
	}
	defer p.calls.Done()
	msgs := make([]*nats.Msg, len(out))
	for i, a := range out {
		m, err := encode(a)
		if err != nil {
			return err
		}
		msgs[i] = m
	}
	whole := &lazyContext{Context: ctx, deadline: time.Now().Add(p.cfg.AckTimeout)}
	defer whole.end(context.Canceled)

	var delays *backoff.ExponentialBackOff
	var before error
	for {
		err := p.flight(whole, msgs) //nolint:contextcheck // whole is ctx with a deadline
		if before != nil && errors.Is(err, context.DeadlineExceeded) {
			err = before // says more than that the time is over
		}
		before = err
		switch {
		case err == nil || !retryable(err):
			return err
		case delays == nil:
			delays = backoff.NewExponentialBackOff()
			delays.InitialInterval, delays.MaxInterval = 50*time.Millisecond, time.Second
		}
		timer := time.NewTimer(delays.NextBackOff())
		select {
		case <-whole.Done():
			timer.Stop()
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		case <-timer.C:
		}
	}
}

// flight sends the messages without waiting in between and joins their acknowledgements. More than half of the window
// goes in several runs, so that large slices let others through.
func (p *Publisher) flight(ctx *lazyContext, msgs []*nats.Msg) error {
	for most := max(1, p.cfg.MaxPending/2); len(msgs) > 0; {
		n := min(most, len(msgs))
		if err := p.run(ctx, msgs[:n]); err != nil {
			return err
		}
		msgs = msgs[n:]
	}
	return nil
}

// run sends one part of a flight. It takes its place in the window as a whole: callers that each held a piece would wait
// for each other for ever.
func (p *Publisher) run(whole *lazyContext, msgs []*nats.Msg) error {
	n := int64(len(msgs))
	if whole.Err() != nil || !p.window.TryAcquire(n) {
		if err := p.window.Acquire(whole, n); err != nil {
			return fmt.Errorf("wait to publish %d message(s), with %d on their way at most: %w", n, p.cfg.MaxPending, context.Cause(whole))
		}
	}
	defer p.window.Release(n)
	deadline := time.Now().Add(p.cfg.TryTimeout)
	if whole.deadline.Before(deadline) {
		deadline = whole.deadline
	}
	if _, failed, err := p.conn.tower.send(whole.Context, deadline, msgs...); err != nil {
		return publishError(msgs[failed].Subject, err)
	}
	return nil
}

// publishError gives an error of one publish its sentinel, if it has one.
func publishError(subject string, err error) error {
	var api *jetstream.APIError
	switch {
	case errors.Is(err, jetstream.ErrNoStreamResponse), errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("publish to %s: %w", subject, ErrNoStream)
	case errors.Is(err, nats.ErrConnectionClosed):
		return fmt.Errorf("publish to %s: %w: %w", subject, ErrClosed, err)
	case errors.Is(err, nats.ErrMaxPayload), errors.Is(err, nats.ErrBadSubject), errors.As(err, &api) && !overloaded(api):
		return fmt.Errorf("publish to %s: %w: %w", subject, ErrRefused, err)
	default:
		return fmt.Errorf("publish to %s: %w", subject, err)
	}
}

// retryable says whether sending again can help.
func retryable(err error) bool {
	return !errors.Is(err, ErrRefused) && !errors.Is(err, context.Canceled) && !errors.Is(err, ErrClosed) &&
		!errors.Is(err, ErrLeaseLost) && !errors.Is(err, ErrDrainTimeout)
}

// encode turns a message into NATS's: the UUID is its id, the metadata are its headers.
func encode(a Addressed) (*nats.Msg, error) {
	if a.Message.UUID == "" {
		return nil, fmt.Errorf("publish to %s: %w: no UUID, expected one to deduplicate by", a.Subject, ErrRefused)
	}
	if a.Subject == "" || strings.ContainsAny(a.Subject, " \t\r\n*>") {
		return nil, fmt.Errorf("publish message %s: %w: subject %q, expected one without spaces and wildcards", a.Message.UUID, ErrRefused, a.Subject)
	}
	header := make(nats.Header, len(a.Message.Metadata)+1)
	// One array for the values, and not one for each.
	values := make([]string, 0, len(a.Message.Metadata)+1)
	set := func(k, v string) {
		values = append(values, v)
		header[k] = values[len(values)-1 : len(values) : len(values)]
	}
	for k, v := range a.Message.Metadata {
		set(k, v)
	}
	set(jetstream.MsgIDHeader, a.Message.UUID)
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
