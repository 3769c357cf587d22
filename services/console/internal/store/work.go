package store

import (
	"context"
	"fmt"
)

// MaxWork bounds what is counted of each kind of work: whether there are thousands or more of them is the same to who looks.
const MaxWork = 1000

// Work is what waits for the people of the business; each at most [MaxWork] and one.
type Work struct {
	// Waiting are open conversations whose customer had the last word, Mine those that are assigned to a user, Failures the
	// messages of the last days that were not sent, or perhaps were not, and that nobody has decided about.
	Waiting, Mine, Failures int
	// Rules are those that are switched on; of all accounts.
	Rules int
}

// Work counts what waits, in a scope, for a user.
func (s *Store) Work(ctx context.Context, scope Scope, userID string) (w Work, err error) {
	err = s.pool.QueryRow(ctx, `SELECT
		(SELECT count(*) FROM (SELECT FROM conversations WHERE is_waiting AND is_open AND last_message_at IS NOT NULL
			AND (cardinality($1::text[]) = 0 OR page_id = ANY ($1)) LIMIT $4) w),
		(SELECT count(*) FROM (SELECT FROM conversations WHERE assignee = $2::uuid AND is_open AND last_message_at IS NOT NULL
			AND (cardinality($1::text[]) = 0 OR page_id = ANY ($1)) LIMIT $4) m),
		(SELECT count(*) FROM (SELECT FROM messages WHERE direction = 'outbound' AND status IN ('failed', 'expired', 'unknown') AND timestamp > $3
			AND deleted_at IS NULL AND (cardinality($1::text[]) = 0 OR account = ANY ($1))
			AND NOT EXISTS (SELECT FROM failure_decisions d WHERE d.message_id = messages.id) LIMIT $4) f),
		(SELECT count(*) FROM response_rules WHERE is_active)`, scope, userID, s.now().AddDate(0, 0, -failureDays), MaxWork+1).
		Scan(&w.Waiting, &w.Mine, &w.Failures, &w.Rules)
	if err != nil {
		return w, fmt.Errorf("count what waits: %w", err)
	}
	return w, nil
}
