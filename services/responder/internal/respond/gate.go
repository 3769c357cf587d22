package respond

import (
	"time"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/services/responder/internal/engine"
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
	// Asked: a rule asks for what happened, though it is no message: a reaction, a referral, a comment.
	Asked bool
	Now   time.Time
	// AnswerWithin is how old a message may be, when it is found, whose webhook was missed; 0 does not ask.
	AnswerWithin time.Duration
	// Backfilled: the tap was found as a message before its webhook came.
	Backfilled bool
}

// Outcome says in one word what was decided.
type Outcome string

// The outcomes.
const (
	OutcomeRule     Outcome = "rule"
	OutcomeFallback Outcome = "fallback"
	OutcomeEngine   Outcome = "engine"
	OutcomeSilence  Outcome = "silence"
)

// Reason says why. Events that are not a customer's message have their kind as the reason.
type Reason string

// The reasons.
const (
	ReasonMatched        Reason = "matched"
	ReasonNoMatch        Reason = engine.ReasonNoMatch
	ReasonNoText         Reason = engine.ReasonNoText
	ReasonFallbacks      Reason = engine.ReasonFallbacks
	ReasonEngine         Reason = "engine"          // an engine decided
	ReasonRuleSilent     Reason = "rule_silent"     // the rule that matches says nothing
	ReasonBurst          Reason = "burst"           // answered together with the next one
	ReasonNotAsked       Reason = "not_asked"       // no rule matches what is answered only by rules
	ReasonOwn            Reason = "own"             // the account itself did it
	ReasonEmpty          Reason = "empty"           // a message without anything in it
	ReasonNoCustomer     Reason = "no_customer"     // Meta does not say who wrote
	ReasonUnknownAccount Reason = "unknown_account" // not an account of ours
	ReasonArchiveOnly    Reason = "archive_only"    // an account that is not answered for
	ReasonOwnAccount     Reason = "own_account"     // an account of ours wrote: two bots would never end
	ReasonLate           Reason = "late"            // older than the messaging window when it arrived
	ReasonHeld           Reason = "held"            // too many replies to one customer within a minute
	ReasonPerson         Reason = "person"          // a person has the conversation
	ReasonOtherApp       Reason = "other_app"       // another app has it
	ReasonBackfillOld    Reason = "backfill_old"    // its webhook was missed, and it was found too late
	ReasonBackfilled     Reason = "backfilled"      // what was found before its webhook came, and decided then
)

// Silence says why an event is not answered, whatever the rules are; false if it may be.
func Silence(t Turn) (Reason, bool) {
	e := &t.Event
	message := e.Kind == dm.KindMessage || e.Kind == dm.KindPostback
	switch {
	case e.Source == dm.SourceParley:
		return kindReason(e.Kind), true // what happened here is never answered: it would never end
	case !message && !t.Asked:
		return kindReason(e.Kind), true
	case e.Standby:
		return Reason(dm.KindStandby), true
	case e.Own:
		return ReasonOwn, true
	case message && !e.FromCustomer():
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
		return missed(t)
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
	return arrived.Sub(eventTime(t)) > window(t.Event.Kind)
}

// window is how long Meta lets automation answer.
func window(k dm.EventKind) time.Duration {
	if comment(k) {
		return dm.CommentWindow
	}
	return Window
}

func comment(k dm.EventKind) bool { return k == dm.KindComment || k == dm.KindLiveComment }

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
		dm.KindHold, dm.KindDecision, dm.KindLabel, dm.KindProfile:
		return Reason(k)
	default:
		return Reason(dm.KindUnknown)
	}
}
