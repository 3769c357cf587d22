package dm

import "time"

// Holder is who has a conversation.
type Holder string

// The holders. A conversation that nothing is known of is the bot's.
const (
	HolderBot    Holder = "bot"
	HolderPerson Holder = "person" // someone of the business, or nobody until someone looks
	HolderApp    Holder = "app"    // another app owns the thread
)

// HoldReason says why a conversation has the holder that it has.
type HoldReason string

// The reasons.
const (
	HoldOperator      HoldReason = "operator"       // a person said so
	HoldTakeover      HoldReason = "takeover"       // the business answered by itself: an echo that is not ours
	HoldHandOff       HoldReason = "hand_off"       // a rule gave it to a person
	HoldLoop          HoldReason = "loop"           // too many automatic replies within a minute
	HoldTooMany       HoldReason = "too_many"       // Meta takes no more messages to this person for now
	HoldThreadControl HoldReason = "thread_control" // the thread was passed or taken
	HoldStandby       HoldReason = "standby"        // we are only told what is said
	HoldOtherApp      HoldReason = "other_app"      // Meta refused a message of ours, because another app owns the thread
	HoldOurs          HoldReason = "ours"           // given back: what looked like a takeover was a message of ours
)

// Hold is one change of who has a conversation.
type Hold struct {
	Holder Holder     `json:"holder"`
	Reason HoldReason `json:"reason"`
	// By is who: an operator's name, an app's id; empty where nobody knows.
	By string `json:"by,omitempty"`
	// At is when that happened which the change comes from. Until is when it ends by itself; zero is not before somebody
	// ends it.
	At    time.Time `json:"at"`
	Until time.Time `json:"until,omitzero"`
	// MID is the message that a takeover was seen by.
	MID string `json:"mid,omitempty"`
	// Cause is the id of the event or delivery that the change comes from.
	Cause string `json:"cause,omitempty"`
}

// Holds says whether somebody else than the bot has the conversation at a time.
func (h Hold) Holds(at time.Time) bool {
	return h.Holder != "" && h.Holder != HolderBot && (h.Until.IsZero() || at.Before(h.Until))
}

// Silences says whether what was said at a time, in a conversation that is held so, is not answered. A loop and a
// hand-off silence what comes after them, not what led to them.
func (h Hold) Silences(at time.Time) bool {
	led := (h.Reason == HoldLoop || h.Reason == HoldHandOff) && !at.After(h.At)
	return h.Holder != "" && h.Holder != HolderBot && !led
}

// Stops says whether a reply is not to be sent to a conversation that is held so. What a person wrote goes out, and so does
// the reply to the very event that gave the conversation away.
func (h Hold) Stops(i *ReplyIntent) bool {
	return i.Origin != OriginOperator && (h.Cause == "" || h.Cause != i.EventID) && h.Silences(i.EventTime)
}
