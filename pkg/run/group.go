package run

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Group runs functions that stop together: when one returns, with an error or without, or when the context ends, the
// context of all ends, and Wait returns the first error when the last has returned.
type Group struct {
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	once   sync.Once
	err    error
}

// NewGroup starts an empty group whose functions get a context derived from ctx.
func NewGroup(ctx context.Context) *Group {
	ctx, cancel := context.WithCancel(ctx)
	return &Group{ctx: ctx, cancel: cancel}
}

// Context is the group's context.
func (g *Group) Context() context.Context { return g.ctx }

// Go starts f, which blocks until its context ends. name says in an error which one failed.
func (g *Group) Go(name string, f func(ctx context.Context) error) {
	g.wg.Go(func() {
		err := f(g.ctx)
		if err != nil && !errors.Is(err, context.Canceled) {
			g.once.Do(func() { g.err = fmt.Errorf("%s: %w", name, err) })
		}
		g.cancel()
	})
}

// Stop ends the group's context.
func (g *Group) Stop() { g.cancel() }

// Wait blocks until every function has returned.
func (g *Group) Wait() error {
	g.wg.Wait()
	g.cancel()
	return g.err
}

// ErrDrainTimeout is returned by WaitWithin when functions still run after the time for stopping is over.
var ErrDrainTimeout = errors.New("not everything stopped in time (SHUTDOWN_TIMEOUT)")

// WaitWithin is Wait, but gives up a while after the context ended.
func (g *Group) WaitWithin(timeout time.Duration) error {
	done := make(chan error, 1)
	go func() { done <- g.Wait() }()
	select {
	case err := <-done:
		return err
	case <-g.ctx.Done():
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return ErrDrainTimeout
	}
}
