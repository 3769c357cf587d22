package takeover

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/telemetry"
)

// mendAgain is the pause before a takeover that could not be mended is tried once more; skew how far the bus's clock and Meta's may be
// apart.
const (
	mendAgain = time.Second
	skew      = 30 * time.Second
)

// wrong is a message of ours by which its conversation was taken from the bot, and since when.
type wrong struct {
	dm.Delivery

	since time.Time
}

// wrongs are those that are not mended yet.
type wrongs struct {
	mu   sync.Mutex
	list []wrong
	wake chan struct{}
}

func (o *wrongs) add(d wrong) {
	o.mu.Lock()
	o.list = append(o.list, d)
	o.mu.Unlock()
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// first is the one that has waited for longest.
func (o *wrongs) first() (wrong, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.list) == 0 {
		return wrong{}, false
	}
	return o.list[0], true
}

func (o *wrongs) done() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.list = o.list[1:]
}

// saw takes a message of ours that was sent.
func (w *Watch) saw(d dm.Delivery) {
	w.sent.add(w.sent.key(d.Account, d.MID), w.d.Now())
	if since, took := w.d.Holds.Took(d.Conversation, d.MID); took {
		w.wrong.add(wrong{d, since})
	}
}

// mend gives back the conversations that were taken from the bot by a message that turns out to be ours: what is in flight may
// be older than what is looked for, and the sender that knows may be down for long. It is tried until it succeeds: nobody else
// would wake the bot for hours.
func (w *Watch) mend(ctx context.Context) error {
	said := false
	for ctx.Err() == nil {
		d, ok := w.wrong.first()
		if !ok {
			select {
			case <-ctx.Done():
			case <-w.wrong.wake:
			}
			continue
		}
		err := w.giveBack(ctx, d)
		if err == nil {
			w.wrong.done()
			said = false
			continue
		}
		if !said && ctx.Err() == nil {
			said = true
			w.d.Telemetry.Log.ErrorContext(ctx, "takeover.not_mended", telemetry.KeyConversation, d.Conversation.String(), telemetry.KeyError, err,
				"meaning", "the bot is silent there because of a message of its own, until this succeeds: it is tried every second")
		}
		select {
		case <-ctx.Done():
		case <-time.After(mendAgain):
		}
	}
	return nil
}

// giveBack gives a conversation back, and has the responder decide anew what the customer has said meanwhile. The record keeps since
// when that is: what was in doubt may have been settled much later, and whoever finds it given back may have to end what we began.
func (w *Watch) giveBack(ctx context.Context, d wrong) error {
	h := dm.Hold{Holder: dm.HolderBot, Reason: dm.HoldOurs, At: d.since, MID: d.MID, Cause: d.ID}
	change, err := w.d.Holds.Change(ctx, d.Conversation, h)
	if err != nil || change.Event == nil {
		return err
	}
	if change.Changed {
		w.told(ctx, &dm.Event{ID: d.ID, Conversation: d.Conversation}, h)
	}
	if err := w.d.Tell(ctx, *change.Event); err != nil {
		return err
	}
	if err := w.d.DecideAgain(ctx, d.Conversation, d.since.Add(-skew), d.ID); err != nil {
		return fmt.Errorf("have what was said meanwhile decided again: %w", err)
	}
	return nil
}
