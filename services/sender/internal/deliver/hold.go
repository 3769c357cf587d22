package deliver

import (
	"context"
	"fmt"
	"time"

	"github.com/parley-dm/parley/pkg/dm"
)

// Holds says who else than the bot has a conversation.
type Holds interface {
	Holder(ctx context.Context, c dm.Conversation, at time.Time) (dm.Hold, bool, error)
}

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
	who := "a person"
	if h.Holder == dm.HolderApp {
		who = "another app"
	}
	return fmt.Sprintf("%s had the conversation before it could be sent: %s, since %s", who, h.Reason, h.At.UTC().Format(time.RFC3339)), nil
}
