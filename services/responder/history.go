package responder

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/services/responder/internal/engine"
)

const (
	// maxSaid is how many messages an engine is told of.
	maxSaid = 20
	// underWay is how long a message may take to the archive; what is older and not there is not told.
	underWay = 2 * time.Minute
	// archiveSoon bounds the archive's part of an engine's time.
	archiveSoon = time.Second
)

// archive is what was said, as far as it is kept.
type archive interface {
	Said(ctx context.Context, e *dm.Event, limit int) ([]engine.Said, error)
}

// onTheWay is what has not come to the archive yet.
type onTheWay interface {
	Heard(ctx context.Context, c dm.Conversation, since time.Time) ([]dm.Event, error)
	Sent(ctx context.Context, c dm.Conversation, since time.Time) ([]dm.Delivery, error)
}

// history joins the archive and what is on its way there.
type history struct {
	archive archive
	bus     onTheWay
	now     func() time.Time
}

// before is what was said in a conversation before an event, the oldest first. The one is told without the other where that is away.
func (h history) before(ctx context.Context, e *dm.Event) ([]engine.Said, error) {
	asking, cancel := context.WithTimeout(ctx, archiveSoon)
	defer cancel()
	out, archived := h.archive.Said(asking, e, maxSaid)
	since := h.now().Add(-underWay)
	heard, err := h.bus.Heard(ctx, e.Conversation, since)
	if err != nil {
		return out, fmt.Errorf("read what is on its way: %w", err)
	}
	sent, err := h.bus.Sent(ctx, e.Conversation, since)
	if err != nil {
		return out, fmt.Errorf("read what is on its way: %w", err)
	}
	known := map[string]bool{e.MID: true}
	for i := range out {
		known[out[i].MID] = true
	}
	add := func(s engine.Said) {
		if !known[s.MID] && !s.At.After(e.Time) {
			known[s.MID] = true
			out = append(out, s)
		}
	}
	for i := range heard {
		o := &heard[i]
		add(engine.Said{From: engine.FromCustomer, At: o.Time, MID: o.MID, Type: o.MessageType, Text: o.Text})
	}
	for i := range sent {
		d := &sent[i]
		add(engine.Said{From: engine.FromBusiness, At: d.SentAt, MID: d.MID, Type: d.Message.Kind.MessageType(), Text: d.Message.Text})
	}
	slices.SortStableFunc(out, func(a, b engine.Said) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.MID, b.MID)) })
	return out[max(0, len(out)-maxSaid):], archived
}
