package respond

import (
	"context"
	"fmt"
	"time"

	"github.com/parley-dm/parley/pkg/dm"
)

// Heard is what customers said.
type Heard interface {
	Heard(ctx context.Context, c dm.Conversation, since time.Time) ([]dm.Event, error)
}

// prompt is how soon after it a webhook comes as a rule. What comes later may have been found meanwhile: the shortest
// BACKFILL_AFTER is as long.
const prompt = time.Second

// missed says why an event is not answered whose webhook did not come, or not in time; false if it may be.
func missed(t Turn) (Reason, bool) {
	switch {
	case t.Backfilled:
		return ReasonBackfilled, true
	case t.Event.Source == dm.SourceBackfill && t.AnswerWithin > 0 && t.Event.ReceivedAt.Sub(eventTime(t)) > t.AnswerWithin:
		return ReasonBackfillOld, true
	default:
		return "", false
	}
}

// mayBeBackfilled says whether an event may have been decided already, as another. A message that was found has its webhook's id,
// and is the same event; a tap is found as a message, which it is not.
func (r *Responder) mayBeBackfilled(e *dm.Event) bool {
	return r.deps.Heard != nil && e.Kind == dm.KindPostback && e.MID != "" && e.ReceivedAt.Sub(e.Time) > prompt
}

// backfilled says whether a tap was found as a message.
func (r *Responder) backfilled(ctx context.Context, e *dm.Event) (bool, error) {
	said, err := r.deps.Heard.Heard(ctx, e.Conversation, e.Time.Add(-time.Second))
	if err != nil {
		return false, fmt.Errorf("look whether event %s was found before: %w", e.ID, err)
	}
	for i := range said {
		if said[i].Source == dm.SourceBackfill && said[i].MID == e.MID {
			return true, nil
		}
	}
	return false, nil
}
