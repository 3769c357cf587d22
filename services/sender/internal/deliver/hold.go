package deliver

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/parley-dm/parley/pkg/dm"
)

// Holds says who else than the bot has a conversation.
type Holds interface {
	Holder(ctx context.Context, c dm.Conversation, at time.Time) (dm.Hold, bool, error)
}

// Sent reads what was sent in a conversation since a time of the bus's clock.
type Sent interface {
	Sent(ctx context.Context, c dm.Conversation, since time.Time) ([]dm.Delivery, error)
}

// skew is how far the bus's clock and Meta's may be apart.
const skew = 30 * time.Second

// held says who had the conversation when its reply was to be sent, if that is why it is not. The responder asked before it
// decided; the reply may have waited since.
func (v *Deliverer) held(ctx context.Context, m *message) (reason string, err error) {
	if m.gone != "" {
		return m.gone, nil
	}
	if v.d.Holds == nil {
		return "", nil
	}
	h, held, err := v.d.Holds.Holder(ctx, m.intent.Conversation, m.intent.EventTime)
	if err != nil || !held || !h.Stops(m.intent) {
		return "", err
	}
	if ours, err := v.mistaken(ctx, m, h); ours || err != nil {
		return "", err
	}
	who := "a person"
	if h.Holder == dm.HolderApp {
		who = "another app"
	}
	return fmt.Sprintf("%s had the conversation before it could be sent: %s, since %s", who, h.Reason, h.At.UTC().Format(time.RFC3339)), nil
}

// mistaken says whether a conversation was taken from the bot by a message of ours: its echo came before anybody knew that. The responder
// gives it back when it hears of it; what is held until then would be held for good.
func (v *Deliverer) mistaken(ctx context.Context, m *message, h dm.Hold) (bool, error) {
	switch {
	case h.Reason != dm.HoldTakeover || h.MID == "":
		return false, nil
	case slices.Contains(m.before, h.MID):
		return true, nil // of the same reply: it is told when all of it was sent
	case v.d.Sent == nil:
		return false, nil
	}
	sent, err := v.d.Sent.Sent(ctx, m.intent.Conversation, h.At.Add(-skew))
	if err != nil {
		return false, fmt.Errorf("find out by whose message a person has it: %w", err)
	}
	return slices.ContainsFunc(sent, func(d dm.Delivery) bool { return d.MID == h.MID }), nil
}
