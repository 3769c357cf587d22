package bus

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// partition is one that we own or are about to.
type partition struct {
	number int
	// busy: something that takes time is being done with it. Guarded by owner.mu, as is feed; the rest belongs to
	// whoever made it busy.
	busy    bool
	restart bool // a new generation is wanted as soon as it is not busy
	feed    *feed
	lease   lease
	renewed time.Time
	ttl     time.Duration
}

func (p *partition) due() bool {
	return p.restart || time.Since(p.renewed) >= p.ttl/3
}

// releaseTimeout bounds giving a lease back: a server that is away must not hold up a stop.
const releaseTimeout = 2 * time.Second

// safety is the part of TTL after which an owner counts its own lease as over: earlier than anyone else may.
const safety = 0.8

// until is when a lease that was asked for at a time ends, on the monotonic clock.
func (o *owner) until(asked int64) int64 {
	return asked + int64(float64(o.cfg.TTL)*safety)
}

// acquire takes a partition and starts its feed.
func (o *owner) acquire(p *partition, old lease) {
	ctx, cancel := context.WithTimeout(o.ctx, o.cfg.TTL)
	defer cancel()
	asked, now := monotonic(), time.Now()
	l, err := o.take(ctx, p.number, old)
	var f *feed
	if err == nil {
		f = o.newOwnedFeed(p, l)
		if !f.extend(o.until(asked)) {
			err = ErrLeaseLost // taking it took too long
		} else if err = f.tend(o.cfg.Tend, p.number); err == nil {
			err = f.start(o.consumerName(p.number, l.Generation))
		}
		if err != nil {
			f.abort()
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if err == nil || o.leaving { // else at the next tick, or we would spin
		defer o.nudge()
	}
	if err != nil {
		delete(o.mine, p.number)
		if o.ctx.Err() == nil && !errors.Is(err, ErrWrongRevision) {
			o.log.Warn("ownership.acquire", "partition", p.number, "error", err)
		}
		return
	}
	p.feed, p.lease, p.ttl, p.renewed, p.busy = f, l, o.cfg.TTL, now, false
	o.sub.s.metrics.owned.Inc()
	o.log.Info("ownership.acquired", "partition", p.number, "generation", l.Generation, "floor", l.Floor, "from", old.Member)
}

func (o *owner) newOwnedFeed(p *partition, l lease) *feed {
	f := newFeed(o.sub, true)
	f.base = l.Floor
	f.lost = func() { o.restart(p) }
	return f
}

// renew writes the lease again, with the floor. A lease that another wrote is lost; one that cannot be reached is tried
// again until our own clock says that it is over.
func (o *owner) renew(p *partition) {
	ctx, cancel := context.WithTimeout(o.ctx, min(o.cfg.TTL/3, p.feed.left()))
	defer cancel()
	o.mu.Lock()
	again := p.restart
	p.restart = false
	o.mu.Unlock()

	err := o.rewrite(ctx, p)
	if err == nil && again {
		err = o.regenerate(ctx, p)
	}
	switch {
	case err == nil:
	case errors.Is(err, ErrWrongRevision), errors.Is(err, ErrLeaseLost), !p.feed.valid():
		o.lose(p, err)
		return
	case o.ctx.Err() == nil:
		o.log.Warn("ownership.renew", "partition", p.number, "error", err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	p.busy = false
	if err == nil && (p.restart || o.leaving) {
		o.nudge() // there is something to be done at once; after an error, at the next tick
	}
	p.restart = p.restart || again && err != nil
}

// rewrite writes the lease of a partition that is ours and moves its end.
func (o *owner) rewrite(ctx context.Context, p *partition) error {
	asked, now := monotonic(), time.Now()
	next := p.lease
	next.Floor = p.feed.floor()
	if err := o.write(ctx, p.number, &next, p.lease.revision); err != nil {
		return err
	}
	p.lease, p.renewed = next, now
	if !p.feed.extend(o.until(asked)) {
		return ErrLeaseLost
	}
	return nil
}

// regenerate replaces the consumer of a partition that stays ours: something was lost between the server and us, and a
// consumer from the floor on brings it at once and in order. The lease is written first, so that whoever comes after us,
// if we end in between, finds the names of both consumers in it.
//
// Where the stream was deleted and made again, nothing that we know of it holds: the partition is lost, and taken anew.
func (o *owner) regenerate(ctx context.Context, p *partition) error {
	created, err := o.streamCreated(ctx)
	switch {
	case err != nil:
		return err
	case !created.Equal(p.lease.Stream):
		return fmt.Errorf("%w: stream %s was made again", ErrLeaseLost, o.stream)
	}
	p.feed.mute()
	next := p.lease
	next.Generation, next.Previous, next.Floor = p.lease.revision, p.lease.Generation, p.feed.floor()
	if err := o.write(ctx, p.number, &next, p.lease.revision); err != nil {
		return err
	}
	older := p.lease.Previous
	p.lease = next
	if err := o.dropConsumers(ctx, p.number, next.Previous, older); err != nil {
		return err
	}
	p.lease.Previous = 0 // the next renewal tells
	if err := o.makeConsumer(ctx, p.number, next); err != nil {
		return err
	}
	o.sub.s.metrics.regenerated.Inc()
	return p.feed.start(o.consumerName(p.number, next.Generation))
}

// restart asks for a new generation of a partition's consumer.
func (o *owner) restart(p *partition) {
	o.mu.Lock()
	p.restart = true
	o.mu.Unlock()
	o.nudge()
}

// lose gives up a partition that another has taken, or that we could not renew.
func (o *owner) lose(p *partition, err error) {
	o.log.Warn("ownership.lost", "partition", p.number, "generation", p.lease.Generation, "error", err)
	o.sub.s.metrics.lost.Inc()
	p.feed.abort()
	o.forget(p)
}

func (o *owner) forget(p *partition) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.mine, p.number)
	o.sub.s.metrics.owned.Dec()
	o.nudge()
}

// handOver gives a partition to the member that should have it now.
func (o *owner) handOver(p *partition) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(o.ctx), o.sub.s.cfg.CloseTimeout+2*time.Second)
	defer cancel()
	o.release(ctx, p)
	o.forget(p)
}

// release drains a partition, with its lease kept alive meanwhile, and gives the lease back with the floor.
func (o *owner) release(ctx context.Context, p *partition) {
	drained := make(chan struct{})
	go func() { p.feed.drain(o.sub.s.cfg.CloseTimeout); close(drained) }()
	keep := time.NewTicker(o.cfg.TTL / 3)
	defer keep.Stop()
	for waiting := true; waiting; {
		select {
		case <-drained:
			waiting = false
		case <-keep.C:
			try, cancel := context.WithTimeout(ctx, o.cfg.TTL/3)
			if err := o.rewrite(try, p); errors.Is(err, ErrWrongRevision) || errors.Is(err, ErrLeaseLost) {
				p.feed.abort()
			}
			cancel()
		}
	}
	ctx, cancel := context.WithTimeout(ctx, releaseTimeout)
	defer cancel()
	free := p.lease
	free.Member, free.Floor = "", p.feed.floor()
	err := o.write(ctx, p.number, &free, p.lease.revision)
	if err == nil {
		err = o.dropConsumers(ctx, p.number, free.Generation, free.Previous)
	}
	if err != nil {
		o.log.Warn("ownership.release", "partition", p.number, "error", err)
		return
	}
	o.log.Info("ownership.released", "partition", p.number, "floor", free.Floor)
}
