package respond

import (
	"context"
	"slices"
	"time"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/meta/graph"
	"github.com/parley-dm/parley/pkg/rules/template"
	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/services/responder/internal/engine"
)

// classifyTimeout bounds a classifier.
const classifyTimeout = time.Second

// work is one event on its way to an answer.
type work struct {
	r        *Responder
	began    time.Time
	features *features
	turn     Turn
	account  template.Account
	memory   memory
	trace    dm.Trace

	outcome  Outcome
	reason   Reason
	decision engine.Decision
	// parts are what is said, labels those that the conversation has not yet.
	parts  []dm.Part
	labels []string
}

func (w *work) silent(reason Reason) {
	w.outcome, w.reason, w.parts = OutcomeSilence, reason, nil
}

// decide finds out what is to be done, and remembers what it depends on next time.
func (w *work) decide(ctx context.Context) error {
	if reason, silent := Silence(w.turn); silent {
		w.silent(reason)
		if reason == ReasonUnknownAccount {
			w.r.stranger(&w.turn.Event)
		}
		return nil
	}
	if w.features.memory {
		if err := w.r.recall(ctx, &w.turn, &w.memory); err != nil {
			return err
		}
	}
	if w.r.opts.BurstWindow > 0 && w.turn.Event.FromCustomer() {
		last, err := w.r.gather(ctx, &w.turn, &w.memory)
		if err != nil {
			return err
		}
		if !last {
			w.silent(ReasonBurst)
			return w.r.keep(ctx, &w.turn, &w.memory)
		}
	}
	if w.features.contact {
		w.r.acquaint(ctx, &w.turn, &w.memory)
	}
	w.ask(ctx)
	if w.outcome != OutcomeSilence && w.r.pace.take(w.turn.Event.Conversation, w.turn.Event.ID, eventTime(w.turn)) {
		w.silent(ReasonHeld)
		w.decision = engine.Decision{}
		return nil
	}
	if len(w.decision.Labels) > 0 {
		if err := w.label(ctx); err != nil {
			return err
		}
	}
	w.disclose()
	w.note()
	return w.r.keep(ctx, &w.turn, &w.memory)
}

// ask asks the engines.
func (w *work) ask(ctx context.Context) {
	t := w.engineTurn(ctx)
	chain := w.r.chain
	if !w.turn.Event.FromCustomer() {
		chain = w.r.only
	}
	d, ok := chain.Decide(ctx, t, &w.trace)
	if !ok {
		w.silent(ReasonNotAsked)
		return
	}
	w.decision = d
	w.reason = Reason(d.Reason)
	switch d.Origin {
	case dm.OriginRule:
		w.outcome = OutcomeRule
	case dm.OriginEngine:
		w.outcome = OutcomeEngine
	default:
		w.outcome = OutcomeFallback
	}
	w.parts = w.say(&d)
	switch {
	case d.Silent && d.Origin == dm.OriginRule:
		w.silent(ReasonRuleSilent)
	case d.Silent:
		w.silent(w.reason)
	case len(w.parts) == 0 && !d.HandOff:
		w.silent(ReasonRuleSilent)
	}
}

func (w *work) engineTurn(ctx context.Context) *engine.Turn {
	r, e := w.r, &w.turn.Event
	t := &engine.Turn{
		Event: e, At: eventTime(w.turn), Now: w.turn.Now, Rules: w.features.set, First: w.memory.first, Returning: w.memory.returning,
		Known: w.memory.view, Account: w.account, Zone: r.opts.Zone,
	}
	if w.memory.loaded {
		t.Labels = w.memory.view.Labels()
	}
	if r.deps.Language != nil {
		t.Language = func() string { return r.deps.Language(e.Text) }
	}
	if r.deps.History != nil && r.remote {
		t.History = func(ctx context.Context) ([]engine.Said, error) { return r.deps.History(ctx, e) }
	}
	if w.features.customer && r.deps.Customers != nil {
		t.Customer = r.deps.Customers.Customer(e.Conversation)
	}
	if w.features.classes && r.deps.Classifier != nil {
		ctx, cancel := context.WithTimeout(ctx, classifyTimeout)
		defer cancel()
		class, err := r.deps.Classifier.Classify(ctx, t)
		if err != nil {
			r.deps.Telemetry.Log.WarnContext(ctx, "message.not_classified", telemetry.KeyEvent, e.ID, telemetry.KeyError, err)
		}
		t.Class = class
	}
	return t
}

