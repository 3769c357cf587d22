package store

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/services/responder/internal/engine"
)

// before is served by the constraint conversations_key and the index messages_of_conversation.
const before = `
SELECT coalesce(bool_or(x.inbound), false), coalesce(bool_or(NOT x.inbound), false) FROM conversations c
CROSS JOIN LATERAL (
    (SELECT true AS inbound FROM messages m WHERE m.conversation_id = c.id AND m.direction = 'inbound' AND m.timestamp < $4 AND m.mid IS DISTINCT FROM $5 LIMIT 1)
    UNION ALL
    (SELECT false FROM messages m WHERE m.conversation_id = c.id AND m.direction = 'outbound' AND m.timestamp < $4 LIMIT 1)
) x
WHERE c.channel = $1 AND c.page_id = $2 AND c.instagram_user_id = $3`

// said is served by the same.
const said = `
SELECT m.direction, m.timestamp, coalesce(m.mid, ''), m.message_type, coalesce(m.message_text, '') FROM conversations c
JOIN messages m ON m.conversation_id = c.id
WHERE c.channel = $1 AND c.page_id = $2 AND c.instagram_user_id = $3 AND m.timestamp <= $4 AND m.mid IS DISTINCT FROM $5
ORDER BY m.timestamp DESC, m.id DESC LIMIT $6`

// Before says whether a customer wrote, and was answered, before an event of theirs, as far as that is archived.
func (r *Rules) Before(ctx context.Context, e *dm.Event) (wrote, answered bool, err error) {
	err = r.pool.QueryRow(ctx, before, string(e.Channel), e.Account, e.Customer, e.Time, e.MID).Scan(&wrote, &answered)
	if err != nil {
		return false, false, fmt.Errorf("look for earlier messages: %w", err)
	}
	return wrote, answered, nil
}

// Said reads the last messages of a conversation before an event, the oldest first.
func (r *Rules) Said(ctx context.Context, e *dm.Event, limit int) ([]engine.Said, error) {
	rows, err := r.pool.Query(ctx, said, string(e.Channel), e.Account, e.Customer, e.Time, e.MID, limit)
	if err != nil {
		return nil, fmt.Errorf("read what was said: %w", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (engine.Said, error) {
		var s engine.Said
		var direction string
		err := row.Scan(&direction, &s.At, &s.MID, &s.Type, &s.Text)
		if s.From = engine.FromCustomer; direction == "outbound" {
			s.From = engine.FromBusiness
		}
		return s, err
	})
	if err != nil {
		return nil, fmt.Errorf("read what was said: %w", err)
	}
	slices.Reverse(all)
	return all, nil
}
