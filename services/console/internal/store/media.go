package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Kept is an attachment of which an archiver keeps the file.
type Kept struct {
	MID string
	// Position is which of the message's attachments it is, from 0.
	Position int
	// Store names where the file is, and Key which one it is there.
	Store, Key string
	// ContentType is what it is by its content, whatever Meta's server said; SHA256 is that of the content, in hexadecimal.
	ContentType, SHA256 string
	Bytes               int64
}

const keptColumns = `d.mid, d.position, d.store, d.key, d.content_type, d.sha256, d.bytes`

// KeptMedia reads what is kept of the messages with these ids of Meta's. The caller has looked for their conversation with its
// scope.
func (s *Store) KeptMedia(ctx context.Context, account string, mids []string) ([]Kept, error) {
	rows, err := s.pool.Query(ctx, `SELECT `+keptColumns+` FROM media d WHERE d.account = $1 AND d.mid = ANY ($2) AND d.status = 'stored'`, account, mids)
	var kept []Kept
	if err == nil {
		kept, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Kept])
	}
	if err != nil {
		return nil, fmt.Errorf("read what media are kept: %w", err)
	}
	return kept, nil
}

// KeptMedium finds one attachment of a message of a conversation; nothing is kept of an unsent message. The caller has looked for
// the conversation with its scope.
func (s *Store) KeptMedium(ctx context.Context, conversationID, messageID string, position int) (Kept, error) {
	if !isUUID(messageID) {
		return Kept{}, ErrNotFound
	}
	rows, err := s.pool.Query(ctx, `SELECT `+keptColumns+` FROM messages m JOIN media d ON d.account = m.account AND d.mid = m.mid
		WHERE m.id = $1 AND m.conversation_id = $2 AND m.deleted_at IS NULL AND d.position = $3 AND d.status = 'stored'`, messageID, conversationID, position)
	var k Kept
	if err == nil {
		k, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Kept])
	}
	if err != nil {
		return Kept{}, fmt.Errorf("find a kept medium: %w", notFound(err))
	}
	return k, nil
}