// reaction is what a public like is.
const reaction = "love"

// say makes the parts of a decision fit what they answer.
func (w *work) say(d *engine.Decision) []dm.Part {
	e := &w.turn.Event
	if comment(e.Kind) {
		if !d.Private || len(d.Parts) == 0 {
			return nil
		}
		p := d.Parts[0] // Meta takes one message for each comment
		p.CommentID = e.CommentID
		return []dm.Part{p}
	}
	parts := d.Parts
	if d.Like && e.MID != "" && e.FromCustomer() {
		parts = append([]dm.Part{{Kind: dm.PartReaction, MID: e.MID, Reaction: reaction}}, parts...)
	}
	return parts
}

// label finds the labels that the conversation does not have yet.
func (w *work) label(ctx context.Context) error {
	if err := w.r.recall(ctx, &w.turn, &w.memory); err != nil {
		return err
	}
	has := w.memory.view.Labels()
	for _, l := range w.decision.Labels {
		if !slices.Contains(has, l) && !slices.Contains(w.labels, l) {
			w.labels = append(w.labels, l)
		}
	}
	w.memory.entry.Added = w.labels
	return nil
}

// talks says whether something is said, and not only shown.
func talks(parts []dm.Part) bool {
	return slices.ContainsFunc(parts, func(p dm.Part) bool {
		return !p.Kind.Action() && p.Kind != dm.PartReaction && p.Kind != dm.PartUnreaction
	})
}

