package pipeline

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/pipeline/roster"
	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/pkg/topology"
)

const (
	// joinPause is between two tries of what failed because the bus is away, joinTry the time that one may take.
	joinPause, joinTry = 500 * time.Millisecond, 10 * time.Second
	// glimpsePause and glimpseTry are the same for one look at what there is.
	glimpsePause, glimpseTry = 100 * time.Millisecond, time.Second
	// joinSoon is how long a stage that is early waits for a bus that is there.
	joinSoon = 2 * time.Second
	// sayEvery is how often a stage that waits says so.
	sayEvery = 30 * time.Second
	// refusedFor is how long JetStream may refuse to make the streams: on a cluster that is starting it does for a moment.
	refusedFor = 30 * time.Second
)

// Join waits until the bus is there, and sees to it that the streams exist. It fails when ctx ends first, and when JetStream goes
// on refusing: that is a setting, and waiting does not mend it. [Open] calls it, but for a stage that is early. Once joined it does nothing.
// Several may call it at once: one joins, and the others wait for it.
func (p *Pipeline) Join(ctx context.Context) error {
	select {
	case p.joining <- struct{}{}:
		defer func() { <-p.joining }()
	case <-ctx.Done():
		return fmt.Errorf("join the bus: %w", context.Cause(ctx))
	}
	if p.joined.Load() {
		return nil
	}
	if err := p.reach(ctx); err != nil {
		return err
	}
	if p.o.Early {
		stop := p.glimpse(ctx)
		defer stop()
	}
	var partitions int
	err := p.patiently(ctx, "make the streams", func(ctx context.Context) (err error) {
		partitions, err = topology.Ensure(ctx, p.conn.JetStream(), topology.Options{Replicas: p.o.NATS.Replicas})
		return err
	})
	if err != nil {
		return err
	}
	if p.leases, err = p.Bucket(ctx, topology.Leases); err != nil {
		return err
	}
	p.partitions.Store(int32(partitions)) //nolint:gosec // a small positive number
	p.joined.Store(true)
	return p.announce(ctx)
}

// glimpse lets a stage that is early publish as soon as the stream of events can be read, though others, of which it needs none, have
// no leader yet, until the returned function is called.
func (p *Pipeline) glimpse(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil && p.partitions.Load() == 0 {
			look, over := context.WithTimeout(ctx, glimpseTry)
			partitions, err := topology.Partitions(look, p.conn.JetStream())
			over()
			if err == nil {
				p.partitions.CompareAndSwap(0, int32(partitions)) //nolint:gosec // a small positive number
				return
			}
			select {
			case <-ctx.Done():
			case <-time.After(glimpsePause):
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// announce lists the stage among those that run, until it is closed.
func (p *Pipeline) announce(ctx context.Context) error {
	bucket, err := p.Bucket(ctx, topology.Roster)
	if err != nil {
		return err
	}
	announcing, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		roster.NewAnnouncer(bucket, p.tel, rand.Text()[:10]).Run(announcing)
	}()
	p.leave = func() {
		stop()
		<-done
	}
	return nil
}

// reach waits for the first connection, and says so now and then.
func (p *Pipeline) reach(ctx context.Context) error {
	select {
	case <-p.conn.Reached():
		return nil
	default:
	}
	tick := time.NewTicker(sayEvery)
	defer tick.Stop()
	for {
		p.tel.Log.Warn("bus.waiting", telemetry.KeyError, p.conn.Ready(ctx))
		select {
		case <-p.conn.Reached():
			p.tel.Log.Info("bus.reached")
			return nil
		case <-ctx.Done():
			return fmt.Errorf("connect to NATS: %w: %w", p.conn.Ready(context.WithoutCancel(ctx)), context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// patiently tries something until it succeeds, ctx ends, or JetStream has refused it for too long.
func (p *Pipeline) patiently(ctx context.Context, what string, f func(ctx context.Context) error) error {
	var refused, said time.Time
	for {
		err := p.try(ctx, f)
		now := time.Now()
		switch {
		case err == nil:
			return nil
		case errors.Is(err, bus.ErrClosed):
			return fmt.Errorf("%s: %w", what, err)
		case ctx.Err() != nil:
			return fmt.Errorf("%s: %w: %w", what, err, context.Cause(ctx))
		case p.away(err):
			refused = time.Time{}
		case refused.IsZero():
			refused = now
		case now.Sub(refused) > refusedFor && !p.o.Early:
			return fmt.Errorf("%s: %w", what, err)
		}
		if now.Sub(said) > sayEvery {
			p.tel.Log.Warn("bus.waiting", "for", what, telemetry.KeyError, err)
			said = now
		}
		select {
		case <-ctx.Done():
		case <-time.After(joinPause):
		}
	}
}

// try does not begin while there is no connection: it could only wait, and a stop would have to wait for it.
func (p *Pipeline) try(ctx context.Context, f func(ctx context.Context) error) error {
	if !p.conn.Connected() {
		return p.conn.Ready(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, joinTry)
	defer cancel()
	return f(ctx)
}

// away says whether an error means that nobody answered.
func (p *Pipeline) away(err error) bool {
	return !p.conn.Connected() || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) || errors.Is(err, nats.ErrNoResponders) ||
		errors.Is(err, nats.ErrDisconnected) || errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, bus.ErrUnavailable)
}

// Joined says whether the stage knows the streams and there is a connection now: whether it is worth publishing.
func (p *Pipeline) Joined() bool { return p.partitions.Load() > 0 && p.conn.Connected() }

// Bucket opens a bucket of the topology, and waits for a bus that is away.
func (p *Pipeline) Bucket(ctx context.Context, b topology.Bucket) (bucket *bus.Bucket, err error) {
	err = p.patiently(ctx, "open bucket "+b.Name, func(ctx context.Context) (err error) {
		bucket, err = bus.OpenBucket(ctx, p.conn, b.Name)
		return err
	})
	return bucket, err
}

// patient subscribes when the bus is there, however long that takes; a router would give up at once. When the stage stops
// first the subscription ends before it began.
type patient struct {
	*bus.Subscriber
	p    *Pipeline
	name string
}

// Subscribe implements message.Subscriber.
func (s patient) Subscribe(ctx context.Context, topic string) (out <-chan *message.Message, err error) {
	// A subscription lives as long as its context, which therefore is not the one that waits.
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-s.p.stopping:
			cancel()
		case <-waiting.Done():
		}
	}()
	err = s.p.patiently(waiting, "subscribe "+s.name, func(context.Context) (err error) {
		out, err = s.Subscriber.Subscribe(ctx, topic)
		return err
	})
	if err != nil && waiting.Err() != nil && ctx.Err() == nil {
		nothing := make(chan *message.Message)
		close(nothing)
		return nothing, nil
	}
	return out, err
}
