package repository

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/parley-dm/parley/pkg/dm"
)

// Messages are the messages in it.
func (m *Memory) Messages() *MemoryMessages { return &MemoryMessages{m} }

// MemoryMessages keeps messages in memory, as [Messages] reads them from PostgreSQL.
type MemoryMessages struct{ m *Memory }

// Add puts a message into the memory, as the archiver does into the table; another with its id gives way. Its conversation
// is made where it is not there.
func (r *MemoryMessages) Add(ctx context.Context, v Message) error {
	_, err := r.m.Conversations().Save(ctx, Conversation{Conversation: v.Conversation, CreatedAt: v.At, UpdatedAt: v.CreatedAt, LastMessageAt: v.At})
	if err != nil {
		return err
	}
	return r.m.locked(ctx, func() error {
		r.m.messages[v.ID] = v
		return nil
	})
}

// History is [Messages.History].
func (r *MemoryMessages) History(ctx context.Context, q HistoryOf) ([]Message, error) {
	out, err := r.pick(ctx, func(m *Message) bool {
		return m.Conversation == q.Conversation && (q.Before == nil || older(q.Before, m) < 0)
	})
	slices.SortFunc(out, func(a, b Message) int { return older(&a, &b) })
	return withoutRaw(out[:min(len(out), pageSize(q.Limit))]), err
}

// ByMID is [Messages.ByMID].
func (r *MemoryMessages) ByMID(ctx context.Context, account, mid string) (Message, error) {
	return r.one(ctx, mid, func(m *Message) bool { return m.Account == account && m.MID == mid && mid != "" })
}

// Find is [Messages.Find].
func (r *MemoryMessages) Find(ctx context.Context, mid string) ([]Message, error) {
	out, err := r.pick(ctx, func(m *Message) bool { return m.MID == mid && mid != "" })
	slices.SortFunc(out, func(a, b Message) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.ID, b.ID)) })
	return out, err
}

// Get is [Messages.Get].
func (r *MemoryMessages) Get(ctx context.Context, id string) (Message, error) {
	return r.one(ctx, id, func(m *Message) bool { return m.ID == id })
}

// Replies is [Messages.Replies].
func (r *MemoryMessages) Replies(ctx context.Context, conversation dm.Conversation, eventID string) ([]Message, error) {
	out, err := r.pick(ctx, func(m *Message) bool {
		return m.Conversation == conversation && m.Direction == Outbound && m.Metadata.Intent != nil && m.Metadata.Intent.EventID == eventID
	})
	inOrder(out)
	return withoutRaw(out), err
}

// OfEvent is [Messages.OfEvent].
func (r *MemoryMessages) OfEvent(ctx context.Context, conversation dm.Conversation, eventID string) (Message, error) {
	return r.one(ctx, "of event "+eventID, func(m *Message) bool {
		return m.Conversation == conversation && m.Direction == Inbound && m.Metadata.EventID == eventID
	})
}

// Each is [Messages.Each]. It calls f on what was there when it began.
func (r *MemoryMessages) Each(ctx context.Context, s Stretch, f func(Message) error) error {
	all, err := r.pick(ctx, s.matches)
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b Message) int {
		return cmp.Or(cmp.Compare(a.Conversation.String(), b.Conversation.String()), a.At.Compare(b.At), cmp.Compare(a.ID, b.ID))
	})
	for _, m := range withoutRaw(all) {
		if err := f(m); err != nil {
			return err
		}
	}
	return nil
}

func (r *MemoryMessages) pick(ctx context.Context, wanted func(*Message) bool) (out []Message, err error) {
	err = r.m.locked(ctx, func() error {
		for _, m := range r.m.messages {
			if wanted(&m) {
				out = append(out, copyOfMessage(m))
			}
		}
		return nil
	})
	return out, err
}

func (r *MemoryMessages) one(ctx context.Context, name string, wanted func(*Message) bool) (Message, error) {
	all, err := r.pick(ctx, wanted)
	switch {
	case err != nil:
		return Message{}, err
	case len(all) == 0:
		return Message{}, fmt.Errorf("message %s: %w", name, ErrNotFound)
	default:
		return all[0], nil
	}
}

// copyOfMessage shares nothing with the message.
func copyOfMessage(m Message) Message {
	b, err := json.Marshal(m.Metadata)
	if err != nil {
		return m // it was stored, so it can be encoded
	}
	raw := slices.Clone(m.Metadata.Raw)
	m.Metadata = decodeMetadata(string(b))
	m.Metadata.Raw = raw // as it was written
	return m
}

func withoutRaw(all []Message) []Message {
	for i := range all {
		all[i].Metadata.Raw = nil
	}
	return all
}
