package bus

import (
	"context"
	"sync"
	"time"
)

// lazyContext is a context that costs next to nothing until somebody asks for its Done channel, which the handlers that
// only compute never do: one is made for each message and one for each attempt.
//
// It ends when its parent ends, when it is ended, and at its deadline if it has one.
type lazyContext struct {
	context.Context // the parent
	deadline        time.Time
	held            *held // the message that it belongs to; nil: the parent's

	mu     sync.Mutex
	done   chan struct{} // nil until it is asked for
	err    error
	timer  *time.Timer
	off    func() bool // from the parent
	afters map[*func()]struct{}
}

// Deadline is the earlier one of the parent's and our own.
func (c *lazyContext) Deadline() (time.Time, bool) {
	at, ok := c.Context.Deadline()
	if c.deadline.IsZero() || ok && at.Before(c.deadline) {
		return at, ok
	}
	return c.deadline, true
}

// Done starts to watch the parent and the clock.
func (c *lazyContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.doneLocked()
}

func (c *lazyContext) doneLocked() <-chan struct{} {
	if c.done != nil {
		return c.done
	}
	c.done = make(chan struct{})
	if c.errLocked() != nil {
		close(c.done)
		return c.done
	}
	c.off = afterFunc(c.Context, func() { c.end(c.Context.Err()) })
	if !c.deadline.IsZero() {
		c.timer = time.AfterFunc(time.Until(c.deadline), func() { c.end(context.DeadlineExceeded) })
	}
	return c.done
}

func (c *lazyContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.errLocked()
}

// errLocked sees for itself while nobody watches.
func (c *lazyContext) errLocked() error {
	if c.err == nil && c.off == nil {
		if c.err = c.Context.Err(); c.err == nil && !c.deadline.IsZero() && !time.Now().Before(c.deadline) {
			c.err = context.DeadlineExceeded
		}
	}
	return c.err
}

// lazyKey asks a context for the lazyContext that it is or is derived from.
type lazyKey struct{}

// Value knows the context itself and the message, and otherwise what the parent knows.
func (c *lazyContext) Value(key any) any {
	switch key.(type) {
	case lazyKey:
		return c
	case contextKey:
		if c.held != nil {
			return c.held
		}
	}
	return c.Context.Value(key)
}

// afterFunc is context.AfterFunc for a context that may be a lazyContext with values around it, as Watermill's router
// makes them: the standard library sees only a context that is not its own, and starts a goroutine to watch it.
func afterFunc(ctx context.Context, f func()) func() bool {
	if lazy, ok := ctx.Value(lazyKey{}).(*lazyContext); ok && lazy.Done() == ctx.Done() {
		return lazy.AfterFunc(f)
	}
	return context.AfterFunc(ctx, f)
}

// AfterFunc spares the contexts that are derived from this one a goroutine each.
func (c *lazyContext) AfterFunc(f func()) func() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.doneLocked(); c.err != nil {
		go f()
		return func() bool { return false }
	}
	if c.afters == nil {
		c.afters = map[*func()]struct{}{}
	}
	c.afters[&f] = struct{}{}
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		_, waiting := c.afters[&f]
		delete(c.afters, &f)
		return waiting
	}
}

// end ends the context, once.
func (c *lazyContext) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
	}
	if c.done == nil {
		return
	}
	select {
	case <-c.done:
		return
	default:
	}
	close(c.done)
	if c.off != nil {
		c.off()
	}
	if c.timer != nil {
		c.timer.Stop()
	}
	for f := range c.afters {
		go (*f)()
	}
	c.afters = nil
}
