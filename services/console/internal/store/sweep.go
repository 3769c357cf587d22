package store

import (
	"context"
	"fmt"
	"time"
)

// How long is kept what nobody needs any more.
const (
	keepKeys       = 48 * time.Hour
	keepDeliveries = 30 * 24 * time.Hour
	// sweepMost is how many rows of a table are deleted at once: none is locked for long.
	sweepMost = 5000
)

// sweeps are the statements that delete what was over at a time, a bounded number of rows each. A delivery that waits is tried
// for a day only, so what is as old as that has ended.
var sweeps = []struct { //nolint:gochecknoglobals // a constant list
	sql  string
	keep time.Duration
}{
	{`DELETE FROM sessions WHERE token_hash IN (SELECT token_hash FROM sessions WHERE expires_at < $1 LIMIT $2)`, 0},
	{`DELETE FROM sign_in_links WHERE token_hash IN (SELECT token_hash FROM sign_in_links WHERE expires_at < $1 LIMIT $2)`, 0},
	{`DELETE FROM idempotency_keys WHERE (user_id, key) IN (SELECT user_id, key FROM idempotency_keys WHERE created_at < $1 LIMIT $2)`, keepKeys},
	{`DELETE FROM webhook_deliveries WHERE id IN (SELECT id FROM webhook_deliveries WHERE created_at < $1 AND state <> 'waiting' LIMIT $2)`, keepDeliveries},
}

// Sweep deletes what is over: sessions, links, idempotency keys, old deliveries of webhooks. more says that there may be more of it.
func (s *Store) Sweep(ctx context.Context) (more bool, err error) {
	for _, sweep := range sweeps {
		tag, err := s.pool.Exec(ctx, sweep.sql, s.now().Add(-sweep.keep), sweepMost)
		if err != nil {
			return false, fmt.Errorf("delete what is over: %w", err)
		}
		more = more || tag.RowsAffected() >= sweepMost
	}
	return more, nil
}
