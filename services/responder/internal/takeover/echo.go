package takeover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/pkg/run"
	"github.com/parley-dm/parley/pkg/telemetry"
)

const (
	// settling is how long after an echo the delivery of its message is waited for in memory: the echo may overtake Meta's
	// answer. Only then the ledger is asked, which is certain but costs more.
	settling = time.Second
	// doubtful is how long after it an echo may wait for what is in flight: longer than the sender doubts by default.
	doubtful = 2 * time.Minute
	// lookBack is how old a decision may be whose message is looked for among all, and how much the clocks of the bus and of
	// ingress may differ; behindPoll and doubtPoll when one looks again.
	lookBack   = 5 * time.Minute
	behindPoll = 250 * time.Millisecond
	doubtPoll  = time.Second
	// maxWaiting bounds the handlers that wait, maxLooking those that read the ledger; others wait in their lanes.
	maxWaiting = 64
	maxLooking = 4
	// remembered bounds the messages in memory, and sentWithin is how old those may be that are read at the start: all that is
	// older is in slices of the past that have ended.
	remembered = 100_000
	sentWithin = slice + sliceSettles
	followWait = time.Second
)

// errUndecided is why an echo waits.
var errUndecided = errors.New("it is not known yet whether this echo is of a message of ours")

// Run follows what is sent until ctx ends.
func (w *Watch) Run(ctx context.Context) error {
	group := run.NewGroup(ctx)
	group.Go("follow what is sent", w.follow)
	group.Go("mend takeovers", w.mend)
	return group.Wait()
}

func (w *Watch) follow(ctx context.Context) error {
	behind := func(is bool) {
		if is {
			w.sent.began(w.d.Now().Add(-sentWithin))
		}
		w.sent.behind.Store(is)
	}
	behind(true)
	for ctx.Err() == nil {
		err := w.d.Streams.FollowSent(ctx, sentWithin, w.saw, behind)
		behind(true)
		if err == nil || ctx.Err() != nil {
			continue // it was stopped
		}
		w.d.Telemetry.Log.WarnContext(ctx, "sent.not_followed", telemetry.KeyError, err)
		select {
		case <-ctx.Done():
		case <-time.After(followWait):
		}
	}
	return nil
}

// ours says whether an echo is of a message of ours. The error says when to ask again. Another app's id proves nothing: an
// account that was connected by Instagram's login has an app of its own there.
func (w *Watch) ours(ctx context.Context, e *dm.Event) (bool, error) {
	key := w.sent.key(e.Account, e.MID)
	switch {
	case w.o.AppID != "" && e.AppID == w.o.AppID, e.MID == "", w.sent.has(key):
		return true, nil
	}
	if left := settling - w.d.Now().Sub(e.ReceivedAt); left > 0 {
		select {
		case w.waiting <- struct{}{}:
		default:
			return false, w.later(min(left, behindPoll))
		}
		known := w.sent.await(ctx, key, left, bus.Draining(ctx))
		<-w.waiting
		switch {
		case known:
			return true, nil
		case w.d.Now().Sub(e.ReceivedAt) < settling:
			return false, w.later(0) // cut short
		}
	}
	if known, err := w.wasSent(ctx, e, key, after); known || err != nil {
		return known, err
	}
	inTime := w.d.Now().Sub(e.ReceivedAt) < doubtful
	if w.sent.behind.Load() && inTime {
		return false, w.later(behindPoll)
	}
	return w.look(ctx, e, inTime)
}

func (w *Watch) later(d time.Duration) error { return bus.DeferUntil(errUndecided, w.d.Now().Add(d)) }

// look asks the ledger.
func (w *Watch) look(ctx context.Context, e *dm.Event, inTime bool) (bool, error) {
	select {
	case w.looking <- struct{}{}:
		defer func() { <-w.looking }()
	default:
		return false, w.later(behindPoll)
	}
	var until time.Time
	if !e.ReceivedAt.IsZero() {
		until = e.ReceivedAt.Add(lookBack)
	}
	since := eventTime(e).Add(-lookBack)
	spoken, err := w.d.Streams.Spoken(ctx, e.Conversation, since, until)
	if is := judge(spoken, e); err == nil && (is == foreign || is == given) {
		// A decision may be older than that whose message is only sent now: its sender was behind, or its account was paused.
		var waited []pipeline.Spoken
		waited, err = w.d.Streams.Unsettled(ctx, e.Conversation, since)
		spoken = append(spoken, waited...)
	}
	if err != nil {
		return false, bus.WhileAway(fmt.Errorf("find out whose echo it is: %w", err))
	}
	switch judge(spoken, e) {
	case found:
		w.sent.add(w.sent.key(e.Account, e.MID), w.d.Now())
		return true, nil
	case likely:
		if inTime {
			return false, w.later(doubtPoll)
		}
		return true, nil
	case possible:
		if inTime {
			return false, w.later(doubtPoll)
		}
	case given:
		return true, nil
	case foreign:
	}
	// The bot will be silent for hours, and nobody will mend that if the delivery of a message that waited for long came and went.
	if known, err := w.wasSent(ctx, e, w.sent.key(e.Account, e.MID), late); known || err != nil {
		return known, err
	}
	return w.justSent(ctx, e)
}

// justSent reads what was sent in the last moments: what was settled just before its intent was looked for is in flight no more, and
// who follows what is sent may hear of it later than that.
func (w *Watch) justSent(ctx context.Context, e *dm.Event) (bool, error) {
	since, recent := eventTime(e).Add(-before), w.d.Now().Add(-sentWithin)
	if since.Before(recent) {
		since = recent // what is older is known
	}
	sent, err := w.d.Streams.Sent(ctx, e.Conversation, since)
	if err != nil {
		return false, bus.WhileAway(fmt.Errorf("find out whose echo it is: %w", err))
	}
	return slices.ContainsFunc(sent, func(d dm.Delivery) bool { return d.MID == e.MID }), nil
}

// finding is what the ledger says of an echo.
type finding int

const (
	foreign  finding = iota // nothing of ours can have made it
	found                   // a message of ours has its mid
	given                   // it reads like one that may have been sent, which nobody finds out any more
	likely                  // it reads like one that is in flight
	possible                // another one is in flight, whose text Meta may have changed
)

// judge is pure.
func judge(spoken []pipeline.Spoken, e *dm.Event) finding {
	out := foreign
	for _, s := range spoken {
		alike := dm.Alike(s.Text, e.Text)
		switch {
		case s.MID == e.MID:
			return found
		case s.InFlight && alike:
			out = likely
		case s.InFlight && out != likely:
			out = possible
		case s.Unknown && alike && out == foreign:
			out = given
		}
	}
	return out
}