// disclose says first that a bot answers, where the customer has to be told.
func (w *work) disclose() {
	o := &w.r.opts
	if o.Disclosure == "" || !talks(w.parts) {
		return
	}
	known := w.memory.view.Facts()
	told := known.Disclosed
	lapsed := o.DisclosureLapse > 0 && w.turn.Now.Sub(later(told, known.LastReply)) > o.DisclosureLapse
	if !told.IsZero() && !lapsed && !known.Person.After(told) {
		return
	}
	first := &w.parts[0]
	switch {
	case first.CommentID == "":
		w.parts = append([]dm.Part{{Kind: dm.PartText, Text: o.Disclosure}}, w.parts...)
	case first.Kind == dm.PartText && len(o.Disclosure)+len("\n\n")+len(first.Text) <= graph.MaxTextBytes:
		private := *first // one message is all that may be said
		private.Text = o.Disclosure + "\n\n" + first.Text
		w.parts = []dm.Part{private}
	default:
		return // the next reply says it
	}
	w.memory.entry.Disclosed = true
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// note adds to what is remembered what somebody may ask for.
func (w *work) note() {
	e, d := &w.memory.entry, &w.decision
	if d.Remember {
		e.Rule = d.Rule.ID
	}
	if w.r.remote {
		e.Language = d.Language
		if w.turn.Event.FromCustomer() {
			e.Contact = eventTime(w.turn)
		}
	}
	w.count()
	if !talks(w.parts) {
		return
	}
	e.Fallback = d.Origin == dm.OriginFallback && (w.r.opts.FallbackCooldown > 0 || w.r.remote)
	known := w.memory.view.Facts()
	// The lapse is measured from the last reply: that it was lately is not worth a write each time.
	stale := w.r.opts.Disclosure != "" && w.turn.Now.Sub(known.LastReply) > w.r.opts.DisclosureLapse/30
	e.Replied = w.r.remote || stale || w.features.contact && !w.memory.returning || w.memory.loaded && !e.Empty()
}

// count keeps how many messages in a row nobody but the fallback had an answer to. A hand-off begins the row anew.
func (w *work) count() {
	if w.r.opts.HandOffAfter <= 0 || !w.turn.Event.FromCustomer() {
		return
	}
	if w.decision.Origin == dm.OriginFallback && !w.decision.HandOff {
		w.memory.entry.Missed = true
	} else {
		w.memory.entry.Met = w.memory.view.Facts().Missed > 0
	}
}

// answer makes what is published.
func (w *work) answer(ctx context.Context) (Answer, error) {
	var out Answer
	t := &w.turn
	at := eventTime(*t)
	var err error
	switch {
	case w.reason == ReasonHeld:
		out.Hold, err = w.r.stop(ctx, t)
	case w.decision.HandOff:
		out.Hold, err = w.handOff(ctx, at)
	}
	if err != nil {
		return Answer{}, err
	}
	if len(w.labels) > 0 {
		out.Label = w.labelled()
	}
	took := time.Since(w.began)
	w.r.observe(ctx, w, took)
	if len(w.parts) > 0 {
		i := w.intent(at, took)
		out.Intent = &i
	} else if t.Event.FromCustomer() && t.Event.Source != dm.SourceParley {
		out.Decision = w.unanswered(took)
	}
	return out, nil
}

// handOff gives the conversation to a person. The reply to this event still goes out.
func (w *work) handOff(ctx context.Context, at time.Time) (*dm.Event, error) {
	change, err := w.r.deps.Holds.Change(ctx, w.turn.Event.Conversation, dm.Hold{
		Holder: dm.HolderPerson, Reason: dm.HoldHandOff, At: at, Until: at.Add(w.r.opts.HandOffQuiet), Cause: w.turn.Event.ID, By: w.by(),
	})
	return change.Event, err
}

// by is who did something, as labels and holds have it.
func (w *work) by() string {
	if w.decision.Origin == dm.OriginRule {
		return "rule " + w.decision.Rule.Name
	}
	return string(w.decision.Origin)
}

func (w *work) labelled() *dm.Event {
	e := w.made(dm.KindLabel)
	e.Labels = &dm.Labels{Added: w.labels, By: w.by(), Cause: w.turn.Event.ID, At: w.turn.Now.UTC()}
	return e
}

// unanswered tells why a message of a customer has no reply.
func (w *work) unanswered(took time.Duration) *dm.Event {
	e := w.made(dm.KindDecision)
	e.MID = w.turn.Event.MID
	w.trace.Why, w.trace.Micros = string(w.reason), took.Microseconds()
	e.Decision = &dm.Decision{EventID: w.turn.Event.ID, Kind: w.turn.Event.Kind, Reason: string(w.reason), Trace: &w.trace}
	return e
}

// made is an event of ours about the one that was decided. However often that comes, it has one id.
func (w *work) made(k dm.EventKind) *dm.Event {
	e := &w.turn.Event
	return &dm.Event{
		ID: dm.EventID(e.Channel, e.Account, k, e.ID), Conversation: e.Conversation, Kind: k, KnownAccount: e.KnownAccount,
		Time: w.turn.Now.UTC(), ReceivedAt: w.turn.Now.UTC(), Source: dm.SourceParley,
	}
}

func (w *work) intent(at time.Time, took time.Duration) dm.ReplyIntent {
	t, d := &w.turn, &w.decision
	i := dm.ReplyIntent{
		ID: dm.IntentID(t.Event.ID, 0), EventID: t.Event.ID, Conversation: t.Event.Conversation, Origin: d.Origin, Parts: w.parts,
		EventTime: at, ReceivedAt: t.Event.ReceivedAt, CreatedAt: t.Now, Expires: at.Add(window(t.Event.Kind)), Trace: &w.trace,
	}
	if d.Origin == dm.OriginRule {
		i.RuleID, i.RuleName, i.MatchedOn = d.Rule.ID, d.Rule.Name, d.MatchedOn
	} else {
		w.trace.Why = string(w.reason)
	}
	w.trace.Micros = took.Microseconds()
	w.compact(&i)
	return i
}

// compact leaves out of the trace what goes without saying: nearly every reply has one.
func (w *work) compact(i *dm.ReplyIntent) {
	w.trace.Compact(i)
	if len(w.trace.Engines) == 1 && i.Origin == dm.OriginRule {
		w.trace.Engines = nil
	}
	if len(w.trace.Occasions) == 1 && w.trace.Occasions[0] == "text" {
		w.trace.Occasions = nil
	}
}
