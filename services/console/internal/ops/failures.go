package ops

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/pkg/pipeline/deadletter"
	"github.com/parley-dm/parley/services/console/internal/store"
)

// Why a message cannot be sent again. The texts are for people.
var (
	ErrWindow  = errors.New("its messaging window is over")
	ErrNothing = errors.New("what it said is not known any more")
)

// AgainID is the id of the intent that sends a message again: the same each time, so that it is sent once however often
// somebody asks.
func AgainID(messageID string) string { return dm.IntentID("again:"+messageID, 0) }

// Again is the intent that sends a failed message again.
//
// It is a person's, but for its time: what the bot decided may go within the messaging window only, for the longer one is for
// what people write themselves. A private reply has the comment's window, of which the decision is the latest beginning.
func Again(m *store.FailedMessage, now time.Time) (dm.ReplyIntent, error) {
	now = now.UTC().Truncate(time.Microsecond)
	i := dm.ReplyIntent{ID: AgainID(m.ID), Conversation: m.Conversation, Origin: dm.OriginOperator, ReceivedAt: now, CreatedAt: now}
	part, origin := said(m)
	if part.Plain() && part.Text == "" {
		return i, ErrNothing
	}
	i.Parts = []dm.Part{part}
	if m.Meta.Intent != nil {
		i.EventID = m.Meta.Intent.EventID
	}
	switch {
	case part.CommentID != "":
		i.EventTime = m.CreatedAt
	case m.LastInbound == nil:
		return i, ErrWindow
	default:
		i.EventTime = *m.LastInbound
		if origin != dm.OriginOperator {
			i.Expires = i.EventTime.Add(dm.MessagingWindow)
		}
	}
	if !now.Before(i.Deadline()) {
		return i, ErrWindow
	}
	return i, nil
}

// said is the part that a message was, and who wanted it said.
func said(m *store.FailedMessage) (part dm.Part, origin dm.Origin) {
	part = dm.Part{Kind: dm.PartText}
	if i := m.Meta.Intent; i != nil {
		origin = i.Origin
		if i.Message != nil {
			part = *i.Message
		}
	}
	if d := m.Meta.Delivery; d != nil {
		if origin == "" {
			origin = d.Origin
		}
		if d.Message != nil {
			part = *d.Message
		}
	}
	part.Text, part.HumanAgent = m.Text, false
	return part, origin
}

// SendAgain publishes intents in their order.
func (o *Ops) SendAgain(ctx context.Context, intents []dm.ReplyIntent) error {
	return o.on(ctx, changeTimeout, func(ctx context.Context, _ *bus.Conn) error {
		out := make([]pipeline.Outgoing, len(intents))
		for n := range intents {
			out[n] = o.pipeline.Intent(intents[n], intents[n].ID, intents[n].ID)
		}
		return o.pipeline.Publish(ctx, out...)
	})
}

// ErrNotKnown is a message of which no delivery was told, so that there is nothing in doubt.
var ErrNotKnown = errors.New("nothing in doubt is known of it")

// WasSent tells everybody that a message whose outcome was unknown was sent, as somebody found out: as a delivery like the
// sender's own. The sender's ledger stays as it is, and sends it no more than before.
func (o *Ops) WasSent(ctx context.Context, m *store.FailedMessage, by string) error {
	before := m.Meta.Delivery
	if before == nil || m.Meta.Intent == nil || m.Status != string(dm.OutcomeUnknown) {
		return ErrNotKnown
	}
	part, origin := said(m)
	at := before.At
	if at.IsZero() {
		at = m.At
	}
	d := dm.Delivery{
		ID:       dm.DeliveryID(m.Meta.Intent.ID, m.Meta.Intent.Part, dm.OutcomeSent),
		IntentID: m.Meta.Intent.ID, Part: m.Meta.Intent.Part, Of: m.Meta.Intent.Of, Conversation: m.Conversation, Outcome: dm.OutcomeSent,
		Origin: origin, Message: part, Attempts: before.Attempts, Reason: "decided by " + by, SentAt: at, ReceivedAt: m.CreatedAt,
	}
	return o.on(ctx, lookTimeout, func(ctx context.Context, _ *bus.Conn) error {
		return o.pipeline.Publish(ctx, o.pipeline.Delivery(d, m.Meta.Intent.ID, m.Meta.Intent.ID))
	})
}

// LetterFilter says which dead letters: those of a stage and an account, if they are named, with higher numbers than one, no
// more than so many.
type LetterFilter struct {
	Stage, Account string
	After          uint64
	Most           int
}

// DeadLetters lists the dead letters of some accounts (none: of all), the oldest first and without their envelopes.
func (o *Ops) DeadLetters(ctx context.Context, scope store.Scope, f LetterFilter) (letters []deadletter.Letter, err error) {
	err = o.on(ctx, lookTimeout, func(ctx context.Context, conn *bus.Conn) error {
		return deadletter.List(ctx, conn, deadletter.Filter{Stage: f.Stage, Account: f.Account}, func(l deadletter.Letter) (bool, error) {
			if l.Number > f.After && sees(scope, &l) {
				l.Envelope = nil
				letters = append(letters, l)
			}
			return len(letters) < f.Most, nil
		})
	})
	return letters, err
}

func sees(scope store.Scope, l *deadletter.Letter) bool {
	return len(scope) == 0 || slices.Contains(scope, l.Account)
}

// ReplayDead gives dead letters of some accounts (none: of all) back to the stages that gave up on them, and says which of
// them: others are gone, or another account's.
func (o *Ops) ReplayDead(ctx context.Context, scope store.Scope, numbers []uint64, by string) (replayed []uint64, err error) {
	err = o.on(ctx, changeTimeout, func(ctx context.Context, conn *bus.Conn) error {
		for _, n := range numbers {
			letter, err := deadletter.Get(ctx, conn, n)
			switch {
			case errors.Is(err, deadletter.ErrNone):
			case err != nil:
				return fmt.Errorf("find dead letter %d: %w", n, err)
			case sees(scope, &letter):
				replayed = append(replayed, n)
			}
		}
		if len(replayed) == 0 {
			return nil
		}
		if _, err := deadletter.Replay(ctx, conn, deadletter.Filter{Numbers: replayed}, by); err != nil {
			return fmt.Errorf("replay %d dead letters: %w", len(replayed), err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return replayed, nil
}
