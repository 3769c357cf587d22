package fence

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// pulse is whether the bus gives signs of life, and its outages.
type pulse struct {
	// epoch is how many times life began: at the first sign, and at the first after each outage.
	epoch atomic.Uint64
	// losses is how often the connection had been lost at the last sign; last is when that was, in nanoseconds since 1970.
	losses atomic.Uint64
	last   atomic.Int64

	mu   sync.Mutex // of those who feel
	came time.Time  // the first sign after the latest outage
}

// alive says whether there was a sign lately, on the connection that there is: it takes what Connected says.
func (p *pulse) alive(losses uint64, connected bool) bool {
	return connected && p.losses.Load() == losses && time.Since(time.Unix(0, p.last.Load())) < stallAfter
}

// back is when life began.
func (p *pulse) back() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.came
}

// felt notes a sign, and says whether an outage is over with it.
func (p *pulse) felt(losses uint64) (begins bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if begins = p.epoch.Load() == 0 || p.losses.Load() != losses || now.Sub(time.Unix(0, p.last.Load())) > stallAfter; begins {
		p.came = now
		p.epoch.Add(1)
	}
	p.losses.Store(losses)
	p.last.Store(now.UnixNano())
	return begins
}

// feel asks the server for signs of life until ctx ends. One that is alone has no better ones. A server that does not answer,
// though there is a connection, is left for another one.
func (f *Fence) feel(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var left time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		next := soon
		losses, connected := f.o.Connected()
		switch {
		case !connected:
		case f.answered(ctx):
			next = pulseEvery
			if f.alone() && f.pulse.felt(losses) {
				f.nudge()
			}
		case ctx.Err() == nil && f.o.Reconnect != nil && time.Since(left) > reconnectEvery:
			left = time.Now()
			f.o.Reconnect()
		}
		timer.Reset(next)
	}
}

// answered says whether the server answers.
func (f *Fence) answered(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, stallAfter)
	defer cancel()
	return f.o.Ping(ctx) == nil
}
