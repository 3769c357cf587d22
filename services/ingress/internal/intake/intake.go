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

// ErrUnavailable says that the events could not be made durable now. Some of them may be: taking the same webhook again stores
// nothing twice.
var ErrUnavailable = errors.New("no durable place for the webhook now")

// answerWithin is how long a webhook may wait for JetStream, from its first byte. Meta waits 5 s. However long the body took
// to come and to read, JetStream gets leastWait.
const (
	answerWithin = 4 * time.Second
	leastWait    = time.Second
)

// Bus publishes; [pipeline.Pipeline] does.
type Bus interface {
	Event(e dm.Event, cause string) pipeline.Outgoing
	Publish(ctx context.Context, out ...pipeline.Outgoing) error
}

// Webhook is one verified webhook.
type Webhook struct {
	// Request is the id of the HTTP request that brought it.
	Request string
	// ReceivedAt is when the request came.
	ReceivedAt time.Time
	// Raw is the body as it came, Events what is in it.
	Raw    []byte
	Events []dm.Event
}

// Deps is what an intake needs.
type Deps struct {
	Bus     Bus
	Metrics prometheus.Registerer
	// AnswerWithin and LeastWait bound the wait for the bus; 4 s from the request's coming, but never less than 1 s, if 0.
	AnswerWithin, LeastWait time.Duration
}

// Intake takes webhooks.
type Intake struct {
	bus     Bus
	within  time.Duration
	least   time.Duration
	events  *prometheus.CounterVec
	seconds *prometheus.HistogramVec
}

// New makes an intake and registers its metrics.
func New(d Deps) *Intake {
	if d.AnswerWithin <= 0 {
		d.AnswerWithin = answerWithin
	}
	if d.LeastWait <= 0 {
		d.LeastWait = leastWait
	}
	i := &Intake{
		bus: d.Bus, within: d.AnswerWithin, least: d.LeastWait,
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
	out := make([]pipeline.Outgoing, len(w.Events))
	for n := range w.Events {
		out[n] = i.bus.Event(w.Events[n], w.Request)
	}
	start := time.Now()
	wait := max(i.within-start.Sub(w.ReceivedAt), i.least)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), wait)
	defer cancel()
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
