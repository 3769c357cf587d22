// Package intake makes the events of a webhook durable before it is answered. Today that means acknowledged by JetStream;
// when the bus cannot, the webhook is refused and Meta brings it again.
package intake

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/pipeline"
)

// ErrUnavailable: the events could not be made durable now. Some of them may be: taking the same webhook again stores
// nothing twice.
var ErrUnavailable = errors.New("no durable place for the webhook now")

// ackTimeout is how long JetStream may take. Meta waits 5 s.
const ackTimeout = 3500 * time.Millisecond

// Bus publishes; [pipeline.Pipeline] does.
type Bus interface {
	Event(e dm.Event, cause string) pipeline.Outgoing
	Publish(ctx context.Context, out ...pipeline.Outgoing) error
}

// Webhook is one verified webhook.
type Webhook struct {
	// Request is the id of the HTTP request that brought it.
	Request string
	// Raw is the body as it came, Events what is in it.
	Raw    []byte
	Events []dm.Event
}

// Deps is what an intake needs.
type Deps struct {
	Bus     Bus
	Metrics prometheus.Registerer
	// AckTimeout is how long the bus may take; 3.5 s if 0.
	AckTimeout time.Duration
}

// Intake takes webhooks.
type Intake struct {
	bus     Bus
	timeout time.Duration
	events  *prometheus.CounterVec
	seconds *prometheus.HistogramVec
}

// New makes an intake and registers its metrics.
func New(d Deps) *Intake {
	if d.AckTimeout <= 0 {
		d.AckTimeout = ackTimeout
	}
	i := &Intake{
		bus: d.Bus, timeout: d.AckTimeout,
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ingress_events_total", Help: "Events that were made durable, by kind and by whether their account is answered for.",
		}, []string{"kind", "known_account"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "ingress_publish_seconds", Help: "How long the bus took to acknowledge all events of a webhook, by outcome.",
			Buckets: []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .25, .5, 1, 2, 4},
		}, []string{"outcome"}),
	}
	d.Metrics.MustRegister(i.events, i.seconds)
	return i
}

// Take returns nil when every event of the webhook is durable, an error that is [ErrUnavailable] otherwise. It goes on
// when the client has gone away: what has begun is finished.
func (i *Intake) Take(ctx context.Context, w Webhook) error {
	if len(w.Events) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), i.timeout)
	defer cancel()
	out := make([]pipeline.Outgoing, len(w.Events))
	for n, e := range w.Events {
		out[n] = i.bus.Event(e, w.Request)
	}
	start := time.Now()
	err := i.bus.Publish(ctx, out...)
	i.seconds.WithLabelValues(outcome(err)).Observe(time.Since(start).Seconds())
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	for n := range w.Events {
		e := &w.Events[n]
		i.events.WithLabelValues(string(e.Kind), known(e.KnownAccount)).Inc()
	}
	return nil
}

func outcome(err error) string {
	if err != nil {
		return "unavailable"
	}
	return "acknowledged"
}

func known(yes bool) string {
	if yes {
		return "true"
	}
	return "false"
}
