package repository

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-dm/parley/pkg/dm"
)

// messageColumns leave out the raw item, which is most of a row and seldom looked at; wholeColumns have it.
const (
	messageFields = `m.id::text, c.channel, c.page_id, c.instagram_user_id, coalesce(m.mid, ''), m.sender_id, m.recipient_id, m.direction, m.status,
       m.message_type, coalesce(m.message_text, ''), m.timestamp, m.created_at, m.deleted_at, m.sent_at, m.conversation_id::text, `
	messageColumns = messageFields + `CASE jsonb_typeof(m.metadata) WHEN 'object' THEN m.metadata - '{raw,raw_base64}'::text[] ELSE '{}' END::text`
	wholeColumns   = messageFields + `m.metadata::text`
	fromMessages   = ` FROM messages m JOIN conversations c ON c.id = m.conversation_id `
)

// messageHistory and messagesBefore are served by the index messages_of_conversation.
const messageHistory = `
SELECT ` + messageColumns + fromMessages + `
WHERE c.channel = $1 AND c.page_id = $2 AND c.instagram_user_id = $3
ORDER BY m.timestamp DESC, m.id DESC LIMIT $4`

const messagesBefore = `
SELECT ` + messageColumns + fromMessages + `
WHERE c.channel = $1 AND c.page_id = $2 AND c.instagram_user_id = $3 AND (m.timestamp, m.id) < ($5, $6::uuid)
ORDER BY m.timestamp DESC, m.id DESC LIMIT $4`

// messageByMID is served by the constraint messages_mid_key.
const messageByMID = `SELECT ` + wholeColumns + fromMessages + `WHERE m.account = $1 AND m.mid = $2`

// messagesByMID looks each account up in messages_mid_key: from one account to the next, and the mid in each.
const messagesByMID = `
WITH RECURSIVE accounts (account) AS (
    (SELECT account FROM messages ORDER BY account LIMIT 1)
    UNION ALL
    SELECT (SELECT n.account FROM messages n WHERE n.account > a.account ORDER BY n.account LIMIT 1) FROM accounts a WHERE a.account IS NOT NULL
)
SELECT ` + wholeColumns + ` FROM accounts a JOIN messages m ON m.account = a.account AND m.mid = $1 JOIN conversations c ON c.id = m.conversation_id
ORDER BY m.timestamp, m.id LIMIT 20`

const messageByID = `SELECT ` + wholeColumns + fromMessages + `WHERE m.id = $1::uuid`

// messageReplies is served by messages_of_conversation: a conversation is small enough to look through.
const messageReplies = `
SELECT ` + messageColumns + fromMessages + `
WHERE c.channel = $1 AND c.page_id = $2 AND c.instagram_user_id = $3 AND m.direction = 'outbound' AND m.metadata->'intent'->>'event_id' = $4
ORDER BY m.timestamp, m.id LIMIT 500`

// messageOfEvent is served as messageReplies is.
const messageOfEvent = `
SELECT ` + wholeColumns + fromMessages + `
WHERE c.channel = $1 AND c.page_id = $2 AND c.instagram_user_id = $3 AND m.direction = 'inbound' AND m.metadata->>'event_id' = $4
ORDER BY m.timestamp, m.id LIMIT 1`

// stretchConversations picks the conversations that may have messages in a stretch, by the primary key, a page at a time.
const stretchConversations = `
SELECT id::text FROM conversations
WHERE ($1 = '' OR page_id = $1) AND last_message_at >= $2 AND created_at < coalesce($3::timestamptz, 'infinity') AND id > $4::uuid
ORDER BY id LIMIT $5`

// stretchMessages reads a page of their messages by messages_of_conversation.
const stretchMessages = `
SELECT ` + messageColumns + fromMessages + `
WHERE m.conversation_id = ANY ($1::uuid[]) AND m.timestamp >= $2 AND m.timestamp < coalesce($3::timestamptz, 'infinity')
  AND ($4 = '' OR m.direction = $4) AND (m.conversation_id, m.timestamp, m.id) > ($5::uuid, $6, $7::uuid)
ORDER BY m.conversation_id, m.timestamp, m.id LIMIT $8`

const (
	conversationPage = 200
	messagePage      = 1000
	noID             = "00000000-0000-0000-0000-000000000000"
)

// Messages reads the table messages.
type Messages struct{ pool *pgxpool.Pool }

// NewMessages reads through a pool, which the caller closes.
func NewMessages(pool *pgxpool.Pool) *Messages { return &Messages{pool} }

// History reads a page of a conversation, newest first. A conversation that nothing is known of has none.
func (r *Messages) History(ctx context.Context, q HistoryOf) ([]Message, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	sql, args := messageHistory, []any{string(q.Conversation.Channel), q.Conversation.Account, q.Conversation.Customer, pageSize(q.Limit)}
	if b := q.Before; b != nil {
		id := b.ID
		if id == "" {
			id = noID
		}
		sql, args = messagesBefore, append(args, b.At, id)
	}
	all, err := collect(ctx, r.pool, scanMessage, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("read the history of %s: %w", q.Conversation, err)
	}
	return plainMessages(all), nil
}

