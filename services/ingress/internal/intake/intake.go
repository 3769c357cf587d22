// Package intake makes the events of a webhook durable before it is answered: acknowledged by JetStream, or, when the bus does
// not do that in time, in the spool, from where [Intake.Drain] publishes them when it does. When neither can take it the
// webhook is refused, and Meta brings it again.
//
// Webhooks of one conversation are taken one after another, as they came, and go to the spool while it holds anything of that
// conversation; see package spool for why that keeps the order. While the bus is known to be away everything goes there at
// once. What finds out that it is back is the spool itself: its first webhook that is published says so. An outage that has just
// begun may be over in a moment: webhooks wait for that, so that few of them take the way through the spool.
//
// A webhook that was published in part and then spooled is published again as a whole, with the same ids.
package intake

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/services/ingress/internal/spool"
)

// ErrUnavailable says that the events could not be made durable now. Some of them may be: taking the same webhook again stores
// nothing twice.
var ErrUnavailable = errors.New("no durable place for the webhook now")

// How long a webhook may take, from its first byte; Meta waits 5 s. The bus has busWithin, the spool what is left of
// answerWithin. However long the body took to come and to read, each has leastWait.
const (
	busWithin    = 2 * time.Second
	answerWithin = 4 * time.Second
	leastWait    = 500 * time.Millisecond
	// nextLook is when a webhook is tried again that could not go straight to the bus.
	nextLook = 10 * time.Millisecond
)

// Bus publishes; [pipeline.Pipeline] does.
type Bus interface {
	Event(e dm.Event, cause string) pipeline.Outgoing
	Publish(ctx context.Context, out ...pipeline.Outgoing) error
	// Joined says whether publishing is worth a try.
	Joined() bool
}

// Spool keeps webhooks on the disk; [spool.Spool] does.
type Spool interface {
	Enqueue(r spool.Record) (*spool.Commit, error)
	Busy(lanes []uint16) bool
	Next(ctx context.Context, most int) ([]spool.Record, error)
	First(n int) []spool.Record
	Done()
	Keep()
	Stats() spool.Stats
	Check(ctx context.Context) (detail string, err error)
}

// Fence knows what waits in the spools of other replicas; [fence.Fence] does.
type Fence interface {
	// Live says whether the bus gives signs of life and what others hold is known; Open whether nothing older of these lanes waits there.
	Live() bool
	Open(lanes []uint16) bool
	// May is how many of the spool's first records may leave; changed is closed when it may be more.
	May(records []spool.Record) (n int, changed <-chan struct{})
	// Tell tells others what waits here and returns when they know; Note does not wait.
	Tell(ctx context.Context)
	Note()
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
	Bus   Bus
	Spool Spool
	Fence Fence
	// Answers says whether an account is one that is answered for.
	Answers func(channel dm.Channel, account string) bool
	Log     *slog.Logger
	Metrics prometheus.Registerer
	// BusWithin, AnswerWithin and LeastWait bound the wait: 2 s for the bus and 4 s for the answer, from the request's coming,
	// but never less than 0.5 s each, if 0.
	BusWithin, AnswerWithin, LeastWait time.Duration
}

// Intake takes webhooks.
type Intake struct {
	bus       Bus
	spool     Spool
	fence     Fence
	answers   func(channel dm.Channel, account string) bool
	log       *slog.Logger
	busWithin time.Duration
	within    time.Duration
	least     time.Duration
	turns     turns
	// away: the bus did not acknowledge a webhook, and has acknowledged none of the spool since.
	away atomic.Bool
	// lost is when it was first seen that there is no connection, in nanoseconds since 1970; 0 when there is one.
	lost    atomic.Int64
	events  *prometheus.CounterVec
	seconds *prometheus.HistogramVec
	spooled prometheus.Counter
	refused prometheus.Counter
}

// New makes an intake and registers its metrics.
func New(d Deps) *Intake {
	setDefault(&d.BusWithin, busWithin)
	setDefault(&d.AnswerWithin, answerWithin)
	setDefault(&d.LeastWait, leastWait)
	i := &Intake{
		bus: d.Bus, spool: d.Spool, fence: d.Fence, answers: d.Answers, log: d.Log, busWithin: d.BusWithin, within: d.AnswerWithin, least: d.LeastWait,
		turns: turns{last: map[uint16]chan struct{}{}},
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ingress_events_total", Help: "Events that the bus has acknowledged, by kind and by whether their account is answered for.",
		}, []string{"kind", "known_account"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "ingress_publish_seconds", Help: "How long the bus took to acknowledge all events of a webhook, by outcome.",
			Buckets: []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .25, .5, 1, 2, 4},
		}, []string{"outcome"}),
		spooled: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ingress_spooled_webhooks_total", Help: "Webhooks that went to the spool because the bus did not take them in time.",
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ingress_spool_refused_total", Help: "Events and webhooks of the spool that the bus will never take; their file is kept.",
		}),
	}
	d.Metrics.MustRegister(i.events, i.seconds, i.spooled, i.refused)
	return i
}

