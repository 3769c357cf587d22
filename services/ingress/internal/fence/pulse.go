package fence

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// pulse is whether the bus gives signs of life, and its outages. It is written by one goroutine.
type pulse struct {
	// epoch is how many times life began: at the first sign, and at the first after each outage.
	epoch atomic.Uint64
	// losses is how often the connection had been lost at the last sign; last is when that was, in nanoseconds since 1970.
	losses atomic.Uint64
	last   atomic.Int64

	mu sync.Mutex
	// gone is the last sign before the latest outage, came the first one after it.
	gone, came time.Time
}

// alive says whether there was a sign lately, on the connection that there is: it takes what Connected says.
func (p *pulse) alive(losses uint64, connected bool) bool {
	return connected && p.losses.Load() == losses && time.Since(time.Unix(0, p.last.Load())) < stallAfter
}

// back is when life began; outage is since when, before that, there had been no sign.
func (p *pulse) back() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.came
}

func (p *pulse) outage() (since time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.gone
}

// felt notes a sign, and says whether an outage is over with it.
func (p *pulse) felt(losses uint64) (begins bool) {
	now := time.Now()
	last := time.Unix(0, p.last.Load())
	if p.epoch.Load() == 0 {
		last = now
	}
	begins = p.epoch.Load() == 0 || p.losses.Load() != losses || now.Sub(last) > stallAfter
	if begins {
		p.mu.Lock()
		p.gone, p.came = last, now
		p.mu.Unlock()
		p.epoch.Add(1)
	}
	p.losses.Store(losses)
	p.last.Store(now.UnixNano())
	return begins
}

// feel asks for signs of life until ctx ends.
func (f *Fence) feel(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		next := soon
		if losses, ok := f.o.Connected(); ok {
			asked, cancel := context.WithTimeout(ctx, stallAfter)
			err := f.o.Ping(asked)
			cancel()
			if err == nil {
				next = pulseEvery
				if f.pulse.felt(losses) {
					f.nudge()
				}
			}
		}
		timer.Reset(next)
	}
}
