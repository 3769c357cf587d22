package record

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/parley-dm/parley/pkg/dm"
)

// Row is a message as the table has it.
type Row struct {
	ID           ID
	Conversation dm.Conversation
	MID          *string
	Sender       string
	Recipient    string
	Text         *string
	Type         string
	Direction    string
	Timestamp    time.Time
	Status       string
	Metadata     string
	CreatedAt    time.Time
	DeletedAt    *time.Time
	SentAt       *time.Time
}

// The values of messages.direction and messages.status.
const (
	Inbound  = "inbound"
	Outgoing = "outbound"

	StatusReceived = "received"
	StatusQueued   = "queued"
	StatusSent     = "sent"
	StatusRead     = "read"
)

// OwnKeys are the keys of messages.metadata that this package writes; others' keys are left alone.
var OwnKeys = []string{ //nolint:gochecknoglobals // a constant list
	"event_id", "kind", "attachments", "payload", "reply_to_mid", "story_id", "ref", "ad_id", "product_id", "app_id", "standby",
	"unknown_account", "source", "received_at", "raw", "raw_base64", "intent", "delivery", "original_text", "first_text",
	"edits", "reaction", "deleted_at",
}

// metadata is messages.metadata: everything of a message that the columns do not say.
type metadata struct {
	*Said
	Intent   *Intent   `json:"intent,omitempty"`
	Delivery *Delivery `json:"delivery,omitempty"`
	// OriginalText is that of the first text where PostgreSQL cannot store it. FirstText is what was said before the edits.
	OriginalText string `json:"original_text,omitempty"`
	FirstText    string `json:"first_text,omitempty"`
	Changes
}

// RowID is where the message is stored.
func (m *Message) RowID() ID {
	switch {
	case m.Outbound != (ID{}):
		return m.Outbound
	case m.ID != (ID{}):
		return m.ID
	default:
		return dm.RowID("message", m.Conversation.Account, m.MID)
	}
}

// Row renders the message. readAt is until when the customer has read the conversation.
func (m *Message) Row(readAt time.Time) (Row, error) {
	r := Row{ID: m.RowID(), Conversation: m.Conversation, MID: orNil(m.MID), SentAt: timeOrNil(m.sentAt()), DeletedAt: timeOrNil(m.DeletedAt)}
	c := m.content()
	text := c.Text.Clean
	meta := metadata{Said: m.Said, Intent: m.Intent, Delivery: m.Delivery, OriginalText: c.Text.Original, Changes: m.Changes}
	for i := len(m.Edits) - 1; i >= 0; i-- {
		if m.Edits[i].Text != "" {
			meta.FirstText, text = text, m.Edits[i].Text
			break
		}
	}
	if !m.DeletedAt.IsZero() {
		text, meta = "", erase(meta)
	}
	r.Text, r.Type = orNil(text), c.Type
	r.Direction, r.Sender, r.Recipient = Inbound, m.Conversation.Customer, m.Conversation.Account
	if m.outbound() {
		r.Direction, r.Sender, r.Recipient = Outgoing, r.Recipient, r.Sender
	}
	r.Status, r.Timestamp, r.CreatedAt = m.status(readAt), m.timestamp(), m.createdAt()
	var err error
	r.Metadata, err = meta.encode()
	return r, err
}

// Stored reads a message from its row, the reverse of Row. A row that somebody made by hand has no metadata of ours, or
// none that can be read: its columns are then what was said.
func Stored(r Row) Message {
	var meta metadata
	if json.Unmarshal([]byte(r.Metadata), &meta) != nil {
		meta = metadata{}
	}
	m := Message{Conversation: r.Conversation, ID: r.ID, Said: meta.Said, Intent: meta.Intent, Delivery: meta.Delivery, Changes: meta.Changes}
	if r.MID != nil {
		m.MID = *r.MID
	}
	if m.Said != nil && m.Said.Kind == "" {
		m.Said = nil
	}
	if !m.Exists() {
		m.Said = &Said{Kind: dm.KindMessage, ReceivedAt: r.CreatedAt}
		if r.Direction == Outgoing {
			m.Said.Kind = dm.KindEcho
		}
	}
	if m.Intent != nil || m.Delivery != nil {
		m.Outbound = r.ID
	}
	if m.Said != nil {
		m.Said.At = r.Timestamp
	}
	c := m.content()
	c.Type, c.Text.Original = r.Type, meta.OriginalText
	if r.Text != nil {
		c.Text.Clean = *r.Text
	}
	if m.edited() {
		c.Text.Clean = meta.FirstText
	}
	return m
}

