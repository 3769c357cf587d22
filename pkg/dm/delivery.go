package dm

import "time"

// Outcome says what came of one message of a reply intent.
type Outcome string

// The outcomes.
const (
	OutcomeSent    Outcome = "sent"
	OutcomeFailed  Outcome = "failed"  // refused for good
	OutcomeExpired Outcome = "expired" // its messaging window closed before it could be sent
	OutcomeUnknown Outcome = "unknown" // it may or may not have been sent; never sent again blindly
	OutcomeHeld    Outcome = "held"    // not sent: a person or another app had the conversation by then
)

// Stop says that Meta refused more than one message: nothing automatic should follow in that conversation. Whoever keeps who
// holds a conversation learns it from here.
type Stop string

// The reasons to stop.
const (
	// StopTooMany: too many messages to this person. Nothing automatic until they write again, and an alert.
	StopTooMany Stop = "too_many"
	// StopNotOurs: another app owns the thread. Nothing until it is handed to us.
	StopNotOurs Stop = "not_ours"
	// StopUnreachable: there is no such person any more, or they cannot be written to. Worth a mark on the contact.
	StopUnreachable Stop = "unreachable"
)

// Delivery is what came of one message of an intent. A text that was split gives one delivery for each piece.
type Delivery struct {
	ID       string `json:"id"`
	IntentID string `json:"intent_id"`
	// Part counts the messages of the intent from 0; Of is how many there are.
	Part int `json:"part"`
	Of   int `json:"of"`
	Conversation
	Outcome Outcome `json:"outcome"`
	// MID is Meta's message_id, when sent.
	MID    string `json:"mid,omitempty"`
	Origin Origin `json:"origin"`
	// Message is the part as it was sent.
	Message  Part      `json:"message"`
	Attempts []Attempt `json:"attempts,omitempty"`
	// Reason says, for an operator, why it was not sent.
	Reason string `json:"reason,omitempty"`
	// Stop, of a failed one, says that nothing automatic should follow, and why.
	Stop Stop `json:"stop,omitempty"`
	// SentAt is when the Graph API answered, or the outcome was settled.
	SentAt     time.Time `json:"sent_at"`
	ReceivedAt time.Time `json:"received_at"`
}

// Attempt is one call of the Graph API.
type Attempt struct {
	At         time.Time `json:"at"`
	DurationMS int64     `json:"duration_ms"`
	// Status is the HTTP status, 0 when there was no answer. Code and Subcode are Meta's.
	Status  int    `json:"status,omitempty"`
	Code    int    `json:"code,omitempty"`
	Subcode int    `json:"subcode,omitempty"`
	Error   string `json:"error,omitempty"`
	TraceID string `json:"fbtrace_id,omitempty"`
}
