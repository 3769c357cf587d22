package store

import (
	"context"
	"fmt"
)

// Totals is how much there is.
type Totals struct{ Conversations, Messages, Rules int64 }

// Totals counts what a scope has. Messages are counted roughly, by the planner's estimate, where there are many
// and all are seen: an exact count of ten million takes seconds.
func (s *Store) Totals(ctx context.Context, scope Scope) (t Totals, err error) {
	err = s.pool.QueryRow(ctx, `SELECT
		(SELECT count(*) FROM conversations WHERE cardinality($1::text[]) = 0 OR page_id = ANY ($1)),
		CASE WHEN cardinality($1::text[]) = 0 AND (SELECT reltuples FROM pg_class WHERE oid = 'messages'::regclass) > 100000
			THEN (SELECT reltuples::bigint FROM pg_class WHERE oid = 'messages'::regclass)
			ELSE (SELECT count(*) FROM messages WHERE cardinality($1::text[]) = 0 OR account = ANY ($1)) END,
		(SELECT count(*) FROM response_rules WHERE is_active)`, scope).Scan(&t.Conversations, &t.Messages, &t.Rules)
	if err != nil {
		return t, fmt.Errorf("count: %w", err)
	}
	return t, nil
}
