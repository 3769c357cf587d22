// Package respond decides what is answered to an event: a rule's reply, the fallback, or nothing, each with its reason.
//
// [Decide] is a pure function. [Responder] puts around it what it needs to know, the bound on replies to one customer,
// and what an operator sees of a decision. The package knows neither the bus nor PostgreSQL.
package respond

import (
	"strings"
	"time"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/rules"
)

// Window is how long after a customer's message Meta lets automation answer it.
const Window = 24 * time.Hour

// Turn is what a decision is about: an event, and what is known of its account and its customer.
type Turn struct {
	Event dm.Event
	// AccountKnown: the account is one of ours. AccountReplies: its customers are answered, not only archived.
	AccountKnown, AccountReplies bool
	// CustomerIsOurs: the one who wrote is an account of ours too.
	CustomerIsOurs bool
	// Hold is who else than the bot has the conversation; its zero value is nobody.
	Hold dm.Hold
	Now  time.Time
}

// Policy is what a business answers by.
type Policy struct {
	Rules *rules.Set
	// Fallback is said when no rule matches; blank means to stay silent then.
	Fallback string
}

// Outcome says in one word what was decided.
type Outcome string

// The outcomes.
const (
	OutcomeRule     Outcome = "rule"
	OutcomeFallback Outcome = "fallback"
	OutcomeSilence  Outcome = "silence"
)

// Reason says why. Events that are not a customer's message have their kind as the reason.
type Reason string

// The reasons.
const (
	ReasonMatched        Reason = "matched"
	ReasonNoMatch        Reason = "no_match"        // no rule matches the text
	ReasonNoText         Reason = "no_text"         // there is no text that a rule could match
	ReasonEmpty          Reason = "empty"           // a message without anything in it
	ReasonNoCustomer     Reason = "no_customer"     // Meta does not say who wrote
	ReasonUnknownAccount Reason = "unknown_account" // not an account of ours
	ReasonArchiveOnly    Reason = "archive_only"    // an account that is not answered for
	ReasonOwnAccount     Reason = "own_account"     // an account of ours wrote: two bots would never end
	ReasonLate           Reason = "late"            // older than the messaging window when it arrived
	ReasonHeld           Reason = "held"            // too many replies to one customer within a minute
	ReasonPerson         Reason = "person"          // a person has the conversation
	ReasonOtherApp       Reason = "other_app"       // another app has it
)

// Decision is what is answered to an event.
type Decision struct {
	Outcome Outcome
	Reason  Reason
	// Text is the reply, empty for silence.
	Text string
	// Rule and MatchedOn say which rule won and on which keyword, for OutcomeRule.
	Rule      rules.Rule
	MatchedOn string
}

// Decide says what is answered in a turn.
func Decide(t Turn, p Policy) Decision {
	if reason, silent := silence(t); silent {
		return Decision{Outcome: OutcomeSilence, Reason: reason}
	}
	texts := []string{t.Event.Text, t.Event.Payload}
	if m, ok := p.Rules.Match(texts...); ok {
		return Decision{Outcome: OutcomeRule, Reason: ReasonMatched, Text: m.Rule.Response, Rule: m.Rule, MatchedOn: m.Keyword}
	}
	reason := ReasonNoMatch
	if strings.TrimSpace(t.Event.Text+t.Event.Payload) == "" {
		reason = ReasonNoText
	}
	if strings.TrimSpace(p.Fallback) == "" {
		return Decision{Outcome: OutcomeSilence, Reason: reason}
	}
	return Decision{Outcome: OutcomeFallback, Reason: reason, Text: p.Fallback}
}

// silence says why an event is not answered, whatever the rules are.
func silence(t Turn) (Reason, bool) {
	e := &t.Event
	switch {
	case e.Kind != dm.KindMessage && e.Kind != dm.KindPostback:
		return kindReason(e.Kind), true
	case e.Standby:
		return Reason(dm.KindStandby), true
	case !e.FromCustomer():
		return ReasonEmpty, true
	case e.Customer == "":
		return ReasonNoCustomer, true
	case !e.KnownAccount || !t.AccountKnown:
		return ReasonUnknownAccount, true
	case !t.AccountReplies:
		return ReasonArchiveOnly, true
	case t.CustomerIsOurs || e.Customer == e.Account:
		return ReasonOwnAccount, true
	case late(t):
		return ReasonLate, true
	case t.Hold.Silences(eventTime(t)):
		return holdReason(t.Hold), true
	default:
		return "", false
	}
}

func holdReason(h dm.Hold) Reason {
	switch {
	case h.Reason == dm.HoldLoop:
		return ReasonHeld
	case h.Holder == dm.HolderApp:
		return ReasonOtherApp
	default:
		return ReasonPerson
	}
}

// late compares Meta's own time with that of arrival, not with the clock: what waited on our side is still answered while
// the window, which the sender checks again, is open.
func late(t Turn) bool {
	arrived := t.Event.ReceivedAt
	if arrived.IsZero() {
		arrived = t.Now
	}
	return arrived.Sub(eventTime(t)) > Window
}

// eventTime is when the customer wrote, as far as that is known.
func eventTime(t Turn) time.Time {
	switch {
	case !t.Event.Time.IsZero():
		return t.Event.Time
	case !t.Event.ReceivedAt.IsZero():
		return t.Event.ReceivedAt
	default:
		return t.Now
	}
}

// kindReason bounds the reasons to the kinds that are known, because they become a metric's label.
func kindReason(k dm.EventKind) Reason {
	switch k {
	case dm.KindEcho, dm.KindSelf, dm.KindDelete, dm.KindEdit, dm.KindEditNoop, dm.KindReaction, dm.KindUnreaction, dm.KindSeen,
		dm.KindReferral, dm.KindOptin, dm.KindThreadControl, dm.KindStandby, dm.KindComment, dm.KindLiveComment, dm.KindMention,
		dm.KindHold:
		return Reason(k)
	default:
		return Reason(dm.KindUnknown)
	}
}
