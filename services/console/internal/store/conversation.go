package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-dm/parley/pkg/dm"
)

// Conversation is a conversation's row.
type Conversation struct {
	ID            string
	Channel       dm.Channel
	Account       string
	Customer      string
	Status        string
	CreatedAt     time.Time
	LastMessageAt *time.Time
}

// Key is what names it on the bus.
func (c *Conversation) Key() dm.Conversation {
	return dm.Conversation{Channel: c.Channel, Account: c.Account, Customer: c.Customer}
}

const conversationColumns = `id, channel, page_id, instagram_user_id, status, created_at, last_message_at`

// Conversation finds one in a scope.
func (s *Store) Conversation(ctx context.Context, scope Scope, id string) (c Conversation, err error) {
	rows, err := s.pool.Query(ctx, `SELECT `+conversationColumns+` FROM conversations
		WHERE id = $2 AND (cardinality($1::text[]) = 0 OR page_id = ANY ($1))`, scope, id)
	if err == nil {
		c, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Conversation])
	}
	if err != nil {
		return c, fmt.Errorf("find conversation: %w", notFound(err))
	}
	return c, nil
}

// ConversationsAfter is where a page of conversations begins: after the one of this time and id.
type ConversationsAfter struct {
	At time.Time `json:"t"`
	ID string    `json:"i"`
}

// Conversations lists those that have a message, newest first, of one account or all.
func (s *Store) Conversations(ctx context.Context, scope Scope, account string, after *ConversationsAfter, limit int) ([]Conversation, error) {
	var at *time.Time
	id := "00000000-0000-0000-0000-000000000000"
	if after != nil {
		at, id = &after.At, after.ID
	}
	rows, err := s.pool.Query(ctx, `SELECT `+conversationColumns+` FROM conversations
		WHERE (cardinality($1::text[]) = 0 OR page_id = ANY ($1)) AND ($2 = '' OR page_id = $2) AND last_message_at IS NOT NULL
			AND ($3::timestamptz IS NULL OR last_message_at < $3 OR last_message_at = $3 AND id > $4)
		ORDER BY last_message_at DESC, id LIMIT $5`, scope, account, at, id, limit)
	if err != nil {
		return nil, fmt.Errorf("list conversations: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Conversation])
	if err != nil {
		return nil, fmt.Errorf("list conversations: %w", err)
	}
	return found, nil
}

// Message is a message's row.
type Message struct {
	ID        string
	MID       string
	Direction string
	Type      string
	Text      string
	Status    string
	At        time.Time
	SentAt    *time.Time
	DeletedAt *time.Time
	// Metadata is all else that is known of it, without what Meta sent.
	Metadata json.RawMessage
}

// MessagesAfter is where a page of messages begins.
type MessagesAfter = ConversationsAfter

// Messages lists those of a conversation, newest first. The caller has found the conversation in its scope.
func (s *Store) Messages(ctx context.Context, conversation string, after *MessagesAfter, limit int) ([]Message, error) {
	var at *time.Time
	id := "00000000-0000-0000-0000-000000000000"
	if after != nil {
		at, id = &after.At, after.ID
	}
	rows, err := s.pool.Query(ctx, `SELECT id, coalesce(mid, ''), direction, message_type, coalesce(message_text, ''), status, timestamp, sent_at, deleted_at, metadata - 'raw'
		FROM messages WHERE conversation_id = $1 AND ($2::timestamptz IS NULL OR (timestamp, id) < ($2, $3::uuid))
		ORDER BY timestamp DESC, id DESC LIMIT $4`, conversation, at, id, limit)
	if err != nil {
		return nil, fmt.Errorf("list messages: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Message])
	if err != nil {
		return nil, fmt.Errorf("list messages: %w", err)
	}
	return found, nil
}

// Inbound is the customer's last message.
type Inbound struct {
	At      time.Time
	EventID string
}

// LastInbound finds the last message or tap of a conversation's customer: what a reply answers.
func (s *Store) LastInbound(ctx context.Context, conversation string) (in Inbound, err error) {
	err = s.pool.QueryRow(ctx, `SELECT timestamp, coalesce(metadata->>'event_id', '') FROM messages
		WHERE conversation_id = $1 AND direction = 'inbound' ORDER BY timestamp DESC, id DESC LIMIT 1`, conversation).Scan(&in.At, &in.EventID)
	if err != nil {
		return in, fmt.Errorf("find the customer's last message: %w", notFound(err))
	}
	return in, nil
}
