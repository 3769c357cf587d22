package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/repository"
)

// Rules keeps rules, with their history.
func (s *Store) Rules() *repository.Rules { return repository.NewRules(s.pool) }

// HitsWithin is how far back hits are counted, MaxHits how far they are counted: what is more is told as so many and more.
const (
	HitsWithin = 7 * 24 * time.Hour
	MaxHits    = 1000
)

// hitsTimeout bounds the counting: a list of rules without counts is better than none.
const hitsTimeout = 3 * time.Second

// RuleHits counts how often each rule answered in the last seven days, by its id; one that did not is missing. It reads at
// most MaxHits entries of messages_of_rule for each rule, however many messages there are.
func (s *Store) RuleHits(ctx context.Context, scope Scope) (map[string]int, error) {
	ctx, cancel := context.WithTimeout(ctx, hitsTimeout)
	defer cancel()
	rows, err := s.pool.Query(ctx, `SELECT r.id::text, h.n FROM response_rules r
		CROSS JOIN LATERAL (SELECT count(*) AS n FROM (
			SELECT FROM messages m
			WHERE m.direction = 'outbound' AND m.metadata #>> '{intent,part}' = '0' AND m.metadata #>> '{intent,rule_id}' = r.id::text
				AND m.timestamp >= $2 AND (cardinality($1::text[]) = 0 OR m.account = ANY ($1))
			LIMIT $3) one) h
		WHERE h.n > 0`, scope, s.now().Add(-HitsWithin), MaxHits)
	if err != nil {
		return nil, fmt.Errorf("count the hits of rules: %w", err)
	}
	type hit struct {
		ID string
		N  int
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[hit])
	if err != nil {
		return nil, fmt.Errorf("count the hits of rules: %w", err)
	}
	hits := make(map[string]int, len(found))
	for _, h := range found {
		hits[h.ID] = h.N
	}
	return hits, nil
}

// Asked is a customer's message as rules are asked about it.
type Asked struct {
	ConversationID, Account, Text, Payload, Type string
	Kind                                         dm.EventKind
	At                                           time.Time
	// Returning: the customer had a message of ours before.
	Returning bool
}

// The bounds of a sample.
const (
	sampleConversations = 2000
	samplePerTalk       = 20
	sampleTimeout       = 5 * time.Second
)

// LastAsked reads customers' messages of the last seven days, the newest first, at most limit: of the 2,000 conversations in
// which something was said last up to 20 each.
func (s *Store) LastAsked(ctx context.Context, scope Scope, limit int) ([]Asked, error) {
	ctx, cancel := context.WithTimeout(ctx, sampleTimeout)
	defer cancel()
	rows, err := s.pool.Query(ctx, `SELECT c.id::text, m.account, coalesce(m.message_text, ''), coalesce(m.metadata->>'payload', ''),
			m.message_type, coalesce(m.metadata->>'kind', ''), m.timestamp,
			EXISTS (SELECT FROM messages o WHERE o.conversation_id = c.id AND o.direction = 'outbound' AND o.timestamp < m.timestamp)
		FROM (SELECT id FROM conversations
			WHERE (cardinality($1::text[]) = 0 OR page_id = ANY ($1)) AND last_message_at >= $2
			ORDER BY last_message_at DESC LIMIT $4) c
		CROSS JOIN LATERAL (SELECT account, message_text, message_type, timestamp, metadata FROM messages
			WHERE conversation_id = c.id AND direction = 'inbound' AND timestamp >= $2 AND deleted_at IS NULL
			ORDER BY timestamp DESC, id DESC LIMIT $5) m
		ORDER BY m.timestamp DESC LIMIT $3`, scope, s.now().Add(-HitsWithin), limit, sampleConversations, samplePerTalk)
	if err != nil {
		return nil, fmt.Errorf("read the last messages: %w", err)
	}
	out, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (a Asked, err error) {
		err = row.Scan(&a.ConversationID, &a.Account, &a.Text, &a.Payload, &a.Type, &a.Kind, &a.At, &a.Returning)
		return a, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the last messages: %w", err)
	}
	return out, nil
}
