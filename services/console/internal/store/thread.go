package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-dm/parley/pkg/dm"
)

// ThreadMessage is one row of messages, with what its metadata says.
type ThreadMessage struct {
	ID, ConversationID, Account        string
	MID, Text, Type, Direction, Status string
	At, CreatedAt                      time.Time
	DeletedAt, SentAt                  *time.Time
	Meta                               MessageMeta
}

// MessageMeta is messages.metadata as the archiver writes it, but for the raw item.
type MessageMeta struct {
	EventID     string           `json:"event_id"`
	Kind        dm.EventKind     `json:"kind"`
	Attachments []dm.Attachment  `json:"attachments"`
	Payload     string           `json:"payload"`
	ReplyToMID  string           `json:"reply_to_mid"`
	StoryID     string           `json:"story_id"`
	Ref         string           `json:"ref"`
	AdID        string           `json:"ad_id"`
	ProductID   string           `json:"product_id"`
	AppID       string           `json:"app_id"`
	Standby     bool             `json:"standby"`
	Source      dm.Source        `json:"source"`
	ReceivedAt  time.Time        `json:"received_at"`
	Intent      *MessageIntent   `json:"intent"`
	Delivery    *MessageDelivery `json:"delivery"`
	FirstText   string           `json:"first_text"`
	Edits       []MessageEdit    `json:"edits"`
	Reaction    *MessageReaction `json:"reaction"`
}

// MessageIntent is the decision that an outbound message comes from.
type MessageIntent struct {
	ID        string    `json:"id"`
	Part      int       `json:"part"`
	Of        int       `json:"of"`
	EventID   string    `json:"event_id"`
	Origin    dm.Origin `json:"origin"`
	RuleID    string    `json:"rule_id"`
	RuleName  string    `json:"rule_name"`
	MatchedOn string    `json:"matched_on"`
	CreatedAt time.Time `json:"created_at"`
	Message   *dm.Part  `json:"message"`
	Trace     *dm.Trace `json:"trace"`
}

// MessageDelivery is what came of sending it.
type MessageDelivery struct {
	Outcome  dm.Outcome   `json:"outcome"`
	Origin   dm.Origin    `json:"origin"`
	Reason   string       `json:"reason"`
	Stop     dm.Stop      `json:"stop"`
	Attempts []dm.Attempt `json:"attempts"`
	At       time.Time    `json:"at"`
	Message  *dm.Part     `json:"message"`
}

// MessageEdit is one edit of a message.
type MessageEdit struct {
	Text string    `json:"text"`
	At   time.Time `json:"at"`
}

// MessageReaction is the newest reaction to a message.
type MessageReaction struct {
	Reaction string    `json:"reaction"`
	Emoji    string    `json:"emoji"`
	Removed  bool      `json:"removed"`
	At       time.Time `json:"at"`
}

const messageColumns = `id, conversation_id, account, coalesce(mid, ''), coalesce(message_text, ''), message_type, direction, status,
	timestamp, created_at, deleted_at, sent_at, (metadata - 'raw' - 'raw_base64')::text`

func scanMessage(row pgx.CollectableRow) (m ThreadMessage, err error) {
	var meta string
	err = row.Scan(&m.ID, &m.ConversationID, &m.Account, &m.MID, &m.Text, &m.Type, &m.Direction, &m.Status,
		&m.At, &m.CreatedAt, &m.DeletedAt, &m.SentAt, &meta)
	if err == nil && json.Unmarshal([]byte(meta), &m.Meta) != nil {
		m.Meta = MessageMeta{} // a row that somebody made by hand
	}
	return m, err
}

// Thread reads the newest messages of a conversation that are older than before (zero: the newest of all), the oldest of them
// first. The caller has looked for the conversation with its scope.
func (s *Store) Thread(ctx context.Context, conversationID string, before InboxCursor, limit int) (messages []ThreadMessage, more bool, err error) {
	older := ""
	args := []any{conversationID, limit + 1}
	if before.ID != "" {
		older = " AND (timestamp, id) < ($3::timestamptz, $4::uuid)"
		args = append(args, before.At, before.ID)
	}
	messages, err = s.messages(ctx, `WHERE conversation_id = $1`+older+` ORDER BY timestamp DESC, id DESC LIMIT $2`, args...)
	if err != nil {
		return nil, false, err
	}
	if len(messages) > limit {
		messages, more = messages[:limit], true
	}
	slices.Reverse(messages)
	return messages, more, nil
}

// ThreadFrom reads a conversation from one message on, but no more than the newest so many.
func (s *Store) ThreadFrom(ctx context.Context, conversationID string, from InboxCursor, limit int) ([]ThreadMessage, error) {
	messages, err := s.messages(ctx, `WHERE conversation_id = $1 AND (timestamp, id) >= ($3::timestamptz, $4::uuid)
		ORDER BY timestamp DESC, id DESC LIMIT $2`, conversationID, limit, from.At, from.ID)
	slices.Reverse(messages)
	return messages, err
}

func (s *Store) messages(ctx context.Context, where string, args ...any) ([]ThreadMessage, error) {
	rows, err := s.pool.Query(ctx, `SELECT `+messageColumns+` FROM messages `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("read messages: %w", err)
	}
	found, err := pgx.CollectRows(rows, scanMessage)
	if err != nil {
		return nil, fmt.Errorf("read messages: %w", err)
	}
	return found, nil
}

// Happening is what else happened in a conversation: a row of events.
type Happening struct {
	ID   string
	Kind dm.EventKind
	At   time.Time
	// Event is what was understood of it.
	Event dm.Event
}

// Happenings reads what happened in a conversation from a time until another (zero: until now), the oldest first, no more than
// the newest hundred.
func (s *Store) Happenings(ctx context.Context, c dm.Conversation, from, until time.Time, kinds ...dm.EventKind) ([]Happening, error) {
	if until.IsZero() {
		until = s.now().Add(time.Hour)
	}
	rows, err := s.pool.Query(ctx, `SELECT id, kind, time, (data - 'raw' - 'raw_base64')::text FROM events
		WHERE account = $1 AND customer = $2 AND channel = $3 AND time >= $4 AND time < $5 AND kind = ANY ($6)
		ORDER BY time DESC, id DESC LIMIT 100`, c.Account, c.Customer, c.Channel, from, until, kinds)
	if err != nil {
		return nil, fmt.Errorf("read what happened: %w", err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (h Happening, err error) {
		var data string
		if err = row.Scan(&h.ID, &h.Kind, &h.At, &data); err == nil && json.Unmarshal([]byte(data), &h.Event) != nil {
			h.Event = dm.Event{}
		}
		return h, err
	})
	if err != nil {
		return nil, fmt.Errorf("read what happened: %w", err)
	}
	slices.Reverse(found)
	return found, nil
}
