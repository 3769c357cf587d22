package respond

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/pkg/alert"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/pipeline/holds"
	"github.com/parley-dm/parley/pkg/rules"
	"github.com/parley-dm/parley/pkg/telemetry"
)

// Accounts says which accounts are ours.
type Accounts interface {
	Get(channel dm.Channel, id string) (accounts.Account, bool)
}

// Rules gives the set in use; nil while there is none.
type Rules interface{ Current() *rules.Set }

// Holds is who has which conversation.
type Holds interface {
	Holder(ctx context.Context, c dm.Conversation, at time.Time) (dm.Hold, bool, error)
	Change(ctx context.Context, c dm.Conversation, h dm.Hold) (holds.Change, error)
}

// Deps is what a Responder works with.
type Deps struct {
	Accounts Accounts
	Rules    Rules
	Holds    Holds
	// Alerts may be nil.
	Alerts    *alert.Alerts
	Telemetry *telemetry.Telemetry
	// Now is the clock; time.Now if nil.
	Now func() time.Time
}

// Options says how it answers.
type Options struct {
	Fallback string
	// MaxRepliesPerMinute bounds the replies to one customer; 0 for no bound.
	MaxRepliesPerMinute int
	// LoopQuiet is how long a customer who got too many must be quiet before the bot answers again.
	LoopQuiet time.Duration
}

// ErrNoRules is returned before the first rules were loaded. The event is to be tried again.
var ErrNoRules = errors.New("no rules are loaded yet")

// Responder answers events. It is safe for concurrent use.
type Responder struct {
	deps    Deps
	opts    Options
	pace    *pace
	metrics metrics
}

// New makes a Responder.
func New(d Deps, o Options) (*Responder, error) {
	if d.Now == nil {
		d.Now = time.Now
	}
	r := &Responder{deps: d, opts: o, pace: newPace(o.MaxRepliesPerMinute, d.Now)}
	return r, r.metrics.register(d.Telemetry.Metrics)
}

// Answer is what comes of an event.
type Answer struct {
	// Intent is the reply, nil for silence.
	Intent *dm.ReplyIntent
	// Hold tells that the conversation was taken from the bot, or stays so for longer; nil otherwise.
	Hold *dm.Event
}

// Answer decides an event. The same event asked again gives the same reply while the rules are the same, and always the same
// id.
func (r *Responder) Answer(ctx context.Context, e dm.Event) (Answer, error) {
	set := r.deps.Rules.Current()
	if set == nil {
		return Answer{}, ErrNoRules
	}
	began := time.Now()
	account, known := r.deps.Accounts.Get(e.Channel, e.Account)
	_, ours := r.deps.Accounts.Get(e.Channel, e.Customer)
	t := Turn{Event: e, AccountKnown: known, AccountReplies: account.Reply, CustomerIsOurs: ours, Now: r.deps.Now()}
	if e.FromCustomer() {
		var err error
		if t.Hold, _, err = r.deps.Holds.Holder(ctx, e.Conversation, eventTime(t)); err != nil {
			return Answer{}, err
		}
	}
	d := Decide(t, Policy{Rules: set, Fallback: r.opts.Fallback})
	var out Answer
	if d.Outcome != OutcomeSilence && r.pace.take(e.Conversation, e.ID, eventTime(t)) {
		d = Decision{Outcome: OutcomeSilence, Reason: ReasonHeld}
	}
	if d.Reason == ReasonHeld {
		var err error
		if out.Hold, err = r.stop(ctx, t); err != nil {
			return Answer{}, err
		}
	}
	r.observe(ctx, t, d, time.Since(began))
	if d.Outcome != OutcomeSilence {
		i := intent(t, d)
		out.Intent = &i
	}
	return out, nil
}

// stop takes a conversation from the bot whose customer got too many replies, or lets it wait for longer when the customer
// goes on.
func (r *Responder) stop(ctx context.Context, t Turn) (*dm.Event, error) {
	at := eventTime(t)
	change, err := r.deps.Holds.Change(ctx, t.Event.Conversation, dm.Hold{
		Holder: dm.HolderPerson, Reason: dm.HoldLoop, At: at, Until: at.Add(r.opts.LoopQuiet), Cause: t.Event.ID,
	})
	if err != nil {
		return nil, err
	}
	if change.Changed && t.Hold.Holder == "" {
		r.alert(ctx, t, at)
	}
	return change.Event, nil
}

// alert tells an operator that a conversation was taken from the bot because it went on too fast.
func (r *Responder) alert(ctx context.Context, t Turn, at time.Time) {
	r.metrics.held.Inc()
	r.deps.Telemetry.Log.ErrorContext(ctx, "conversation.held", telemetry.KeyConversation, t.Event.Conversation.String(),
		telemetry.KeyAccount, t.Event.Account, telemetry.KeyEvent, t.Event.ID, "max_replies_per_minute", r.opts.MaxRepliesPerMinute,
		"until", at.Add(r.opts.LoopQuiet).UTC().Format(time.RFC3339))
	r.deps.Alerts.Raise(alert.Alert{
		Kind: alert.ConversationHeld, Account: t.Event.Account, Conversation: t.Event.Conversation.String(),
		Summary:  fmt.Sprintf("more than %d automatic replies within a minute", r.opts.MaxRepliesPerMinute),
		WhatToDo: "probably another bot: look at the conversation; `parley holds release` gives it back to the bot",
	})
}

// observe tells of a decision. At thousands a second its line belongs to DEBUG; the counters are for every day.
func (r *Responder) observe(ctx context.Context, t Turn, d Decision, took time.Duration) {
	r.metrics.decisions.WithLabelValues(string(d.Outcome), string(d.Reason)).Inc()
	r.metrics.duration.Observe(took.Seconds())
	log := r.deps.Telemetry.Log
	if !log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	log.LogAttrs(ctx, slog.LevelDebug, "event.decided",
		slog.String(telemetry.KeyEvent, t.Event.ID), slog.String(telemetry.KeyConversation, t.Event.Conversation.String()),
		slog.String(telemetry.KeyAccount, t.Event.Account), slog.String("kind", string(t.Event.Kind)),
		slog.String(telemetry.KeyOutcome, string(d.Outcome)), slog.String("reason", string(d.Reason)),
		slog.String("rule_id", d.Rule.ID), slog.String("rule_name", d.Rule.Name),
		slog.Float64(telemetry.KeyDuration, float64(took.Microseconds())/1000))
}

func intent(t Turn, d Decision) dm.ReplyIntent {
	i := dm.ReplyIntent{
		ID: dm.IntentID(t.Event.ID, 0), EventID: t.Event.ID, Conversation: t.Event.Conversation, Origin: dm.OriginFallback,
		Parts:     []dm.Part{{Kind: dm.PartText, Text: d.Text}},
		EventTime: eventTime(t), ReceivedAt: t.Event.ReceivedAt, CreatedAt: t.Now, Expires: eventTime(t).Add(Window),
	}
	if d.Outcome == OutcomeRule {
		i.Origin, i.RuleID, i.RuleName, i.MatchedOn = dm.OriginRule, d.Rule.ID, d.Rule.Name, d.MatchedOn
	}
	return i
}
