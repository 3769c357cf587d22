package respond

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/pkg/alert"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/pipeline/holds"
	"github.com/parley-dm/parley/pkg/rules"
	"github.com/parley-dm/parley/pkg/rules/template"
	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/services/responder/internal/engine"
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

// Customers knows who customers are, as far as that goes without asking anybody.
type Customers interface {
	Customer(c dm.Conversation) template.Customer
}

// Deps is what a Responder works with.
type Deps struct {
	Accounts Accounts
	Rules    Rules
	Holds    Holds
	// State and Bursts may be nil where no rule and no option needs them; Archive may be nil.
	State   State
	Bursts  Bursts
	Archive Archive
	// Engine is one more that is asked, beside the rules and the fallback; Aside runs the wait for it, and may be nil.
	Engine *engine.Link
	Aside  func(ctx context.Context, wait func() error) error
	// History gives what was said in a conversation before an event; nil where nobody keeps it.
	History func(ctx context.Context, e *dm.Event) ([]engine.Said, error)
	// Language gives the language of a text (ISO 639-1), "" where it cannot say; nil is nobody. Classifier and Customers may be nil, too.
	Language   func(text string) string
	Classifier engine.Classifier
	Customers  Customers
	// Heard may be nil: what was found before its webhook came is then not asked for.
	Heard Heard
	// Alerts may be nil.
	Alerts    *alert.Alerts
	Telemetry *telemetry.Telemetry
	// Now is the clock; time.Now if nil.
	Now func() time.Time
}

// Options says how it answers.
type Options struct {
	// Fallback is said when nobody else answers; blank is silence. FallbackByLanguage is what is said instead to messages in a language.
	Fallback           string
	FallbackByLanguage map[string]string
	// FallbackCooldown is how long it is not said again in a conversation; 0 for no bound.
	FallbackCooldown time.Duration
	// EngineFirst asks the engine before the rules, and not after them.
	EngineFirst bool
	// MaxRepliesPerMinute bounds the replies to one customer; 0 for no bound.
	MaxRepliesPerMinute int
	// LoopQuiet is how long a customer who got too many must be quiet before the bot answers again.
	LoopQuiet time.Duration
	// HandOffQuiet is how long a person has a conversation that a rule or an engine hands off; 12 hours if 0.
	HandOffQuiet time.Duration
	// HandOffAfter hands a conversation to a person at the so-manieth message in a row that nobody but the fallback has an answer to;
	// 0 never. HandOffText is said then, blank says nothing, and HandOffByLanguage instead to messages in a language.
	HandOffAfter      int
	HandOffText       string
	HandOffByLanguage map[string]string
	// BurstWindow is how long a customer must be quiet before what they wrote is answered as one; 0 answers each message.
	BurstWindow time.Duration
	// Disclosure is said before the first automatic reply, after a lapse, and when a person had the conversation; blank says nothing.
	Disclosure      string
	DisclosureLapse time.Duration
	// Zone is the business's time zone, for templates; UTC if nil.
	Zone *time.Location
	// BackfillWithin is how old a message may be, when it is found, whose webhook was missed; 0 for no bound.
	BackfillWithin time.Duration
}

// handOffQuiet is how long a person has what was handed off, where nobody says.
const handOffQuiet = 12 * time.Hour

// ErrNoRules is returned before the first rules were loaded. The event is to be tried again.
var ErrNoRules = errors.New("no rules are loaded yet")

// Responder answers events. It is safe for concurrent use.
type Responder struct {
	deps     Deps
	opts     Options
	pace     *pace
	chain    *engine.Chain // for messages
	only     *engine.Chain // for what only rules answer
	remote   bool
	features atomic.Pointer[features]
	metrics  metrics
}

// New makes a Responder.
func New(d Deps, o Options) (*Responder, error) {
	if d.Now == nil {
		d.Now = time.Now
	}
	if o.HandOffQuiet <= 0 {
		o.HandOffQuiet = handOffQuiet
	}
	r := &Responder{deps: d, opts: o, pace: newPace(o.MaxRepliesPerMinute, d.Now), remote: d.Engine != nil}
	byRules := engine.Link{Engine: engine.Rules{}}
	links := []engine.Link{byRules}
	switch {
	case r.remote && o.EngineFirst:
		links = []engine.Link{*d.Engine, byRules}
	case r.remote:
		links = append(links, *d.Engine)
	}
	links = append(links, engine.Link{Engine: &engine.Fallback{
		Text: o.Fallback, ByLanguage: o.FallbackByLanguage, Cooldown: o.FallbackCooldown,
		HandOffAfter: o.HandOffAfter, HandOffText: o.HandOffText, HandOffByLanguage: o.HandOffByLanguage,
	}})
	var err error
	if r.chain, err = engine.NewChain(d.Telemetry.Log, d.Telemetry.Metrics, d.Aside, links...); err != nil {
		return nil, err
	}
	r.only = r.chain.Only(byRules)
	return r, r.metrics.register(d.Telemetry.Metrics)
}

