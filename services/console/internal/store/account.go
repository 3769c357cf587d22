package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/parley-dm/parley/pkg/dm"
)

// Account is one account that has conversations.
type Account struct {
	Channel dm.Channel
	ID      string
}

// maxAccounts bounds the list of accounts.
const maxAccounts = 1000

// Accounts lists the accounts within a scope that have conversations. It jumps from one to the next in the index of
// conversations' keys: what it costs grows with the accounts and not with the conversations.
func (s *Store) Accounts(ctx context.Context, scope Scope) ([]Account, error) {
	rows, err := s.pool.Query(ctx, `WITH RECURSIVE a AS (
			(SELECT channel, page_id FROM conversations ORDER BY channel, page_id LIMIT 1)
			UNION ALL
			SELECT n.channel, n.page_id FROM a CROSS JOIN LATERAL (
				SELECT c.channel, c.page_id FROM conversations c WHERE (c.channel, c.page_id) > (a.channel, a.page_id) ORDER BY c.channel, c.page_id LIMIT 1) n)
		SELECT channel, page_id FROM a WHERE cardinality($1::text[]) = 0 OR page_id = ANY ($1) LIMIT $2`, scope, maxAccounts)
	if err != nil {
		return nil, fmt.Errorf("list accounts: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Account])
	if err != nil {
		return nil, fmt.Errorf("list accounts: %w", err)
	}
	return found, nil
}
