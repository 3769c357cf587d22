package repository

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-dm/parley/pkg/dm"
)

const conversationColumns = `id::text, channel, page_id, instagram_user_id, status, created_at, updated_at, last_message_at, read_at`

// conversationByKey is served by the constraint conversations_key.
const conversationByKey = `
SELECT ` + conversationColumns + ` FROM conversations WHERE channel = $1 AND page_id = $2 AND instagram_user_id = $3`

// newestConversations and the three that continue it are served by the index conversations_newest for one account. The newest
// come first, those without a message last, by id.
const newestConversations = `
SELECT ` + conversationColumns + ` FROM conversations
WHERE ($1 = '' OR page_id = $1) AND ($2 = '' OR status = $2)
ORDER BY last_message_at DESC NULLS LAST, id LIMIT $3`

const conversationsBefore = `
SELECT ` + conversationColumns + ` FROM conversations
WHERE ($1 = '' OR page_id = $1) AND ($2 = '' OR status = $2)
  AND (last_message_at < $4 OR last_message_at = $4 AND id > $5::uuid OR last_message_at IS NULL)
ORDER BY last_message_at DESC NULLS LAST, id LIMIT $3`

const silentConversationsBefore = `
SELECT ` + conversationColumns + ` FROM conversations
WHERE ($1 = '' OR page_id = $1) AND ($2 = '' OR status = $2) AND last_message_at IS NULL AND id > $4::uuid
ORDER BY id LIMIT $3`

const saveConversation = `
INSERT INTO conversations AS c (id, channel, page_id, instagram_user_id, status, created_at, updated_at, last_message_at, read_at)
VALUES ($1::uuid, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (channel, page_id, instagram_user_id) DO UPDATE SET
    status          = excluded.status,
    created_at      = least(c.created_at, excluded.created_at),
    updated_at      = greatest(c.updated_at, excluded.updated_at),
    last_message_at = greatest(c.last_message_at, excluded.last_message_at),
    read_at         = greatest(c.read_at, excluded.read_at)
RETURNING ` + conversationColumns

const setConversationStatus = `
UPDATE conversations SET status = $4, updated_at = greatest(updated_at, now())
WHERE channel = $1 AND page_id = $2 AND instagram_user_id = $3`

// Conversations reads the table conversations.
type Conversations struct{ pool *pgxpool.Pool }

// NewConversations reads through a pool, which the caller closes.
func NewConversations(pool *pgxpool.Pool) *Conversations { return &Conversations{pool} }

// Get reads one conversation, or fails with [ErrNotFound].
func (c *Conversations) Get(ctx context.Context, key dm.Conversation) (Conversation, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	all, err := collect(ctx, c.pool, scanConversation, conversationByKey, string(key.Channel), key.Account, key.Customer)
	switch {
	case err != nil:
		return Conversation{}, fmt.Errorf("read conversation %s: %w", key, err)
	case len(all) == 0:
		return Conversation{}, fmt.Errorf("conversation %s: %w", key, ErrNotFound)
	default:
		return all[0], nil
	}
}

// List reads a page of conversations, those with the newest messages first.
func (c *Conversations) List(ctx context.Context, q ConversationQuery) ([]Conversation, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	sql, args := newestConversations, []any{q.Account, string(q.Status), pageSize(q.Limit)}
	switch {
	case q.Before == nil:
	case q.Before.LastMessageAt.IsZero():
		sql, args = silentConversationsBefore, append(args, q.Before.ID)
	default:
		sql, args = conversationsBefore, append(args, q.Before.LastMessageAt, q.Before.ID)
	}
	all, err := collect(ctx, c.pool, scanConversation, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("list conversations: %w", err)
	}
	return all, nil
}

// Save stores a conversation that is new, or what is newer of one that is there, and returns it as it is stored. The
// archiver does so for each that it hears of; this is for those that are made by hand.
func (c *Conversations) Save(ctx context.Context, v Conversation) (Conversation, error) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	if err := prepareConversation(&v, time.Now()); err != nil {
		return Conversation{}, err
	}
	all, err := collect(ctx, c.pool, scanConversation, saveConversation, v.ID, string(v.Channel), v.Account, v.Customer, string(v.Status),
		v.CreatedAt, v.UpdatedAt, known(v.LastMessageAt), known(v.ReadAt))
	if err != nil || len(all) == 0 {
		return Conversation{}, fmt.Errorf("save conversation %s: %w", v.Conversation, err)
	}
	return all[0], nil
}

// SetStatus puts a conversation away, or takes it out again.
func (c *Conversations) SetStatus(ctx context.Context, key dm.Conversation, s Status) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	if err := checkStatus(s); err != nil {
		return err
	}
	tag, err := c.pool.Exec(ctx, setConversationStatus, string(key.Channel), key.Account, key.Customer, string(s))
	switch {
	case err != nil:
		return fmt.Errorf("set the status of conversation %s: %w", key, err)
	case tag.RowsAffected() == 0:
		return fmt.Errorf("conversation %s: %w", key, ErrNotFound)
	default:
		return nil
	}
}

// prepareConversation checks a conversation and fills in what it does not say.
func prepareConversation(v *Conversation, now time.Time) error {
	if v.Channel == "" || v.Account == "" || v.Customer == "" {
		return invalid("conversation", "got %q, expected a channel, an account and a customer", v.Conversation)
	}
	if v.Status == "" {
		v.Status = StatusActive
	}
	if v.CreatedAt.IsZero() {
		v.CreatedAt = now
	}
	if v.UpdatedAt.IsZero() {
		v.UpdatedAt = now
	}
	if v.ID == "" { // the id that the archiver would give it
		v.ID = ConversationID(v.Conversation)
	}
	for _, t := range []*time.Time{&v.CreatedAt, &v.UpdatedAt, &v.LastMessageAt, &v.ReadAt} {
		*t = t.UTC().Truncate(time.Microsecond)
	}
	return checkStatus(v.Status)
}

func checkStatus(s Status) error {
	if s != StatusActive && s != StatusArchived {
		return invalid("status", "got %q, expected %s or %s", s, StatusActive, StatusArchived)
	}
	return nil
}

func scanConversation(row pgx.CollectableRow) (Conversation, error) {
	var c Conversation
	var last, read *time.Time
	err := row.Scan(&c.ID, &c.Channel, &c.Account, &c.Customer, &c.Status, &c.CreatedAt, &c.UpdatedAt, &last, &read)
	c.CreatedAt, c.UpdatedAt, c.LastMessageAt, c.ReadAt = c.CreatedAt.UTC(), c.UpdatedAt.UTC(), orZero(last), orZero(read)
	return c, err
}

func collect[T any](ctx context.Context, q querier, scan pgx.RowToFunc[T], sql string, args ...any) ([]T, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scan)
}

func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

// ConversationID is the id of a conversation's row.
func ConversationID(c dm.Conversation) string {
	return uuid(dm.RowID("conversation", string(c.Channel), c.Account, c.Customer))
}

func uuid(b [16]byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
