package repository

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/parley-dm/parley/pkg/dm"
)

// Message is one message of a conversation, with what is known of it.
type Message struct {
	ID string `json:"id"`
	dm.Conversation
	// MID is Meta's id of it; empty until it is known.
	MID       string    `json:"mid,omitempty"`
	Sender    string    `json:"sender_id"`
	Recipient string    `json:"recipient_id"`
	Direction Direction `json:"direction"`
	// Status is received, or for outbound ones queued, sent, delivered, read, failed, expired or unknown.
	Status string `json:"status"`
	// Type is text, image, story_mention, …; Text as it is now, after edits; empty for a message without one and an unsent one.
	Type string `json:"message_type"`
	Text string `json:"message_text,omitempty"`
	// At is Meta's own time where it gives one, CreatedAt when the message reached the installation, or was decided there.
	At        time.Time `json:"timestamp"`
	CreatedAt time.Time `json:"created_at"`
	// DeletedAt is when it was unsent, SentAt the earliest evidence that an outbound one was sent; zero where nobody knows.
	DeletedAt time.Time `json:"deleted_at,omitzero"`
	SentAt    time.Time `json:"sent_at,omitzero"`
	Metadata  Metadata  `json:"metadata"`
}

// Direction says who wrote a message.
type Direction string

// The directions.
const (
	Inbound  Direction = "inbound"  // the customer
	Outbound Direction = "outbound" // the account: through us or elsewhere
)

// Metadata is what is known of a message beyond its columns, as the archiver keeps it. Fields that it does not know, or
// whose values are odd, are left out.
type Metadata struct {
	// EventID and what follows is what Meta told of the message.
	EventID     string          `json:"event_id,omitempty"`
	Kind        dm.EventKind    `json:"kind,omitempty"`
	Attachments []dm.Attachment `json:"attachments,omitempty"`
	Payload     string          `json:"payload,omitempty"`
	ReplyToMID  string          `json:"reply_to_mid,omitempty"`
	StoryID     string          `json:"story_id,omitempty"`
	Ref         string          `json:"ref,omitempty"`
	AdID        string          `json:"ad_id,omitempty"`
	ProductID   string          `json:"product_id,omitempty"`
	AppID       string          `json:"app_id,omitempty"`
	Standby     bool            `json:"standby,omitempty"`
	// UnknownAccount: the installation did not answer for the account.
	UnknownAccount bool      `json:"unknown_account,omitempty"`
	Source         dm.Source `json:"source,omitempty"`
	ReceivedAt     time.Time `json:"received_at,omitzero"`
	// Intent is the decision that an outbound message comes from, Delivery what came of sending it.
	Intent   *Intent   `json:"intent,omitempty"`
	Delivery *Delivery `json:"delivery,omitempty"`
	// FirstText is what was said before the edits. Edits are all that are known, the oldest first.
	FirstText string    `json:"first_text,omitempty"`
	Edits     []Edit    `json:"edits,omitempty"`
	Reaction  *Reaction `json:"reaction,omitempty"`
	// Raw is the item as Meta sent it. Pages of messages leave it out.
	Raw json.RawMessage `json:"raw,omitempty"`
}

// Intent is the decision that a message comes from.
type Intent struct {
	ID      string `json:"id"`
	Part    int    `json:"part"`
	Of      int    `json:"of"`
	EventID string `json:"event_id,omitempty"`
	// Origin is who decided; RuleID, RuleName and MatchedOn are of a rule.
	Origin    dm.Origin `json:"origin,omitempty"`
	RuleID    string    `json:"rule_id,omitempty"`
	RuleName  string    `json:"rule_name,omitempty"`
	MatchedOn string    `json:"matched_on,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	// Trace is how it was decided; nil for what was decided before there were traces.
	Trace *dm.Trace `json:"trace,omitempty"`
	// Message is the part, of one that is more than a text; its text is the row's.
	Message *dm.Part `json:"message,omitempty"`
}

// Delivery is what came of sending a message.
type Delivery struct {
	ID       string       `json:"id"`
	IntentID string       `json:"intent_id"`
	Outcome  dm.Outcome   `json:"outcome"`
	Reason   string       `json:"reason,omitempty"`
	Stop     dm.Stop      `json:"stop,omitempty"`
	Attempts []dm.Attempt `json:"attempts,omitempty"`
	At       time.Time    `json:"at"`
	Message  *dm.Part     `json:"message,omitempty"`
}

// Edit is one edit of a message.
type Edit struct {
	Number int       `json:"number"`
	Text   string    `json:"text"`
	At     time.Time `json:"at"`
}

// Reaction is the newest reaction to a message; one that was taken away is kept as removed.
type Reaction struct {
	Reaction string    `json:"reaction,omitempty"`
	Emoji    string    `json:"emoji,omitempty"`
	Removed  bool      `json:"removed,omitempty"`
	At       time.Time `json:"at"`
}

// decodeMetadata reads messages.metadata. A row that somebody made by hand may hold anything: what cannot be read is left
// out, and what can is kept.
func decodeMetadata(text string) Metadata {
	var m Metadata
	_ = json.Unmarshal([]byte(text), &m) // goes on after a field of another type
	if i := m.Intent; i != nil && i.Trace != nil {
		i.Trace.Expand(i.RuleID, i.RuleName, i.MatchedOn)
	}
	return m
}

// HistoryOf picks the messages of a conversation, newest first.
type HistoryOf struct {
	Conversation dm.Conversation
	// Before continues behind the last message of the page before; nil begins with the newest. A message of which only At
	// is set begins with what is older than that.
	Before *Message
	// Limit is how many at most; 50 if 0, 500 at most.
	Limit int
}

// older is the order of a conversation: the newest first.
func older(a, b *Message) int {
	return cmp.Or(b.At.Compare(a.At), cmp.Compare(b.ID, a.ID))
}

// Stretch picks the messages of a time, conversation by conversation, each from its oldest on.
type Stretch struct {
	// Since is inclusive, Until exclusive; a zero Until is now and what comes.
	Since, Until time.Time
	// Account picks those of one account; empty picks all. Direction likewise.
	Account   string
	Direction Direction
}

func (s *Stretch) matches(m *Message) bool {
	return !m.At.Before(s.Since) && (s.Until.IsZero() || m.At.Before(s.Until)) &&
		(s.Account == "" || s.Account == m.Account) && (s.Direction == "" || s.Direction == m.Direction)
}

// MessageRepository is all that can be done with messages.
type MessageRepository interface {
	History(ctx context.Context, q HistoryOf) ([]Message, error)
	ByMID(ctx context.Context, account, mid string) (Message, error)
	Find(ctx context.Context, mid string) ([]Message, error)
	Get(ctx context.Context, id string) (Message, error)
	Replies(ctx context.Context, conversation dm.Conversation, eventID string) ([]Message, error)
	OfEvent(ctx context.Context, conversation dm.Conversation, eventID string) (Message, error)
	Each(ctx context.Context, s Stretch, f func(Message) error) error
}

// inOrder sorts the messages of one answer as they are said.
func inOrder(all []Message) {
	place := func(m *Message) (created time.Time, part int) {
		if i := m.Metadata.Intent; i != nil {
			return i.CreatedAt, i.Part
		}
		return m.CreatedAt, 0
	}
	slices.SortStableFunc(all, func(a, b Message) int {
		atA, partA := place(&a)
		atB, partB := place(&b)
		return cmp.Or(atA.Compare(atB), cmp.Compare(partA, partB), cmp.Compare(a.ID, b.ID))
	})
}
