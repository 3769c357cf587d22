package store

import (
	"github.com/jackc/pgx/v5"

	"github.com/parley-dm/parley/services/archiver/internal/record"
)

// noteMedia has media fetched that were not known yet. A key is new each time: a file that is being removed is never
// another row's.
const noteMedia = `
INSERT INTO media (account, mid, position, type, status, key)
SELECT account, mid, position, type, 'pending', folder || gen_random_uuid()
FROM unnest($1::text[], $2::text[], $3::integer[], $4::text[], $5::text[]) AS k (account, mid, position, type, folder)
ON CONFLICT (account, mid, position) DO NOTHING`

// forgetMedia is for messages that were unsent; a trigger has their files removed.
const forgetMedia = `
UPDATE media d SET status = 'deleted', reason = NULL, content_type = NULL, bytes = NULL, sha256 = NULL, updated_at = now()
FROM unnest($1::text[], $2::text[]) AS k (account, mid)
WHERE d.account = k.account AND d.mid = k.mid AND d.status <> 'deleted'`

// mediaColumns are what a transaction does to the table media.
type mediaColumns struct {
	accounts, mids, types, folders []string
	positions                      []int32
	gone                           pendingColumns
}

// add takes what a message has, or that it was unsent, whether media are kept now or were once.
func (c *mediaColumns) add(m *record.Message, keep bool) {
	if !m.DeletedAt.IsZero() && m.MID != "" {
		c.gone.add(midKey{m.Conversation.Account, m.MID}, "")
	}
	if !keep {
		return
	}
	for _, medium := range m.Media() {
		c.accounts, c.mids, c.types = append(c.accounts, m.Conversation.Account), append(c.mids, m.MID), append(c.types, medium.Type)
		c.folders, c.positions = append(c.folders, m.MediaFolder()), append(c.positions, int32(medium.Position)) //nolint:gosec // a message has few
	}
}

func (c *mediaColumns) queue(b *pgx.Batch) {
	if len(c.gone.accounts) > 0 {
		b.Queue(forgetMedia, c.gone.accounts, c.gone.mids)
	}
	if len(c.accounts) > 0 {
		b.Queue(noteMedia, c.accounts, c.mids, c.positions, c.types, c.folders)
	}
}