// Answer is what comes of an event.
type Answer struct {
	// Intent is the reply, nil for silence.
	Intent *dm.ReplyIntent
	// Hold tells that the conversation was taken from the bot, or stays so for longer; nil otherwise.
	Hold *dm.Event
	// Label tells of labels that a rule or an engine put on the conversation, Decision why a message of a customer has no reply of
	// its own; nil otherwise.
	Label, Decision *dm.Event
}

// Events are those to be published beside the intent.
func (a *Answer) Events() []*dm.Event { return []*dm.Event{a.Hold, a.Label, a.Decision} }

// Answer decides an event. The same event asked again gives the same reply while the rules are the same, and always the same
// id.
func (r *Responder) Answer(ctx context.Context, e dm.Event) (Answer, error) {
	set := r.deps.Rules.Current()
	if set == nil {
		return Answer{}, ErrNoRules
	}
	w := &work{r: r, began: time.Now(), features: r.featuresOf(set)}
	account, known := r.deps.Accounts.Get(e.Channel, e.Account)
	_, ours := r.deps.Accounts.Get(e.Channel, e.Customer)
	w.turn = Turn{Event: e, AccountKnown: known, AccountReplies: account.Reply, CustomerIsOurs: ours, Asked: w.features.asks[e.Kind], Now: r.deps.Now(), AnswerWithin: r.opts.BackfillWithin}
	w.account = template.Account{ID: e.Account, Name: account.Name}
	if e.Source == dm.SourceParley {
		if err := r.heard(ctx, &e); err != nil {
			return Answer{}, err
		}
	} else if e.FromCustomer() || w.turn.Asked {
		var err error
		if w.turn.Hold, _, err = r.deps.Holds.Holder(ctx, e.Conversation, eventTime(w.turn)); err != nil {
			return Answer{}, err
		}
	}
	if r.mayBeBackfilled(&e) {
		var err error
		if w.turn.Backfilled, err = r.backfilled(ctx, &e); err != nil {
			return Answer{}, err
		}
	}
	if err := w.decide(ctx); err != nil {
		return Answer{}, err
	}
	return w.answer(ctx)
}

// stop takes a conversation from the bot whose customer got too many replies, or lets it wait for longer when the customer
// goes on.
func (r *Responder) stop(ctx context.Context, t *Turn) (*dm.Event, error) {
	at := eventTime(*t)
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
func (r *Responder) alert(ctx context.Context, t *Turn, at time.Time) {
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

// stranger tells an operator that customers write to an account that nobody answers for: it was forgotten here, or should not be
// subscribed. Meta's own test events are about account 0.
func (r *Responder) stranger(e *dm.Event) {
	if e.Account == "" || e.Account == "0" {
		return
	}
	r.deps.Alerts.Raise(alert.Alert{
		Kind: alert.UnknownAccount, Account: e.Account,
		Summary:  "customers write to an account that this installation does not answer for; what they write is kept",
		WhatToDo: "add the account (ACCOUNTS_FILE, INSTAGRAM_PAGE_ID), or end its subscription in the App Dashboard",
	})
}

// observe tells of a decision. At thousands a second its line belongs to DEBUG; the counters are for every day.
func (r *Responder) observe(ctx context.Context, w *work, took time.Duration) {
	r.metrics.decisions.WithLabelValues(string(w.outcome), string(w.reason)).Inc()
	r.metrics.duration.Observe(took.Seconds())
	log := r.deps.Telemetry.Log
	if !log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	e := &w.turn.Event
	log.LogAttrs(ctx, slog.LevelDebug, "event.decided",
		slog.String(telemetry.KeyEvent, e.ID), slog.String(telemetry.KeyConversation, e.Conversation.String()),
		slog.String(telemetry.KeyAccount, e.Account), slog.String("kind", string(e.Kind)),
		slog.String(telemetry.KeyOutcome, string(w.outcome)), slog.String("reason", string(w.reason)),
		slog.String("rule_id", w.decision.Rule.ID), slog.String("rule_name", w.decision.Rule.Name),
		slog.Float64(telemetry.KeyDuration, float64(took.Microseconds())/1000))
}
