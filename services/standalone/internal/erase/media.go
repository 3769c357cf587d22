package erase

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

const deleteMediaOfConversations = `
DELETE FROM media d USING messages m
WHERE m.conversation_id = ANY ($1::uuid[]) AND ($2::timestamptz IS NULL OR m.timestamp < $2) AND d.account = m.account AND d.mid = m.mid
RETURNING d.status = 'stored'`

const deleteMediaOfMessage = `DELETE FROM media WHERE account = $1 AND mid = $2 RETURNING status = 'stored'`

// eraseMedia erases what the table media has of messages, which must still be there, and counts the files: the store is not
// within reach of a command, and a trigger has an archiver remove them.
func eraseMedia(ctx context.Context, tx pgx.Tx, counts Counts, sql string, args ...any) (files int64, err error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return 0, fmt.Errorf("erase from media: %w", err)
	}
	stored, err := pgx.CollectRows(rows, pgx.RowTo[bool])
	if err != nil {
		return 0, fmt.Errorf("erase from media: %w", err)
	}
	counts.add("table", "media", int64(len(stored)))
	for _, s := range stored {
		if s {
			files++
		}
	}
	return files, nil
}
