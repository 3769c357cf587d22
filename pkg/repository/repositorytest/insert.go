package repositorytest

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/repository"
)

// Insert writes a message as the archiver does.
func Insert(t *testing.T, pool *pgxpool.Pool, m repository.Message) {
	t.Helper()
	c, err := repository.NewConversations(pool).Save(t.Context(), repository.Conversation{
		Conversation: m.Conversation, CreatedAt: m.At, UpdatedAt: m.CreatedAt, LastMessageAt: m.At,
	})
	require.NoError(t, err)
	metadata, err := json.Marshal(m.Metadata)
	require.NoError(t, err)
	orNil := func(at time.Time) *time.Time {
		if at.IsZero() {
			return nil
		}
		return &at
	}
	_, err = pool.Exec(t.Context(), `
		INSERT INTO messages (id, conversation_id, account, mid, sender_id, recipient_id, message_text, message_type, direction, timestamp, status,
		                      metadata, created_at, deleted_at, sent_at)
		VALUES ($1, $2, $3, nullif($4, ''), $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`,
		m.ID, c.ID, m.Account, m.MID, m.Sender, m.Recipient, m.Text, m.Type, string(m.Direction), m.At, m.Status,
		string(metadata), m.CreatedAt, orNil(m.DeletedAt), orNil(m.SentAt))
	require.NoError(t, err)
}