// ByMID reads the message of an account that Meta names so, with its raw item, or fails with [ErrNotFound].
func (r *Messages) ByMID(ctx context.Context, account, mid string) (Message, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	return r.one(ctx, mid, messageByMID, account, mid)
}

// Find reads the messages of all accounts that Meta names so, with their raw items. A mid is unique with its account only.
func (r *Messages) Find(ctx context.Context, mid string) ([]Message, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	all, err := collect(ctx, r.pool, scanMessage, messagesByMID, mid)
	if err != nil {
		return nil, fmt.Errorf("find message %s: %w", mid, err)
	}
	return plainMessages(all), nil
}

// Get reads the message with an id of ours, with its raw item, or fails with [ErrNotFound].
func (r *Messages) Get(ctx context.Context, id string) (Message, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	return r.one(ctx, id, messageByID, id)
}

// Replies reads the messages of ours that answer an event, in their order.
func (r *Messages) Replies(ctx context.Context, conversation dm.Conversation, eventID string) ([]Message, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	all, err := collect(ctx, r.pool, scanMessage, messageReplies, string(conversation.Channel), conversation.Account, conversation.Customer, eventID)
	if err != nil {
		return nil, fmt.Errorf("read the replies to event %s: %w", eventID, err)
	}
	out := plainMessages(all)
	inOrder(out)
	return out, nil
}

// OfEvent reads the customer's message that an event told of, with its raw item, or fails with [ErrNotFound].
func (r *Messages) OfEvent(ctx context.Context, conversation dm.Conversation, eventID string) (Message, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	return r.one(ctx, "of event "+eventID, messageOfEvent, string(conversation.Channel), conversation.Account, conversation.Customer, eventID)
}

// Each calls f with each message of a stretch, conversation by conversation, each from its oldest message on, until f
// fails. It reads in pages, each in a statement of its own: what is written meanwhile may be seen or not.
func (r *Messages) Each(ctx context.Context, s Stretch, f func(Message) error) error {
	for after := noID; ; {
		page, err := r.conversationPage(ctx, s, after)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			return nil
		}
		if err := r.eachOf(ctx, s, page, f); err != nil {
			return err
		}
		after = page[len(page)-1]
	}
}

func (r *Messages) conversationPage(ctx context.Context, s Stretch, after string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	page, err := collect(ctx, r.pool, pgx.RowTo[string], stretchConversations, s.Account, s.Since, known(s.Until), after, conversationPage)
	if err != nil {
		return nil, fmt.Errorf("read conversations since %s: %w", s.Since.Format(time.RFC3339), err)
	}
	return page, nil
}

// eachOf reads the messages of a few conversations.
func (r *Messages) eachOf(ctx context.Context, s Stretch, conversations []string, f func(Message) error) error {
	last := messageRow{conversation: noID, Message: Message{ID: noID}}
	for {
		page, err := r.messagePage(ctx, s, conversations, &last)
		if err != nil {
			return err
		}
		for i := range page {
			if err := f(page[i].Message); err != nil {
				return err
			}
		}
		if len(page) < messagePage {
			return nil
		}
		last = page[len(page)-1]
	}
}

func (r *Messages) messagePage(ctx context.Context, s Stretch, conversations []string, last *messageRow) ([]messageRow, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	page, err := collect(ctx, r.pool, scanMessage, stretchMessages, conversations, s.Since, known(s.Until), string(s.Direction),
		last.conversation, last.At, last.ID, messagePage)
	if err != nil {
		return nil, fmt.Errorf("read messages since %s: %w", s.Since.Format(time.RFC3339), err)
	}
	return page, nil
}

func (r *Messages) one(ctx context.Context, name, sql string, args ...any) (Message, error) {
	all, err := collect(ctx, r.pool, scanMessage, sql, args...)
	switch {
	case isCode(err, invalidTextFormat) || err == nil && len(all) == 0:
		return Message{}, fmt.Errorf("message %s: %w", name, ErrNotFound)
	case err != nil:
		return Message{}, fmt.Errorf("read message %s: %w", name, err)
	default:
		return all[0].Message, nil
	}
}

// messageRow is a message and its conversation's row, which pages are read by.
type messageRow struct {
	Message
	conversation string
}

func plainMessages(rows []messageRow) []Message {
	out := make([]Message, len(rows))
	for i := range rows {
		out[i] = rows[i].Message
	}
	return out
}

func scanMessage(row pgx.CollectableRow) (messageRow, error) {
	var m messageRow
	var metadata string
	var deleted, sent *time.Time
	err := row.Scan(&m.ID, &m.Channel, &m.Account, &m.Customer, &m.MID, &m.Sender, &m.Recipient, &m.Direction, &m.Status,
		&m.Type, &m.Text, &m.At, &m.CreatedAt, &deleted, &sent, &m.conversation, &metadata)
	m.At, m.CreatedAt, m.DeletedAt, m.SentAt = m.At.UTC(), m.CreatedAt.UTC(), orZero(deleted), orZero(sent)
	m.Metadata = decodeMetadata(metadata)
	return m, err
}
