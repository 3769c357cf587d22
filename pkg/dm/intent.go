package dm

import (
	"strings"
	"time"
)

// Origin says who decided a reply.
type Origin string

// The origins of replies.
const (
	OriginRule     Origin = "rule"
	OriginFallback Origin = "fallback"
	OriginEngine   Origin = "engine"
	OriginOperator Origin = "operator" // a person, in the console
)

// Alike compares a text that was sent with one that came back: Meta may change white space.
func Alike(a, b string) bool {
	return a == b || strings.Join(strings.Fields(a), " ") == strings.Join(strings.Fields(b), " ")
}

// ReplyIntent is the decision to say something to a customer, before it is said.
type ReplyIntent struct {
	ID string `json:"id"`
	// EventID is what is answered; Step tells apart several intents of one event.
	EventID string `json:"event_id,omitempty"`
	Step    int    `json:"step,omitempty"`
	Conversation
	Origin Origin `json:"origin"`
	// RuleID and RuleName say which rule won, MatchedOn the keyword or expression that it matched on.
	RuleID    string `json:"rule_id,omitempty"`
	RuleName  string `json:"rule_name,omitempty"`
	MatchedOn string `json:"matched_on,omitempty"`
	Parts     []Part `json:"parts"`
	// EventTime is Meta's time of the event that is answered, ReceivedAt when ingress took it: what latency is measured from.
	EventTime  time.Time `json:"event_time"`
	ReceivedAt time.Time `json:"received_at"`
	CreatedAt  time.Time `json:"created_at"`
	// Expires is when it is too late to send it, where that is earlier than [ReplyIntent.Deadline] says: for automation 24
	// hours after the customer's message. Zero leaves it to the deadline.
	Expires time.Time `json:"expires,omitzero"`
	// Trace says how it was decided; nil for what a person wrote. What the intent itself says is not said again in it.
	Trace *Trace `json:"trace,omitempty"`
}

// How long after a customer's message or tap may be written to them, and privately after a comment (Meta's policy).
const (
	MessagingWindow = 24 * time.Hour
	HumanWindow     = 7 * 24 * time.Hour // a person, with the HUMAN_AGENT tag; never automation
	CommentWindow   = 7 * 24 * time.Hour
)

// Deadline is when it is too late to send the intent; zero for never, where nothing is known of what it answers.
func (i *ReplyIntent) Deadline() time.Time {
	if i.EventTime.IsZero() {
		return i.Expires
	}
	window := MessagingWindow
	switch {
	case i.Private():
		window = CommentWindow
	case i.Origin == OriginOperator:
		window = HumanWindow
	}
	at := i.EventTime.Add(window)
	if !i.Expires.IsZero() && i.Expires.Before(at) {
		return i.Expires
	}
	return at
}

// Private says whether the intent is the private reply to a comment.
func (i *ReplyIntent) Private() bool {
	for n := range i.Parts {
		if i.Parts[n].CommentID != "" {
			return true
		}
	}
	return false
}

// NeedsHumanAgent says whether a message of the intent that is sent at a time is a person's after the messaging window, and so
// needs the tag.
func (i *ReplyIntent) NeedsHumanAgent(at time.Time) bool {
	return i.Origin == OriginOperator && !i.Private() && !i.EventTime.IsZero() && !at.Before(i.EventTime.Add(MessagingWindow))
}
