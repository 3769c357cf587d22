package store

import (
	"context"
	"fmt"
	"time"
)

// Counts is what happened in a time.
type Counts struct {
	Received, Sent, Failed, Unknown, Waiting int64
	Conversations                            int64
}

// Counted counts the messages of a time, in a scope, of one account or all.
func (s *Store) Counted(ctx context.Context, scope Scope, account string, from, until time.Time) (st Counts, err error) {
	err = s.pool.QueryRow(ctx, `SELECT
			count(*) FILTER (WHERE direction = 'inbound'),
			count(*) FILTER (WHERE status IN ('sent', 'delivered', 'read')),
			count(*) FILTER (WHERE status IN ('failed', 'expired')),
			count(*) FILTER (WHERE status = 'unknown'),
			count(*) FILTER (WHERE status = 'queued'),
			count(DISTINCT conversation_id)
		FROM messages
		WHERE timestamp >= $3 AND timestamp < $4 AND (cardinality($1::text[]) = 0 OR account = ANY ($1)) AND ($2 = '' OR account = $2)`,
		scope, account, from, until).Scan(&st.Received, &st.Sent, &st.Failed, &st.Unknown, &st.Waiting, &st.Conversations)
	if err != nil {
		return st, fmt.Errorf("count messages: %w", err)
	}
	return st, nil
}
