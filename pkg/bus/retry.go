package bus

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/cenkalti/backoff/v5"
)

// RetryConfig says how transient errors are tried again.
type RetryConfig struct {
	// MaxAttempts bounds the attempts that failed with transient errors. Default 12, which takes about three minutes.
	MaxAttempts int
	// MinDelay and MaxDelay bound the delays, which double and vary by half. Defaults 100 ms and 30 s.
	MinDelay, MaxDelay time.Duration
}

func (c *RetryConfig) setDefaults() {
	if c.MaxAttempts <= 0 {
		c.MaxAttempts = 12
	}
	if c.MinDelay <= 0 {
		c.MinDelay = 100 * time.Millisecond
	}
	if c.MaxDelay <= 0 {
		c.MaxDelay = 30 * time.Second
	}
}

// GivenUpError says that a message will not be tried again, after how many attempts, and why.
type GivenUpError struct {
	Attempts int
	Class    Class
	Err      error
}

func (e *GivenUpError) Error() string {
	return fmt.Sprintf("given up after %d attempt(s), %s: %v", e.Attempts, e.Class, e.Err)
}

func (e *GivenUpError) Unwrap() error { return e.Err }

// retrier tries again inside the handler's call, so that the message keeps its lane and later ones of its lane wait, while
// the subscriber keeps it alive on the server. It ends with success, with a [GivenUpError], or, when the subscriber drains
// or the partition is lost, without a verdict: the message comes again.
type retrier struct {
	cfg     RetryConfig
	log     *slog.Logger
	metrics *handlerMetrics
}

func (r *retrier) middleware(h message.HandlerFunc) message.HandlerFunc {
	return func(m *message.Message) ([]*message.Message, error) {
		produced, err := h(m)
		if err == nil || Batch(m.Context()) != nil { // of a batch each message is tried again for itself
			return produced, err
		}
		return r.again(h, m, err)
	}
}

func (r *retrier) again(h message.HandlerFunc, m *message.Message, err error) ([]*message.Message, error) {
	ctx := m.Context()
	delays := backoff.NewExponentialBackOff()
	delays.InitialInterval, delays.MaxInterval, delays.Multiplier = r.cfg.MinDelay, r.cfg.MaxDelay, 2
	attempt := 1
	for try := 1; ; try++ {
		if ctx.Err() != nil || Owned(ctx) != nil {
			return nil, fmt.Errorf("%w: %w", errStopping, err)
		}
		class, at := Classify(err)
		if class == Poison || class == Transient && attempt >= r.cfg.MaxAttempts {
			return nil, &GivenUpError{Attempts: attempt, Class: class, Err: err}
		}
		var delay time.Duration
		if class == Deferred && !at.IsZero() {
			delay = max(time.Until(at), r.cfg.MinDelay) // a time that is past already must not make us spin
		} else {
			delay = delays.NextBackOff()
		}
		r.metrics.retries.WithLabelValues(handlerName(ctx), class.String()).Inc()
		if powerOfTwo(try) { // the first, and then ever more rarely: a dependency may be away for hours
			r.log.Warn("handler.retry", "handler", handlerName(ctx), "message_id", m.UUID, "attempt", attempt, "tries", try,
				"class", class.String(), "delay_ms", delay.Milliseconds(), "error", err)
		}
		if !waiting(ctx, func() bool { return wait(ctx, delay) }) {
			return nil, fmt.Errorf("%w: %w", errStopping, err)
		}
		if class == Transient {
			attempt++
		}
		var produced []*message.Message
		if produced, err = h(m); err == nil {
			return produced, nil
		}
	}
}

func powerOfTwo(n int) bool { return n&(n-1) == 0 }

// wait pauses for d; false when the subscriber drains or the context ends.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-Draining(ctx):
		return false
	case <-ctx.Done():
		return false
	}
}

func handlerName(ctx context.Context) string {
	if h := heldOf(ctx); h != nil && h.handler != "" {
		return h.handler
	}
	return message.HandlerNameFromCtx(ctx)
}
