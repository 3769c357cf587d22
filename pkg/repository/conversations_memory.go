package repository

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/parley-dm/parley/pkg/dm"
)

// Conversations are the conversations in it.
func (m *Memory) Conversations() *MemoryConversations { return &MemoryConversations{m} }

// MemoryConversations keeps conversations in memory, as [Conversations] does in PostgreSQL.
type MemoryConversations struct{ m *Memory }

// Get is [Conversations.Get].
func (r *MemoryConversations) Get(ctx context.Context, key dm.Conversation) (c Conversation, err error) {
	err = r.m.locked(ctx, func() error {
		found, ok := r.m.conversations[key]
		if !ok {
			return fmt.Errorf("conversation %s: %w", key, ErrNotFound)
		}
		c = found
		return nil
	})
	return c, err
}

// List is [Conversations.List].
func (r *MemoryConversations) List(ctx context.Context, q ConversationQuery) (out []Conversation, err error) {
	err = r.m.locked(ctx, func() error {
		for _, c := range r.m.conversations {
			if q.matches(&c) {
				out = append(out, c)
			}
		}
		slices.SortFunc(out, func(a, b Conversation) int { return newer(&a, &b) })
		out = out[:min(len(out), pageSize(q.Limit))]
		return nil
	})
	return out, err
}

// Save is [Conversations.Save].
func (r *MemoryConversations) Save(ctx context.Context, v Conversation) (Conversation, error) {
	if err := prepareConversation(&v, r.m.now()); err != nil {
		return Conversation{}, err
	}
	err := r.m.locked(ctx, func() error {
		if old, ok := r.m.conversations[v.Conversation]; ok {
			v.ID = old.ID
			if old.CreatedAt.Before(v.CreatedAt) {
				v.CreatedAt = old.CreatedAt
			}
			v.UpdatedAt, v.LastMessageAt, v.ReadAt = later(v.UpdatedAt, old.UpdatedAt), later(v.LastMessageAt, old.LastMessageAt), later(v.ReadAt, old.ReadAt)
		}
		r.m.conversations[v.Conversation] = v
		return nil
	})
	return v, err
}

// SetStatus is [Conversations.SetStatus].
func (r *MemoryConversations) SetStatus(ctx context.Context, key dm.Conversation, s Status) error {
	if err := checkStatus(s); err != nil {
		return err
	}
	return r.m.locked(ctx, func() error {
		c, ok := r.m.conversations[key]
		if !ok {
			return fmt.Errorf("conversation %s: %w", key, ErrNotFound)
		}
		c.Status, c.UpdatedAt = s, later(c.UpdatedAt, r.m.time())
		r.m.conversations[key] = c
		return nil
	})
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
