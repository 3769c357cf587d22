package park

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/services/sender/internal/limit"
)

// maxWindow bounds the intents of a queue that are read at once, and lanes those that are handled at once: at a hundred
// messages a second they are less than a second's.
const (
	maxWindow = 256
	lanes     = 64
)

// How soon a queue is looked at again that could not be emptied and does not know when it can.
const (
	minDelay = 50 * time.Millisecond
	maxDelay = 5 * time.Second
)

// emptying is what is remembered of a queue from one round to the next. Nothing depends on it but the pace.
type emptying struct {
	// window is how many intents are read: one while the account is paused, which tries whether it still is, and twice as
	// many after each round that went well.
	window int
	// blocked are conversations that wait for something of their own, and until when.
	blocked map[string]time.Time
	delay   time.Duration
	left    int
}

// verdict is what came of a lane in one round.
type verdict struct {
	conversation string
	settled      int
	at           time.Time // when to try what could not leave; zero when it is not known
	err          error     // of the one that could not leave
}

// empty handles the first intents of a queue, those of one conversation one after another, and removes what is done with.
// It says when to go on: zero when there was nothing.
func (l *Lot) empty(ctx context.Context, q *queue) (next time.Time, err error) {
	e := &q.emptying
	now := time.Now()
	most := e.window
	for c, until := range e.blocked {
		if !now.Before(until) {
			delete(e.blocked, c)
		}
	}
	if len(e.blocked) > 0 {
		most += maxWindow // behind those that are blocked
	}
	letters, err := l.in.Read(ctx, q.subject, most)
	if err != nil {
		return time.Time{}, err
	}
	if len(letters) == 0 {
		return time.Time{}, nil
	}
	l.mu.Lock()
	q.oldest = letters[0].Since
	l.mu.Unlock()
	settled, failed := 0, []verdict(nil)
	for _, v := range l.run(ctx, q, e.choose(letters)) {
		settled += v.settled
		if v.err != nil {
			failed = append(failed, v)
		}
	}
	e.left += settled
	return e.pace(settled, failed), nil
}

// choose picks up to a window of the intents whose conversations are not blocked, by conversation, in their order.
func (e *emptying) choose(letters []pipeline.Parked) map[string][]pipeline.Parked {
	byConversation := map[string][]pipeline.Parked{}
	n := 0
	for _, one := range letters {
		if _, blocked := e.blocked[one.Conversation]; blocked {
			continue
		}
		if n++; n > e.window {
			break
		}
		byConversation[one.Conversation] = append(byConversation[one.Conversation], one)
	}
	return byConversation
}

// run handles one round's lanes side by side.
func (l *Lot) run(ctx context.Context, q *queue, byConversation map[string][]pipeline.Parked) []verdict {
	out := make(chan verdict, len(byConversation))
	slots := make(chan struct{}, lanes)
	var wg sync.WaitGroup
	for _, letters := range byConversation {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			out <- l.lane(ctx, q, letters)
		})
	}
	wg.Wait()
	close(out)
	verdicts := make([]verdict, 0, len(byConversation))
	for v := range out {
		verdicts = append(verdicts, v)
	}
	return verdicts
}

// lane handles the intents of one conversation, one after another, until one cannot leave.
func (l *Lot) lane(ctx context.Context, q *queue, letters []pipeline.Parked) verdict {
	v := verdict{conversation: letters[0].Conversation}
	for _, one := range letters {
		if stopping(ctx) {
			v.err = limit.ErrStopped
			return v
		}
		l.places <- struct{}{}
		v.err = l.in.Handle(ctx, l.o.Handler, one)
		<-l.places
		if v.err == nil {
			v.err = l.remove(ctx, q, one)
		}
		if v.err != nil {
			_, v.at = bus.Classify(v.err)
			return v
		}
		v.settled++
	}
	return v
}

// remove takes what is done with out of the queue; one that stays, because the bus is away, is handled once more, and the
// ledger knows it.
func (l *Lot) remove(ctx context.Context, q *queue, one pipeline.Parked) error {
	ctx, cancel := context.WithTimeout(ctx, countTimeout)
	defer cancel()
	if err := l.in.Remove(ctx, one); err != nil {
		return bus.WhileAway(err)
	}
	l.metrics.unparked.Inc()
	l.mu.Lock()
	defer l.mu.Unlock()
	if q.depth > 0 {
		q.depth--
	}
	return nil
}

// pace says when the next round is, and how large.
func (e *emptying) pace(settled int, failed []verdict) time.Time {
	now := time.Now()
	if settled > 0 {
		e.delay = 0
	}
	if len(failed) == 0 {
		e.window = min(2*e.window, maxWindow)
		return now
	}
	next := time.Time{}
	sooner := func(at time.Time) {
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	paused := false
	for _, v := range failed {
		at := v.at
		if at.IsZero() {
			e.delay = min(max(2*e.delay, minDelay), maxDelay)
			at = now.Add(e.delay)
		}
		if errors.Is(v.err, limit.ErrPaused) {
			paused = true
		} else {
			if e.blocked == nil {
				e.blocked = map[string]time.Time{}
			}
			e.blocked[v.conversation] = at
		}
		sooner(at)
	}
	switch {
	case paused:
		e.window = 1
	case settled > 0 || e.window == 1: // others may be behind those that are blocked
		e.window = min(2*e.window, maxWindow)
		sooner(now)
	}
	if soonest := now.Add(time.Millisecond); next.Before(soonest) {
		next = soonest
	}
	return next
}
