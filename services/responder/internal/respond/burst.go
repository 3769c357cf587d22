package respond

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/parley-dm/parley/pkg/dm"
)

// Bursts is how messages are found that follow one another.
type Bursts interface {
	// Heard reads the customer's messages and taps since a time, in the order in which they came.
	Heard(ctx context.Context, c dm.Conversation, since time.Time) ([]dm.Event, error)
	// Pause waits in the conversation's lane; false when it is cut short and the event will come again.
	Pause(ctx context.Context, d time.Duration) bool
}

const (
	// burstWindows is how many windows a burst lasts at most: who never stops writing is answered all the same.
	burstWindows = 10
	// burstSlack is how much earlier than by ingress's clock a message may be stored by the bus's.
	burstSlack = 5 * time.Second
)

// errGathering is a burst whose waiting was cut short.
var errGathering = errors.New("it is not known yet whether more follows")

// gather waits until the customer has been quiet, and says whether the message is the last of those that are answered as one: then
// it gets the texts of all. What it says depends on the messages and on what is remembered, not on who asks or when: whether one
// was answered with the next is remembered before the next is decided.
func (r *Responder) gather(ctx context.Context, t *Turn, m *memory) (last bool, err error) {
	e := &t.Event
	at, start := arrival(e), m.view.Burst()
	joins := !start.IsZero() && at.Sub(start) <= (burstWindows+1)*r.opts.BurstWindow
	if !joins {
		start = at
	}
	if m.again && !m.own.Burst.IsZero() {
		return false, nil
	}
	open := !m.again && at.Sub(start) < burstWindows*r.opts.BurstWindow
	if open {
		if left := at.Add(r.opts.BurstWindow).Sub(r.deps.Now()); left > 0 && !r.deps.Bursts.Pause(ctx, left) {
			return false, errGathering
		}
	}
	if !open && !joins {
		return true, nil
	}
	heard, err := r.deps.Bursts.Heard(ctx, e.Conversation, start.Add(-burstSlack))
	if err != nil {
		return false, fmt.Errorf("look for what follows: %w", err)
	}
	own := slices.IndexFunc(heard, func(o dm.Event) bool { return o.ID == e.ID })
	if open && own >= 0 && r.follows(e, heard[own+1:]) {
		m.entry.Burst = start
		return false, nil
	}
	m.entry.Last = joins
	if joins && own >= 0 {
		e.Text = together(heard[:own+1], start)
	}
	return true, nil
}

// follows says whether the customer wrote again before they were quiet.
func (r *Responder) follows(e *dm.Event, next []dm.Event) bool {
	return slices.ContainsFunc(next, func(o dm.Event) bool {
		return o.ID != e.ID && o.FromCustomer() && arrival(&o).Sub(arrival(e)) <= r.opts.BurstWindow
	})
}

// together joins the texts since a time.
func together(events []dm.Event, start time.Time) string {
	var texts []string
	seen := map[string]bool{}
	for i := range events {
		e := &events[i]
		if arrival(e).Before(start) || seen[e.ID] || strings.TrimSpace(e.Text) == "" {
			continue
		}
		seen[e.ID] = true
		texts = append(texts, e.Text)
	}
	return strings.Join(texts, "\n")
}

func arrival(e *dm.Event) time.Time {
	if e.ReceivedAt.IsZero() {
		return e.Time
	}
	return e.ReceivedAt
}
