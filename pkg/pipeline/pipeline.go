// Package pipeline joins a stage to the bus. It knows the envelopes, the topology and the bus, so that a stage sees dm types
// only: handlers get decoded envelopes, return what is to be published, and say with their error what is to be done.
package pipeline

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/telemetry"
)

// Host is what a process that runs several stages lends to each. A stage in a process of its own gets none and makes
// its own.
type Host struct {
	Telemetry *telemetry.Telemetry
	Conn      *bus.Conn
	// Member names the process in ownerships, where no two processes of that name can run at once; see bus.Ownership.
	Member string
}

// Options says how a stage joins.
type Options struct {
	Service string
	Common  config.Common
	NATS    config.NATS
	Host    *Host
	// Early: [Open] does not wait for a bus that is away, [Pipeline.Join] does. Until then nothing can be published or handled, and the
	// bus is a note in /readyz: a stage that is early can do without it for a while.
	Early bool
}

// Pipeline is a stage's side of the bus.
type Pipeline struct {
	o          Options
	tel        *telemetry.Telemetry
	conn       *bus.Conn
	publisher  *bus.Publisher
	router     *message.Router
	partitions atomic.Int32 // 0 until the streams are known
	joined     atomic.Bool
	leases     *bus.Bucket
	handlers   int
	started    atomic.Bool
	stopping   chan struct{}
	joining    chan struct{} // has room for who joins
	leave      func()        // takes the stage from the list of those that run; nil until it has joined
	closers    []func()
}

// errStarting is what the readiness check says until the stage can do its work.
var errStarting = errors.New("the stage is still starting")

// closeMargin is what a stop has left, of SHUTDOWN_TIMEOUT, when handlers must have ended: to release leases, flush and close.
const closeMargin = 5 * time.Second

// Open starts the stage's telemetry, connects, and sees to it that the streams exist. It waits for a bus that is away, for as
// long as ctx lives.
func Open(ctx context.Context, o Options) (*Pipeline, error) {
	p := &Pipeline{o: o, stopping: make(chan struct{}), joining: make(chan struct{}, 1)}
	if err := p.open(ctx); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func (p *Pipeline) open(ctx context.Context) error {
	if p.o.Host != nil {
		p.tel, p.conn = p.o.Host.Telemetry.For(p.o.Service), p.o.Host.Conn
		p.tel.Health.Add("started", p.checkStarted)
	} else if err := p.openOwn(ctx); err != nil {
		return err
	}
	if p.o.Early {
		p.tel.Health.AddNote("nats", func(ctx context.Context) (string, error) { return "", p.conn.Ready(ctx) })
	} else {
		p.tel.Health.Add("nats", p.conn.Ready)
	}
	p.publisher = bus.NewPublisher(p.conn, bus.PublisherConfig{})
	var err error
	p.router, err = bus.NewRouter(bus.RouterConfig{
		Stage: p.o.Service, DeadLetters: p.publisher, DeadSubject: p.deadSubject, HandlerTimeout: handlerTimeout,
		CloseTimeout: p.drainTimeout() + closeMargin/2, Logger: p.tel.Log, Metrics: p.tel.Metrics,
	})
	switch {
	case err != nil:
		return err
	case !p.o.Early:
		return p.Join(ctx)
	case p.conn.Connected():
		soon, cancel := context.WithTimeout(ctx, joinSoon)
		defer cancel()
		if err := p.Join(soon); err != nil {
			p.tel.Log.Warn("bus.not_joined_yet", telemetry.KeyError, err)
		}
	}
	return nil
}

// openOwn makes what a host would have lent.
func (p *Pipeline) openOwn(ctx context.Context) error {
	tel, err := telemetry.Start(ctx, telemetry.Options{Service: p.o.Service, Common: p.o.Common})
	if err != nil {
		return err
	}
	p.tel = tel
	// Before anything that takes time: /readyz is served already.
	tel.Health.Add("started", p.checkStarted)
	p.closers = append(p.closers, func() { //nolint:contextcheck // ctx has ended by then
		ctx, cancel := context.WithTimeout(context.Background(), closeMargin/2)
		defer cancel()
		_ = tel.Close(ctx)
	})
	p.conn, err = bus.Connect(ctx, bus.ConnConfig{
		URL: p.o.NATS.URL.Reveal(), CredsFile: p.o.NATS.CredsFile, Name: p.o.Common.AppName + "-" + p.o.Service, Early: true, Logger: tel.Log,
	})
	if err != nil {
		return err
	}
	p.closers = append(p.closers, p.conn.Close)
	return nil
}

// Telemetry is the stage's log, metrics, tracer and health.
func (p *Pipeline) Telemetry() *telemetry.Telemetry { return p.tel }

// Conn is the connection to the bus, for the packages beside this one that look at the bus or change what is kept there.
func (p *Pipeline) Conn() *bus.Conn { return p.conn }

// Partitions is the number of partitions that the streams were made with.
func (p *Pipeline) Partitions() int { return int(p.partitions.Load()) }

// Started makes the stage ready, as far as its dependencies are. Run does it for stages with handlers; one without, whose
// work comes from elsewhere, says so itself.
func (p *Pipeline) Started() { p.started.Store(true) }

func (p *Pipeline) checkStarted(context.Context) error {
	if !p.started.Load() {
		return errStarting
	}
	return nil
}

func (p *Pipeline) drainTimeout() time.Duration {
	return max(p.o.Common.ShutdownTimeout-closeMargin, time.Second)
}

// Run hands messages to the handlers until ctx ends, then lets running ones finish and confirms their acknowledgements.
func (p *Pipeline) Run(ctx context.Context) error {
	var trimming sync.WaitGroup
	defer trimming.Wait()
	// What Run starts ends with it, also when it fails while ctx goes on.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	trimming.Go(func() { p.trim(ctx) })
	if p.handlers == 0 {
		p.Started()
		<-ctx.Done()
		return nil
	}
	// A router that is not running yet cannot be closed; its subscribers let it come so far.
	ended := context.AfterFunc(ctx, func() { close(p.stopping) })
	defer ended()
	done := make(chan error, 1)
	go func() { done <- p.router.Run(context.WithoutCancel(ctx)) }()
	select {
	case <-p.router.Running():
		p.Started()
	case err := <-done:
		return fmt.Errorf("run handlers: %w", err)
	}
	select {
	case err := <-done:
		switch {
		case err != nil:
			return fmt.Errorf("run handlers: %w", err)
		case ctx.Err() != nil:
			return nil
		default:
			return errors.New("run handlers: they ended by themselves")
		}
	case <-ctx.Done():
	}
	err := p.router.Close()
	return errors.Join(err, <-done)
}

// Close ends publishing and what Open opened.
func (p *Pipeline) Close() error {
	var err error
	if p.leave != nil {
		p.leave()
		p.leave = nil
	}
	if p.publisher != nil {
		err = p.publisher.Close()
	}
	for i := len(p.closers) - 1; i >= 0; i-- {
		p.closers[i]()
	}
	p.closers = nil
	return err
}
