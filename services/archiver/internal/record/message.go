package record

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"github.com/parley-dm/parley/pkg/dm"
)

// Message is what is known of one message. Each section comes from another kind of envelope; a nil section is not known.
type Message struct {
	Conversation dm.Conversation
	// ID is the row's where it is stored already, or where neither MID nor Outbound name it.
	ID ID
	// Outbound is the row of a message of ours, zero for others. MID is Meta's id, empty until known.
	Outbound ID
	MID      string

	Said     *Said
	Intent   *Intent
	Delivery *Delivery
	Changes
}

// Text is a text as PostgreSQL can store it, and the original, escaped as in JSON, where that differs.
type Text struct{ Clean, Original string }

// content is what a message says. It is not part of the metadata: it becomes columns.
type content struct {
	Text Text
	Type string
}

// Said is what Meta told of a message itself: a customer's message or postback, or an echo.
type Said struct {
	EventID        string          `json:"event_id,omitempty"`
	Kind           dm.EventKind    `json:"kind,omitempty"`
	Attachments    []dm.Attachment `json:"attachments,omitempty"`
	Payload        string          `json:"payload,omitempty"`
	ReplyToMID     string          `json:"reply_to_mid,omitempty"`
	StoryID        string          `json:"story_id,omitempty"`
	Ref            string          `json:"ref,omitempty"`
	AdID           string          `json:"ad_id,omitempty"`
	ProductID      string          `json:"product_id,omitempty"`
	AppID          string          `json:"app_id,omitempty"`
	Standby        bool            `json:"standby,omitempty"`
	UnknownAccount bool            `json:"unknown_account,omitempty"`
	Source         dm.Source       `json:"source,omitempty"`
	ReceivedAt     time.Time       `json:"received_at,omitzero"`
	// Raw is the item as Meta sent it, as far as jsonb can hold it; RawBase64 is the original where it cannot.
	Raw       json.RawMessage `json:"raw,omitempty"`
	RawBase64 []byte          `json:"raw_base64,omitempty"`

	At      time.Time `json:"-"`
	content `json:"-"`
}

