package store

import (
	"bytes"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-dm/parley/services/archiver/internal/record"
)

const insertMessages = `
INSERT INTO messages (id, conversation_id, account, mid, sender_id, recipient_id, message_text, message_type, direction,
                      timestamp, status, metadata, created_at, deleted_at, sent_at)
SELECT id, conversation_id, account, mid, sender, recipient, body, type, direction, at, status, metadata::jsonb, created, deleted, sent
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
            $10::timestamptz[], $11::text[], $12::text[], $13::timestamptz[], $14::timestamptz[], $15::timestamptz[])
  AS r (id, conversation_id, account, mid, sender, recipient, body, type, direction, at, status, metadata, created, deleted, sent)`

// updateMessages is insertMessages for rows that exist. Keys of the metadata that are not ours stay. Whose message it is
// never changes: what is merged with the row may be a change of it that names somebody else.
const updateMessages = insertMessages + `
ON CONFLICT (id) DO UPDATE SET
    mid = excluded.mid, message_text = excluded.message_text, message_type = excluded.message_type, direction = excluded.direction,
    timestamp = excluded.timestamp, status = excluded.status,
    metadata = (messages.metadata - $16::text[]) || excluded.metadata, created_at = excluded.created_at,
    deleted_at = excluded.deleted_at, sent_at = excluded.sent_at`

const deleteMessages = `DELETE FROM messages WHERE id = ANY ($1::uuid[])`

const deletePending = `
DELETE FROM message_changes c USING unnest($1::text[], $2::text[]) AS k (account, mid)
WHERE c.account = k.account AND c.mid = k.mid`

const upsertPending = `
INSERT INTO message_changes (account, mid, changes)
SELECT account, mid, changes::jsonb FROM unnest($1::text[], $2::text[], $3::text[]) AS k (account, mid, changes)
ON CONFLICT (account, mid) DO UPDATE SET changes = excluded.changes`

const markRead = `
UPDATE messages m SET status = 'read' FROM conversations c
WHERE c.id = ANY ($1::uuid[]) AND m.conversation_id = c.id AND m.direction = 'outbound'
  AND m.status IN ('sent', 'delivered') AND m.sent_at <= c.read_at`

// An event that Meta sends again is told apart by nothing but when it was received: the first time counts.
const insertEvents = `
INSERT INTO events AS e (id, channel, account, customer, kind, mid, time, received_at, data)
SELECT id, channel, account, customer, kind, mid, at, received, data::jsonb
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::timestamptz[], $9::text[])
  AS k (id, channel, account, customer, kind, mid, at, received, data)
ON CONFLICT (id) DO UPDATE SET time = excluded.time, received_at = excluded.received_at, data = excluded.data
WHERE excluded.received_at < e.received_at`

// write queues what the transaction changes.
func (f *fold) write(b *pgx.Batch) error {
	var fresh, changed []columnsOf
	var gone []record.ID
	var done, waiting pendingColumns
	for _, s := range f.slots() {
		m := &s.message
		if !m.Exists() {
			if !f.alone {
				f.early = append(f.early, record.Facts{Messages: []record.Message{*m}})
				continue
			}
			changes, err := record.EncodeChanges(m.Changes)
			if err != nil {
				return err
			}
			waiting.add(s.mids[0], changes)
			continue
		}
		c := f.conversations[m.Conversation]
		row, err := m.Row(c.readAt)
		if err != nil {
			return err
		}
		f.media.add(m, f.keepsMedia)
		if len(s.rows) == 0 {
			fresh = append(fresh, columnsOf{row, c.id})
		} else {
			changed = append(changed, columnsOf{row, c.id})
		}
		for _, id := range s.rows {
			if id != row.ID {
				gone = append(gone, id)
			}
		}
		if s.pending {
			for _, key := range s.mids {
				done.add(key, "")
			}
		}
	}
	if len(gone) > 0 {
		b.Queue(deleteMessages, gone)
	}
	if len(done.accounts) > 0 {
		b.Queue(deletePending, done.accounts, done.mids)
	}
	if len(fresh) > 0 {
		b.Queue(insertMessages, messageColumns(fresh)...)
	}
	if len(changed) > 0 {
		b.Queue(updateMessages, append(messageColumns(changed), record.OwnKeys)...)
	}
	if len(waiting.accounts) > 0 {
		b.Queue(upsertPending, waiting.accounts, waiting.mids, waiting.changes)
	}
	f.writeOthers(b)
	return nil
}

// writeOthers writes what is in other tables.
func (f *fold) writeOthers(b *pgx.Batch) {
	f.writeRead(b)
	f.writeEvents(b)
	f.writeContacts(b)
	f.media.queue(b)
}

// writeRead marks what a read receipt of this batch covers. Rows that come later look at the conversation themselves.
func (f *fold) writeRead(b *pgx.Batch) {
	var ids []record.ID
	for _, c := range f.conversations {
		if !c.ReadAt.IsZero() {
			ids = append(ids, c.id)
		}
	}
	if len(ids) > 0 {
		b.Queue(markRead, ids)
	}
}

func (f *fold) writeEvents(b *pgx.Batch) {
	n := len(f.events)
	if n == 0 {
		return
	}
	ids := keys(f.events)
	slices.Sort(ids)
	channels, accounts, kinds, data := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	customers, mids := make([]*string, n), make([]*string, n)
	at, received := make([]time.Time, n), make([]time.Time, n)
	for i, id := range ids {
		e := f.events[id]
		channels[i], accounts[i], kinds[i], data[i] = string(e.Conversation.Channel), e.Conversation.Account, e.Kind, e.Data
		at[i], received[i] = e.Time, e.ReceivedAt
		if e.Conversation.Customer != "" {
			customers[i] = &e.Conversation.Customer
		}
		if e.MID != "" {
			mids[i] = &e.MID
		}
	}
	b.Queue(insertEvents, ids, channels, accounts, customers, kinds, mids, at, received, data)
}

// pendingColumns are rows of message_changes.
type pendingColumns struct{ accounts, mids, changes []string }

func (p *pendingColumns) add(key midKey, changes string) {
	p.accounts, p.mids, p.changes = append(p.accounts, key.account), append(p.mids, key.mid), append(p.changes, changes)
}

// columnsOf is a row and its conversation.
type columnsOf struct {
	record.Row
	conversation record.ID
}

// messageColumns turns rows into columns, sorted by id: neighbours in the index are written together.
func messageColumns(rows []columnsOf) []any {
	slices.SortFunc(rows, func(a, b columnsOf) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	n := len(rows)
	ids, conversations := make([]record.ID, n), make([]record.ID, n)
	accounts, senders, recipients, types := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	directions, statuses, metadata := make([]string, n), make([]string, n), make([]string, n)
	mids, texts := make([]*string, n), make([]*string, n)
	at, created := make([]time.Time, n), make([]time.Time, n)
	deleted, sent := make([]*time.Time, n), make([]*time.Time, n)
	for i := range rows {
		r := &rows[i]
		ids[i], conversations[i] = r.ID, r.conversation
		accounts[i], senders[i], recipients[i], types[i] = r.Conversation.Account, r.Sender, r.Recipient, r.Type
		directions[i], statuses[i], metadata[i] = r.Direction, r.Status, r.Metadata
		mids[i], texts[i] = r.MID, r.Text
		at[i], created[i], deleted[i], sent[i] = r.Timestamp, r.CreatedAt, r.DeletedAt, r.SentAt
	}
	return []any{ids, conversations, accounts, mids, senders, recipients, texts, types, directions, at, statuses, metadata, created, deleted, sent}
}
