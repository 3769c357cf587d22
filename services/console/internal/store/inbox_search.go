package store

import (
	"context"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/parley-dm/parley/pkg/postgres"
)

const (
	// searchFound bounds how many conversations a search finds.
	searchFound     = 200
	searchFoundText = "200"
	// searchRows bounds, roughly, how many messages are looked at: of a word that is in more of them, some are.
	searchRows = 10_000
)

// tsquery finds texts that have all the words, the last one perhaps not written to its end.
const tsquery = `(nullif(plainto_tsquery('simple', $1)::text, '') || ':*')::tsquery`

// searchable is the condition of the index messages_search: what customers and people wrote.
const searchable = `(direction = 'inbound' OR coalesce(metadata #>> '{intent,origin}', 'operator') = 'operator')`

// Search finds conversations by words that were written in them, or by the customer's name. many says that there are more than
// were looked at.
func (s *Store) Search(ctx context.Context, scope Scope, words string) (ids []string, many bool, err error) {
	args := []any{words}
	within := ""
	if len(scope) > 0 {
		args = append(args, scope)
		within = " AND account = ANY ($2::text[])"
	}
	ids, err = s.searchContacts(ctx, scope, words)
	if err != nil {
		return nil, false, err
	}
	err = postgres.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL gin_fuzzy_search_limit = "+strconv.Itoa(searchRows)); err != nil {
			return err
		}
		// A hash or index scan by account would look at every message of it.
		if _, err := tx.Exec(ctx, "SET LOCAL enable_seqscan = off"); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, //nolint:rowserrcheck // ForEachRow does
			`
			SELECT conversation_id::text, count(*) OVER () FROM (
				SELECT conversation_id, max(timestamp) AS at FROM messages
				WHERE to_tsvector('simple', message_text) @@ `+tsquery+` AND `+searchable+within+`
				GROUP BY conversation_id) m
			ORDER BY at DESC LIMIT `+searchFoundText, args...)
		if err != nil {
			return err
		}
		var id string
		var n int
		_, err = pgx.ForEachRow(rows, []any{&id, &n}, func() error {
			ids, many = append(ids, id), n > searchFound
			return nil
		})
		return err
	})
	if err != nil {
		return nil, false, fmt.Errorf("search: %w", err)
	}
	return ids, many, nil
}
