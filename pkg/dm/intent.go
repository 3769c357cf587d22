package dm

import "time"

// Origin says who decided a reply.
type Origin string

// The origins of replies.
const (
	OriginRule     Origin = "rule"
	OriginFallback Origin = "fallback"
	OriginEngine   Origin = "engine"
	OriginOperator Origin = "operator" // a person, in the console
)

// PartKind says what one part of a reply is.
type PartKind string

// PartText is a text, the only kind so far; media, templates and sender actions join it here.
const PartText PartKind = "text"

// Part is one piece of a reply. A long text becomes several messages when it is sent.
type Part struct {
	Kind PartKind `json:"kind"`
	Text string   `json:"text,omitempty"`
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
	// Expires is when the messaging window closes: 24 hours after the customer's message. Zero means never.
	Expires time.Time `json:"expires,omitzero"`
}
