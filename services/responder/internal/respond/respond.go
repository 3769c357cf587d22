package respond

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/services/responder/internal/rules"
)

// Accounts says which accounts are ours.
type Accounts interface {
	Get(channel dm.Channel, id string) (accounts.Account, bool)
}

// Rules gives the set in use; nil while there is none.
type Rules interface{ Current() *rules.Set }

// Deps is what a Responder works with.
type Deps struct {
	Accounts  Accounts
	Rules     Rules
	Telemetry *telemetry.Telemetry
	// Now is the clock; time.Now if nil.
	Now func() time.Time
}

// Options says how it answers.
type Options struct {
	Fallback string
	// MaxRepliesPerMinute bounds the replies to one customer; 0 for no bound.
	MaxRepliesPerMinute int
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

// Answer decides an event and gives the reply to it, if there is one. The same event asked again gives the same reply
// while the rules are the same, and always the same id.
func (r *Responder) Answer(ctx context.Context, e dm.Event) (dm.ReplyIntent, bool, error) {
	set := r.deps.Rules.Current()
	if set == nil {
		return dm.ReplyIntent{}, false, ErrNoRules
	}
	began := time.Now()
	account, known := r.deps.Accounts.Get(e.Channel, e.Account)
	_, ours := r.deps.Accounts.Get(e.Channel, e.Customer)
	t := Turn{Event: e, AccountKnown: known, AccountReplies: account.Reply, CustomerIsOurs: ours, Now: r.deps.Now()}
	d := Decide(t, Policy{Rules: set, Fallback: r.opts.Fallback})
	if d.Outcome != OutcomeSilence {
		d = r.bound(ctx, t, d)
	}
	r.observe(ctx, t, d, time.Since(began))
	if d.Outcome == OutcomeSilence {
		return dm.ReplyIntent{}, false, nil
	}
	return intent(t, d), true, nil
}

// bound turns a reply into silence when its customer had too many.
func (r *Responder) bound(ctx context.Context, t Turn, d Decision) Decision {
	v := r.pace.take(t.Event.Conversation, t.Event.ID, eventTime(t))
	if !v.held {
		return d
	}
	if v.began {
		r.metrics.held.Inc()
		r.deps.Telemetry.Log.ErrorContext(ctx, "conversation.held", telemetry.KeyConversation, t.Event.Conversation.String(),
			telemetry.KeyAccount, t.Event.Account, telemetry.KeyEvent, t.Event.ID, "max_replies_per_minute", r.opts.MaxRepliesPerMinute)
	}
	return Decision{Outcome: OutcomeSilence, Reason: ReasonHeld}
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
