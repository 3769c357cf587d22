package bus

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/prometheus/client_golang/prometheus"
)

// RouterConfig says what surrounds the handlers.
type RouterConfig struct {
	// Stage names the router in dead letters and metrics.
	Stage string
	// DeadLetters is where messages go that were given up on; DeadSubject says to which subject.
	DeadLetters *Publisher
	DeadSubject func(m *message.Message) string
	Retry       RetryConfig
	// HandlerTimeout bounds one attempt: the context that the handler sees ends then. Default 2 minutes.
	HandlerTimeout time.Duration
	// CloseTimeout bounds a stop; more than the subscribers' CloseTimeout. Default 30 s.
	CloseTimeout time.Duration
	Logger       *slog.Logger
	Metrics      prometheus.Registerer
}

func (c *RouterConfig) setDefaults() {
	c.Retry.setDefaults()
	if c.HandlerTimeout <= 0 {
		c.HandlerTimeout = 2 * time.Minute
	}
	if c.CloseTimeout <= 0 {
		c.CloseTimeout = 30 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Metrics == nil {
		c.Metrics = prometheus.NewRegistry()
	}
}

// Validate reports what is missing.
func (c *RouterConfig) Validate() error {
	var errs []error
	if c.Stage == "" {
		errs = append(errs, errors.New("stage: expected a name"))
	}
	if c.DeadLetters == nil || c.DeadSubject == nil {
		errs = append(errs, errors.New("dead letters: expected a publisher and a function that gives the subject"))
	}
	return errors.Join(errs...)
}

// idleHandlers bounds the goroutines of a router that wait for the next message.
const idleHandlers = 64

// NewRouter makes a Watermill router whose handlers run on a crew and are surrounded, from the outside in, by measures, dead letters,
// retries, the deadline and the catching of panics.
func NewRouter(cfg RouterConfig) (*message.Router, error) {
	cfg.setDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("router: %w", err)
	}
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: cfg.CloseTimeout}, logAdapter{cfg.Logger})
	if err != nil {
		return nil, fmt.Errorf("router: %w", err)
	}
	metrics := newHandlerMetrics(cfg.Metrics)
	router.AddMiddleware(
		newCrew(idleHandlers).middleware,
		metrics.middleware,
		(&letterbox{stage: cfg.Stage, to: cfg.DeadLetters, subject: cfg.DeadSubject, log: cfg.Logger, metrics: metrics}).middleware,
		(&retrier{cfg: cfg.Retry, log: cfg.Logger, metrics: metrics}).middleware,
		Deadline(cfg.HandlerTimeout),
		Recover,
	)
	return router, nil
}

// Attempt surrounds a handler of messages that come otherwise than by a router; see [Beside]. It catches panics, gives the
// attempt its deadline, and makes dead letters of messages that no other attempt can help. It tries once: whether and when
// to try again after any other error is the caller's to say.
func Attempt(cfg RouterConfig) (message.HandlerMiddleware, error) {
	cfg.setDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("attempt: %w", err)
	}
	letters := &letterbox{stage: cfg.Stage, to: cfg.DeadLetters, subject: cfg.DeadSubject, log: cfg.Logger, metrics: newHandlerMetrics(cfg.Metrics)}
	giveUp := func(h message.HandlerFunc) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) {
			produced, err := h(m)
			if class, _ := Classify(err); err != nil && class == Poison {
				err = &GivenUpError{Attempts: 1, Class: class, Err: err}
			}
			return produced, err
		}
	}
	return func(h message.HandlerFunc) message.HandlerFunc {
		return letters.middleware(giveUp(Deadline(cfg.HandlerTimeout)(Recover(h))))
	}, nil
}

// logAdapter gives Watermill's errors to slog, and its narration to nobody.
type logAdapter struct{ log *slog.Logger }

func (a logAdapter) Error(msg string, err error, fields watermill.LogFields) {
	args := []any{"message", msg, "error", err}
	for k, v := range fields {
		if k != "not_sent_message" { // a payload
			args = append(args, k, v)
		}
	}
	a.log.Error("router.error", args...)
}

func (logAdapter) Info(string, watermill.LogFields)  {}
func (logAdapter) Debug(string, watermill.LogFields) {}
func (logAdapter) Trace(string, watermill.LogFields) {}

func (a logAdapter) With(watermill.LogFields) watermill.LoggerAdapter { return a }