func setDefault(d *time.Duration, value time.Duration) {
	if *d <= 0 {
		*d = value
	}
}

// Take returns nil when every event of the webhook is durable, an error that is [ErrUnavailable] otherwise. It goes on
// when the client has gone away: what has begun is finished.
func (i *Intake) Take(ctx context.Context, w Webhook) error {
	if len(w.Events) == 0 {
		return nil
	}
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), until(w, i.within, 2*i.least))
	defer cancel()
	commit, err := i.inTurn(ctx, w)
	if err == nil && commit != nil {
		err = commit.Wait(ctx)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}

// inTurn publishes a webhook, or gives it its place in the spool, when those before it in its conversations have theirs.
func (i *Intake) inTurn(ctx context.Context, w Webhook) (*spool.Commit, error) {
	each, lanes := lanesOf(w.Events)
	turn := i.turns.next(lanes)
	if err := turn.wait(ctx); err != nil {
		return nil, fmt.Errorf("an earlier webhook of the same conversation is not done: %w", err)
	}
	defer turn.end()
	return i.place(ctx, w, each, lanes)
}

// until is when something must be over.
func until(w Webhook, within, atLeast time.Duration) time.Time {
	end, least := w.ReceivedAt.Add(within), time.Now().Add(atLeast)
	if end.Before(least) {
		return least
	}
	return end
}

// place publishes a webhook, or gives it its place in the spool.
func (i *Intake) place(ctx context.Context, w Webhook, each, lanes []uint16) (*spool.Commit, error) {
	published := i.direct(ctx, w, each, lanes)
	if class, _ := bus.Classify(published); published == nil || class == bus.Poison { // nor would it be taken from the spool
		return nil, published
	}
	commit, err := i.spool.Enqueue(spool.Record{At: w.ReceivedAt, Request: w.Request, Lanes: lanes, Body: w.Raw})
	if err != nil {
		return nil, errors.Join(err, published)
	}
	i.spooled.Inc()
	if tried := !errors.Is(published, errBehind) && !errors.Is(published, errAway); tried && !i.away.Swap(true) {
		i.log.Warn("spool.used", telemetry.KeyError, published)
	}
	i.fence.Tell(ctx) // others may take what comes next of this conversation, and must know before it can come
	return commit, nil
}

// Why a webhook does not go straight to the bus.
var (
	errBehind = errors.New("it goes behind what waits in a spool")
	errAway   = errors.New("the bus is away")
)

// direct publishes a webhook, unless something older is on its way through a spool. A bus that is away may be back in a moment,
// and so may what waits in another replica's spool be gone: what is answered when it is on the bus cannot be overtaken.
func (i *Intake) direct(ctx context.Context, w Webhook, each, lanes []uint16) error {
	ctx, cancel := context.WithDeadline(ctx, until(w, i.busWithin, i.least))
	defer cancel()
	for {
		err := errAway
		switch {
		case i.away.Load() || i.spool.Busy(lanes):
			return errBehind
		case !i.bus.Joined() || !i.fence.Live():
			if i.awayFor() > i.busWithin {
				return errAway
			}
		case !i.fence.Open(lanes):
			err = errBehind
		default:
			i.lost.Store(0)
			err = i.publish(ctx, w, each)
			if class, _ := bus.Classify(err); err == nil || class == bus.Poison {
				return err
			}
		}
		if !pause(ctx, nextLook) {
			return err
		}
	}
}

// awayFor is how long there has been no connection, as far as webhooks have seen.
func (i *Intake) awayFor() time.Duration {
	now := time.Now()
	i.lost.CompareAndSwap(0, now.UnixNano())
	return now.Sub(time.Unix(0, i.lost.Load()))
}

// publish tries the bus.
func (i *Intake) publish(ctx context.Context, w Webhook, lanes []uint16) error {
	b := batch{events: w.Events, lanes: lanes, causes: make([]string, len(w.Events))}
	for n := range b.causes {
		b.causes[n] = w.Request
	}
	start := time.Now()
	err := publish(ctx, i.bus, b)
	i.seconds.WithLabelValues(outcome(err)).Observe(time.Since(start).Seconds())
	if err == nil {
		i.count(w.Events)
	}
	return err
}

// Check is a readiness check: webhooks have a place to go.
func (i *Intake) Check(ctx context.Context) error {
	if i.bus.Joined() && !i.away.Load() {
		return nil
	}
	if _, err := i.spool.Check(ctx); err != nil {
		return fmt.Errorf("the bus is away, and %w", err)
	}
	return nil
}

func (i *Intake) count(events []dm.Event) {
	for n := range events {
		i.events.WithLabelValues(string(events[n].Kind), known(events[n].KnownAccount)).Inc()
	}
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