// Intent is the decision that the message comes from.
type Intent struct {
	ID        string    `json:"id"`
	Part      int       `json:"part"`
	Of        int       `json:"of"`
	EventID   string    `json:"event_id,omitempty"`
	Origin    dm.Origin `json:"origin,omitempty"`
	RuleID    string    `json:"rule_id,omitempty"`
	RuleName  string    `json:"rule_name,omitempty"`
	MatchedOn string    `json:"matched_on,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	// Message is the part, of one that is more than a text; its text is the row's.
	Message *dm.Part `json:"message,omitempty"`
	// Trace says how it was decided. The first message of an intent has it, for all of them.
	Trace *dm.Trace `json:"trace,omitempty"`

	content `json:"-"`
}

// Delivery is what came of sending it.
type Delivery struct {
	ID       string     `json:"id"`
	IntentID string     `json:"intent_id"`
	Part     int        `json:"part"`
	Of       int        `json:"of"`
	Origin   dm.Origin  `json:"origin,omitempty"`
	Outcome  dm.Outcome `json:"outcome"`
	Reason   string     `json:"reason,omitempty"`
	// Stop says that nothing automatic should follow, and why.
	Stop     dm.Stop      `json:"stop,omitempty"`
	Attempts []dm.Attempt `json:"attempts,omitempty"`
	At       time.Time    `json:"at"`
	// Message is the part as it was sent, of one that is more than a text; its text is the row's.
	Message *dm.Part `json:"message,omitempty"`

	content `json:"-"`
}

// Changes is what happened to a message after it was said. They may be known before it is.
type Changes struct {
	// Edits are all that are known, the oldest first.
	Edits    []Edit    `json:"edits,omitempty"`
	Reaction *Reaction `json:"reaction,omitempty"`
	// DeletedAt erases every text, the edits' as well.
	DeletedAt time.Time `json:"deleted_at,omitzero"`
}

// Edit is one edit of a message.
type Edit struct {
	Number   int       `json:"number"`
	Text     string    `json:"text"`
	Original string    `json:"original_text,omitempty"`
	At       time.Time `json:"at"`
	EventID  string    `json:"event_id"`
}

// Reaction is the newest reaction to a message. One that was taken away stays as removed, so that an older one that comes
// late does not set it again.
type Reaction struct {
	Reaction string    `json:"reaction,omitempty"`
	Emoji    string    `json:"emoji,omitempty"`
	Removed  bool      `json:"removed,omitempty"`
	At       time.Time `json:"at"`
	EventID  string    `json:"event_id"`
}

// Exists says whether there is a message at all, rather than changes of one that is not known yet.
func (m *Message) Exists() bool { return m.Said != nil || m.Intent != nil || m.Delivery != nil }

// Merge adds what other says of the same message.
func (m *Message) Merge(other *Message) {
	// Whose message it is only those know who say what it is: a change may name somebody else.
	if !m.Exists() && other.Exists() && other.Conversation.Customer != "" {
		m.Conversation = other.Conversation
	}
	if m.Outbound == (ID{}) {
		m.Outbound = other.Outbound
	}
	if m.ID == (ID{}) || other.ID != (ID{}) && cmpID(other.ID, m.ID) < 0 {
		m.ID = other.ID
	}
	if m.MID == "" || other.MID != "" && other.MID < m.MID {
		m.MID = other.MID
	}
	m.Said = pick(m.Said, other.Said, func(a, b *Said) int {
		return cmp.Or(found(a)-found(b), a.ReceivedAt.Compare(b.ReceivedAt), cmp.Compare(a.EventID, b.EventID))
	})
	m.Intent = pick(m.Intent, other.Intent, func(a, b *Intent) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	m.Delivery = pick(m.Delivery, other.Delivery, func(a, b *Delivery) int {
		return cmp.Or(cmp.Compare(outcomeRank(b.Outcome), outcomeRank(a.Outcome)), a.At.Compare(b.At), cmp.Compare(a.ID, b.ID))
	})
	m.merge(&other.Changes)
}

// found is greater for what was found without its webhook: that tells less.
func found(s *Said) int {
	if s.Source == dm.SourceBackfill {
		return 1
	}
	return 0
}

func (c *Changes) merge(other *Changes) {
	c.Reaction = pick(c.Reaction, other.Reaction, func(a, b *Reaction) int {
		return cmp.Or(b.At.Compare(a.At), cmp.Compare(b.EventID, a.EventID))
	})
	c.DeletedAt = earliest(c.DeletedAt, other.DeletedAt)
	if !c.DeletedAt.IsZero() {
		c.Edits = nil
		return
	}
	if len(other.Edits) == 0 {
		return
	}
	edits := slices.Concat(c.Edits, other.Edits)
	slices.SortFunc(edits, func(a, b Edit) int {
		return cmp.Or(cmp.Compare(a.Number, b.Number), a.At.Compare(b.At), cmp.Compare(a.EventID, b.EventID))
	})
	// Meta may send one edit twice with different times of entry: the earliest is kept.
	seen := make(map[string]bool, len(edits))
	c.Edits = slices.DeleteFunc(edits, func(e Edit) bool {
		again := seen[e.EventID]
		seen[e.EventID] = true
		return again
	})
}

// pick is the lesser of two, or the one that there is.
func pick[T any](a, b *T, compare func(a, b *T) int) *T {
	if a == nil || b != nil && compare(b, a) < 0 {
		return b
	}
	return a
}

func cmpID(a, b ID) int { return slices.Compare(a[:], b[:]) }

// outcomeRank orders outcomes: a later fact never goes backwards.
func outcomeRank(o dm.Outcome) int {
	switch o {
	case dm.OutcomeSent:
		return 3
	case dm.OutcomeFailed, dm.OutcomeExpired, dm.OutcomeHeld:
		return 2
	default:
		return 1
	}
}

func said(e *dm.Event, at, received time.Time) *Said {
	raw, original := safeRaw(e.Raw)
	return &Said{
		EventID: e.ID, Kind: e.Kind, Attachments: e.Attachments, Payload: e.Payload, ReplyToMID: e.ReplyToMID, StoryID: e.StoryID,
		Ref: e.Ref, AdID: e.AdID, ProductID: e.ProductID, AppID: e.AppID, Standby: e.Standby, UnknownAccount: !e.KnownAccount,
		Source: e.Source, ReceivedAt: received, Raw: raw, RawBase64: original, At: at,
		content: content{Text: newText(e.Text), Type: cmp.Or(e.MessageType, "unknown")},
	}
}
