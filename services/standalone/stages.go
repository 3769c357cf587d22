package standalone

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// stage is one thing that runs until it is told to stop.
type stage struct {
	name string
	run  func(ctx context.Context) error
}

// running is a stage that was started.
type running struct {
	name string
	stop context.CancelFunc
	done chan struct{}
	err  error
}

// errEnded is what a stage that returned without being told to has done.
var errEnded = errors.New("ended by itself")

// runStages starts the stages in their order and stops them in reverse, each when the one after it has stopped, so that
// what is in flight flows out of the process. It stops when ctx ends or when a stage does, which is an error. All of it
// takes no longer than the timeout: a stage that uses up its part of it keeps the ones before it waiting no longer.
func runStages(ctx context.Context, stages []stage, timeout time.Duration) error {
	ended := make(chan *running, len(stages))
	started := make([]*running, 0, len(stages))
	for _, s := range stages {
		stageCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		r := &running{name: s.name, stop: cancel, done: make(chan struct{})}
		started = append(started, r)
		go func() {
			defer func() { close(r.done); ended <- r }()
			r.err = s.run(stageCtx)
		}()
	}
	var first error
	select {
	case <-ctx.Done():
	case r := <-ended:
		if first = r.err; first == nil {
			first = errEnded
		}
		first = fmt.Errorf("%s: %w", r.name, first)
	}
	return errors.Join(first, stopStages(started, time.Now().Add(timeout), first != nil))
}

// stopStages stops from the last to the first. After a failure the errors of the others are consequences: not told.
func stopStages(started []*running, deadline time.Time, failed bool) error {
	var errs []error
	for i := len(started) - 1; i >= 0; i-- {
		started[i].stop()
		wait(started[i].done, time.Until(deadline)/time.Duration(i+1))
	}
	for i := len(started) - 1; i >= 0; i-- {
		r := started[i]
		switch {
		case !wait(r.done, time.Until(deadline)):
			errs = append(errs, fmt.Errorf("%s did not stop in time (SHUTDOWN_TIMEOUT)", r.name))
		case r.err != nil && !failed && !errors.Is(r.err, context.Canceled):
			errs = append(errs, fmt.Errorf("%s: %w", r.name, r.err))
		}
	}
	return errors.Join(errs...)
}

// wait says whether something was done in time.
func wait(done <-chan struct{}, atMost time.Duration) bool {
	timer := time.NewTimer(max(atMost, 0))
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
	}
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// stagesTimeout is the part of SHUTDOWN_TIMEOUT that the stages have; the rest is for what they share.
func stagesTimeout(all time.Duration) time.Duration { return all - min(all/5, 3*time.Second) }
