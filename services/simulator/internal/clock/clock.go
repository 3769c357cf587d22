// Package clock is the time of the played Meta: the machine's, moved forward as far as somebody wants, so that a day's window,
// an hour's back-off or a token's sixty days need not be waited for.
//
// What is measured (how long a reply took) is not measured with it.
package clock

import (
	"context"
	"sync"
	"time"
)

// Clock is a time that can be moved. The zero Clock is not usable; New makes one.
type Clock struct {
	mu     sync.Mutex
	ahead  time.Duration
	change chan struct{} // closed and replaced whenever the time is moved
}

// New makes a clock that agrees with the machine's.
func New() *Clock { return &Clock{change: make(chan struct{})} }

// Now is the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

// Ahead is how far the clock is before the machine's.
func (c *Clock) Ahead() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ahead
}

// Set puts the clock so far before the machine's. Whoever sleeps on it looks at it again.
func (c *Clock) Set(ahead time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead = ahead
	close(c.change)
	c.change = make(chan struct{})
}

// Advance moves the clock.
func (c *Clock) Advance(by time.Duration) {
	c.mu.Lock()
	ahead := c.ahead + by
	c.mu.Unlock()
	c.Set(ahead)
}

// SleepUntil waits until the time has come; false when ctx ended before. wake, which may be nil, ends the sleep early.
func (c *Clock) SleepUntil(ctx context.Context, at time.Time, wake <-chan struct{}) bool {
	for {
		c.mu.Lock()
		left, change := at.Sub(time.Now().Add(c.ahead)), c.change
		c.mu.Unlock()
		if left <= 0 {
			return ctx.Err() == nil
		}
		timer := time.NewTimer(left)
		select {
		case <-timer.C:
		case <-change:
			timer.Stop()
		case <-wake:
			timer.Stop()
			return true
		case <-ctx.Done():
			timer.Stop()
			return false
		}
	}
}
