package erase

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

const deleteMediaOfConversations = `
DELETE FROM media d USING messages m
WHERE m.conversation_id = ANY ($1::uuid[]) AND ($2::timestamptz IS NULL OR m.timestamp < $2) AND d.account = m.account AND d.mid = m.mid
RETURNING coalesce(d.key, '')`

const deleteMediaOfMessage = `DELETE FROM media WHERE account = $1 AND mid = $2 RETURNING coalesce(key, '')`

// unusedKeys is served by the index media_of_key.
const unusedKeys = `
SELECT DISTINCT k.key FROM unnest($1::text[]) AS k (key)
WHERE k.key <> '' AND NOT EXISTS (SELECT FROM media m WHERE m.key = k.key AND m.status = 'stored') ORDER BY k.key`

// eraseMedia erases what the table media has of messages, which must still be there, and tells which files no message has any
// more: the media's store is not within reach of a command.
func eraseMedia(ctx context.Context, tx pgx.Tx, counts Counts, sql string, args ...any) (files []string, err error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("erase from media: %w", err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(keys) == 0 {
		return nil, wrap("erase from media", err)
	}
	counts.add("table", "media", int64(len(keys)))
	if rows, err = tx.Query(ctx, unusedKeys, keys); err != nil {
		return nil, fmt.Errorf("look for media that others have: %w", err)
	}
	files, err = pgx.CollectRows(rows, pgx.RowTo[string])
	return files, wrap("look for media that others have", err)
}

func wrap(operation string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", operation, err)
}