// content is the best account of what the message says: what was sent, else what was decided, else what Meta told. The
// other sections' texts are not stored, and never needed once there is a better one.
func (m *Message) content() *content {
	switch {
	case m.Delivery != nil:
		return &m.Delivery.content
	case m.Intent != nil:
		return &m.Intent.content
	default:
		return &m.Said.content
	}
}

func (m *Message) edited() bool {
	for i := range m.Edits {
		if m.Edits[i].Text != "" {
			return true
		}
	}
	return false
}

func (m *Message) outbound() bool {
	return m.Intent != nil || m.Delivery != nil || m.Said.Kind == dm.KindEcho || m.Said.Kind == dm.KindSelf
}

// status never goes backwards, whatever order the facts come in: a later one outranks an earlier one.
func (m *Message) status(readAt time.Time) string {
	sent := m.sentAt()
	switch {
	case !m.outbound():
		return StatusReceived
	case !sent.IsZero() && !sent.After(readAt):
		return StatusRead
	case !sent.IsZero():
		return StatusSent
	case m.Delivery != nil && m.Delivery.Outcome == dm.OutcomeHeld:
		return string(dm.OutcomeExpired) // its time was over before its window was; the delivery's reason says why
	case m.Delivery != nil:
		return string(m.Delivery.Outcome)
	default:
		return StatusQueued
	}
}

// sentAt is the earliest evidence that an outbound message was sent; zero without any.
func (m *Message) sentAt() time.Time {
	var at time.Time
	if !m.outbound() {
		return at
	}
	if m.Said != nil {
		at = m.Said.At
	}
	if m.Delivery != nil && m.Delivery.Outcome == dm.OutcomeSent {
		at = earliest(at, m.Delivery.At)
	}
	return at
}

// timestamp is Meta's time where it told one.
func (m *Message) timestamp() time.Time {
	switch {
	case m.Said != nil:
		return m.Said.At
	case m.Delivery != nil:
		return m.Delivery.At
	default:
		return m.Intent.CreatedAt
	}
}

func (m *Message) createdAt() time.Time {
	var at time.Time
	if m.Said != nil {
		at = m.Said.ReceivedAt
	}
	if m.Intent != nil {
		at = earliest(at, m.Intent.CreatedAt)
	}
	if m.Delivery != nil {
		at = earliest(at, m.Delivery.At)
	}
	return at
}

// erase leaves nothing of what was said, as Meta's rules ask.
func erase(meta metadata) metadata {
	meta.OriginalText, meta.FirstText, meta.Edits = "", "", nil
	eraseParts(&meta)
	if meta.Said != nil {
		bare := *meta.Said
		bare.Attachments, bare.Payload, bare.Raw, bare.RawBase64 = nil, "", nil, nil
		meta.Said = &bare
	}
	return meta
}

func (meta *metadata) encode() (string, error) {
	b, err := json.Marshal(meta)
	if err != nil {
		return "", fmt.Errorf("encode the metadata: %w", err)
	}
	if bytes.Contains(b, []byte(`\u0000`)) {
		return rewrite(b)
	}
	return string(b), nil
}

// EncodeChanges renders changes whose message is not known yet, for message_changes.
func EncodeChanges(c Changes) (string, error) {
	meta := metadata{Changes: c}
	return meta.encode()
}

// DecodeChanges is the reverse of EncodeChanges. What somebody has made unreadable by hand says nothing.
func DecodeChanges(s string) Changes {
	var c Changes
	if json.Unmarshal([]byte(s), &c) != nil {
		return Changes{}
	}
	return c
}

func orNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
