// Package takeover hears from Meta's events that a conversation changes hands: a person of the business answered from the
// Instagram app, or another app has the thread.
//
// What the business says comes back as an echo, and so does what we say. The one must put the bot to sleep and the other must
// not, whichever comes first, the echo or Meta's answer to the sender, and whoever is killed in between. An echo is ours if a
// delivery or the sender's ledger has its mid. It is decided when nothing of ours in the conversation is in flight any more;
// until then it waits, and with it everything after it in the conversation, so that the bot says nothing there that it should
// not. When it cannot be known in time, what reads like a message of ours is taken for one.
//
// The package answers nothing and sends nothing.
package takeover

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/pkg/pipeline/holds"
	"github.com/parley-dm/parley/pkg/telemetry"
)

// Streams is what was decided and what came of it.
type Streams interface {
	FollowSent(ctx context.Context, window time.Duration, sent func(dm.Delivery), behind func(bool)) error
	SentBetween(ctx context.Context, from, to time.Time, sent func(dm.Delivery)) error
	Sent(ctx context.Context, c dm.Conversation, since time.Time) ([]dm.Delivery, error)
	Spoken(ctx context.Context, c dm.Conversation, since, until time.Time) ([]pipeline.Spoken, error)
	Unsettled(ctx context.Context, c dm.Conversation, before time.Time) ([]pipeline.Spoken, error)
	HeardBefore(ctx context.Context, c dm.Conversation, since time.Time, sequence uint64) ([]dm.Event, error)
}

// Holds is who has which conversation.
type Holds interface {
	Change(ctx context.Context, c dm.Conversation, h dm.Hold) (holds.Change, error)
	Get(ctx context.Context, c dm.Conversation) (holds.Record, error)
	Took(c dm.Conversation, mid string) (since time.Time, took bool)
}

// Accounts says which accounts are ours.
type Accounts interface {
	Get(channel dm.Channel, id string) (accounts.Account, bool)
}

// Deps is what a Watch works with.
type Deps struct {
	Streams  Streams
	Holds    Holds
	Accounts Accounts
	// Ours publishes, for [Watch.GiveBack] in the conversation's lane, an echo of ours that was taken for a person's; cause is how that
	// is known.
	Ours      func(ctx context.Context, e dm.Event, cause string) error
	Telemetry *telemetry.Telemetry
	// Now is the clock; time.Now if nil.
	Now func() time.Time
}

// Options says what it does.
type Options struct {
	// AppID is our app's, where it is known.
	AppID string
	// Quiet is how long the bot is silent after a person's message; OtherApp how long at most while another app has the thread.
	Quiet, OtherApp time.Duration
}

// Watch is safe for concurrent use.
type Watch struct {
	d       Deps
	o       Options
	sent    *index
	past    *past
	waiting chan struct{}
	looking chan struct{}
	wrong   wrongs
	changes *prometheus.CounterVec
}

// New makes a Watch. [Watch.Run] follows what is sent.
func New(d Deps, o Options) (*Watch, error) {
	if d.Now == nil {
		d.Now = time.Now
	}
	w := &Watch{
		d: d, o: o, sent: newIndex(remembered), past: newPast(), waiting: make(chan struct{}, maxWaiting), looking: make(chan struct{}, maxLooking),
		wrong: wrongs{wake: make(chan struct{}, 1)},
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "parley_conversations_changed_hands_total", Help: "Times that a conversation changed hands because of what Meta told, by holder and reason.",
		}, []string{"holder", "reason"}),
	}
	size := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "parley_sent_remembered", Help: "Messages of ours that echoes are compared with in memory."},
		func() float64 { return float64(w.sent.size()) })
	return w, errors.Join(d.Telemetry.Metrics.Register(w.changes), d.Telemetry.Metrics.Register(size))
}

// Heard takes an event for what it says of who has its conversation, and returns the event that tells of the change, if it is
// one.
func (w *Watch) Heard(ctx context.Context, e *dm.Event) (*dm.Event, error) {
	if !w.concerns(e) {
		return nil, nil
	}
	hold, ok, err := w.hold(ctx, e)
	if err != nil || !ok {
		return nil, err
	}
	change, err := w.d.Holds.Change(ctx, e.Conversation, hold)
	if err != nil {
		return nil, bus.WhileAway(err)
	}
	if change.Changed {
		w.told(ctx, e, hold)
		if hold.Reason == dm.HoldTakeover && w.sent.has(w.sent.key(e.Account, e.MID)) {
			w.wrong.add(wrong{e.Conversation, e.MID, hold.At, e.ID}) // it was told between our asking and our writing
		}
	}
	return change.Event, nil
}

// concerns says whether an event may change anything, in a conversation that the bot would answer in.
func (w *Watch) concerns(e *dm.Event) bool {
	switch {
	case e.Kind != dm.KindEcho && e.Kind != dm.KindStandby && e.Kind != dm.KindThreadControl:
		return false
	case e.Customer == "" || e.Customer == e.Account || !e.KnownAccount:
		return false
	}
	account, known := w.d.Accounts.Get(e.Channel, e.Account)
	_, ours := w.d.Accounts.Get(e.Channel, e.Customer)
	return known && account.Reply && !ours
}

// hold is the change that an event asks for.
func (w *Watch) hold(ctx context.Context, e *dm.Event) (dm.Hold, bool, error) {
	at := eventTime(e)
	h := dm.Hold{At: at, Cause: e.ID}
	switch {
	case e.Kind == dm.KindThreadControl:
		record, err := w.d.Holds.Get(ctx, e.Conversation)
		if err != nil {
			return h, false, bus.WhileAway(err)
		}
		owner, known := owner(e, w.o.AppID, record.App)
		if !known {
			return h, false, nil
		}
		h.Reason, h.Holder, h.By = dm.HoldThreadControl, dm.HolderApp, owner
		if owner == ourselves {
			h.Holder, h.By = dm.HolderBot, ""
			return h, true, nil
		}
		h.Until = at.Add(w.o.OtherApp)
	case e.Kind == dm.KindStandby || e.Standby:
		h.Holder, h.Reason, h.Until = dm.HolderApp, dm.HoldStandby, at.Add(w.o.OtherApp)
	default:
		h.Holder, h.Reason, h.Until, h.MID = dm.HolderPerson, dm.HoldTakeover, at.Add(w.o.Quiet), e.MID
		if e.AppID != "" {
			h.By = "app " + e.AppID
		}
	}
	if !h.Until.After(w.d.Now()) {
		return h, false, nil // it is over already
	}
	if h.Reason == dm.HoldTakeover {
		ours, err := w.ours(ctx, e)
		return h, !ours && err == nil, err
	}
	return h, true, nil
}

// eventTime is when it happened; not in the future, whatever Meta's clock says.
func eventTime(e *dm.Event) time.Time {
	if e.Time.IsZero() || !e.ReceivedAt.IsZero() && e.Time.After(e.ReceivedAt) {
		return e.ReceivedAt
	}
	return e.Time
}

func (w *Watch) told(ctx context.Context, e *dm.Event, h dm.Hold) {
	w.changes.WithLabelValues(string(h.Holder), string(h.Reason)).Inc()
	w.d.Telemetry.Log.LogAttrs(ctx, slog.LevelInfo, "conversation.changed_hands",
		slog.String(telemetry.KeyAccount, e.Account), slog.String(telemetry.KeyConversation, e.Conversation.String()), slog.String(telemetry.KeyEvent, e.ID),
		slog.String("holder", string(h.Holder)), slog.String("reason", string(h.Reason)), slog.String("by", h.By), slog.Time("until", h.Until))
}
