package takeover

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/telemetry"
)

// mendAgain is the pause before a mistake is told once more that could not be; skew how far the bus's clock and Meta's may be
// apart.
const (
	mendAgain = time.Second
	skew      = 30 * time.Second
)

// wrong is a message of ours by which its conversation was taken from the bot, since when, and how it is known to be ours.
type wrong struct {
	dm.Conversation
	mid   string
	since time.Time
	cause string
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
		w.wrong.add(wrong{d.Conversation, d.MID, since, d.ID})
	}
}

// mend has the conversations given back that were taken from the bot by a message that turns out to be ours: what is in flight may
// be older than what is looked for, and the sender that knows may be down for long. It is tried until it is stored: nobody else
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
		err := w.d.Ours(ctx, d.echo(), d.cause)
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

// echo is what is told of it: the echo, as far as it matters, and not by Meta.
func (d wrong) echo() dm.Event {
	return dm.Event{
		ID: dm.EventID(d.Channel, d.Account, dm.KindEcho, d.mid), Conversation: d.Conversation, Kind: dm.KindEcho, MID: d.mid, KnownAccount: true,
		Time: d.since, ReceivedAt: d.since, Source: dm.SourceParley,
	}
}

// GiveBack gives a conversation back that an echo of ours took, and returns the event that tells of it and what the customer said
// since, up to the sequence at which this was asked for; nothing when it is somebody else's by now. It is called in the conversation's
// lane: what the customer says next waits until that is decided. It is safe to run twice.
func (w *Watch) GiveBack(ctx context.Context, e *dm.Event, cause string, sequence uint64) (change *dm.Event, missed []dm.Event, err error) {
	h := dm.Hold{Holder: dm.HolderBot, Reason: dm.HoldOurs, At: e.Time, MID: e.MID, Cause: cause}
	given, err := w.d.Holds.Change(ctx, e.Conversation, h)
	if err != nil {
		return nil, nil, bus.WhileAway(err)
	}
	if given.Event == nil {
		return nil, nil, nil
	}
	if given.Changed {
		w.told(ctx, e, h)
	}
	missed, err = w.d.Streams.HeardBefore(ctx, e.Conversation, e.Time.Add(-skew), sequence)
	if err != nil {
		return nil, nil, bus.WhileAway(fmt.Errorf("look for what was said meanwhile: %w", err))
	}
	return given.Event, missed, nil
}
