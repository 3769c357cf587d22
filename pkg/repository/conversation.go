package repository

import (
	"cmp"
	"context"
	"time"

	"github.com/parley-dm/parley/pkg/dm"
)

// Conversation is all that a customer and an account say to each other.
type Conversation struct {
	ID string `json:"id"`
	dm.Conversation
	Status Status `json:"status"`
	// CreatedAt is the earliest time that is known of it, UpdatedAt when something of it last reached the installation.
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	// LastMessageAt is the time of the newest message, ReadAt until when the customer has read; zero where nobody knows.
	LastMessageAt time.Time `json:"last_message_at,omitzero"`
	ReadAt        time.Time `json:"read_at,omitzero"`
}

// Status says whether somebody has put a conversation away.
type Status string

// The statuses.
const (
	StatusActive   Status = "active"
	StatusArchived Status = "archived"
)

// ConversationQuery picks conversations, those with the newest messages first.
type ConversationQuery struct {
	// Account and Status pick; empty picks all.
	Account string
	Status  Status
	// Before continues behind the last conversation of the page before; nil begins with the newest.
	Before *Conversation
	// Limit is how many at most; 50 if 0, 500 at most.
	Limit int
}

func (q *ConversationQuery) matches(c *Conversation) bool {
	return (q.Account == "" || q.Account == c.Account) && (q.Status == "" || q.Status == c.Status) &&
		(q.Before == nil || newer(q.Before, c) < 0)
}

// newer is the order of [ConversationQuery]; a conversation without a message is the oldest.
func newer(a, b *Conversation) int {
	return cmp.Or(b.LastMessageAt.Compare(a.LastMessageAt), cmp.Compare(a.ID, b.ID))
}

// ConversationRepository is all that can be done with conversations.
type ConversationRepository interface {
	Get(ctx context.Context, key dm.Conversation) (Conversation, error)
	List(ctx context.Context, q ConversationQuery) ([]Conversation, error)
	Save(ctx context.Context, c Conversation) (Conversation, error)
	SetStatus(ctx context.Context, key dm.Conversation, s Status) error
}
