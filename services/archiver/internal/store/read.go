package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/services/archiver/internal/record"
)

// Changes that name no customer, or not the message's own, are under no lock of its conversation. So that they cannot miss a
// message that another transaction is writing, nor it them, they are written while nobody else writes: see Store.write.
const (
	lockShared = `SELECT pg_advisory_xact_lock_shared(727539, 1)`
	lockAlone  = `SELECT pg_advisory_xact_lock(727539, 1)`
)

// lockConversations creates the conversations and locks them, those that do not change as well.
const lockConversations = `
INSERT INTO conversations AS c (id, channel, page_id, instagram_user_id, created_at, updated_at, last_message_at, read_at,
                                last_inbound_at, last_outbound_at)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::timestamptz[], $8::timestamptz[],
                     $9::timestamptz[], $10::timestamptz[])
ON CONFLICT (channel, page_id, instagram_user_id) DO UPDATE SET
    created_at       = least(c.created_at, excluded.created_at),
    updated_at       = greatest(c.updated_at, excluded.updated_at),
    last_message_at  = greatest(c.last_message_at, excluded.last_message_at),
    read_at          = greatest(c.read_at, excluded.read_at),
    last_inbound_at  = greatest(c.last_inbound_at, excluded.last_inbound_at),
    last_outbound_at = greatest(c.last_outbound_at, excluded.last_outbound_at)
RETURNING id, channel, page_id, instagram_user_id, read_at`

// readConversations is for messages that a change names whose customer is not theirs. Nothing is locked: a read receipt
// that is being written at the same time marks the message when this transaction is over.
const readConversations = `SELECT id, channel, page_id, instagram_user_id, read_at FROM conversations WHERE id = ANY ($1::uuid[])`

const storedColumns = `m.id, m.conversation_id, m.account, m.mid, m.message_text, m.message_type, m.direction, m.timestamp, m.metadata::text, m.created_at`

// LIMIT 1 keeps each look-up one look-up in the unique index, whatever the planner believes of the tables' sizes.
const readByMID = `
SELECT ` + storedColumns + ` FROM unnest($1::text[], $2::text[]) AS k (account, mid)
CROSS JOIN LATERAL (SELECT * FROM messages m WHERE m.account = k.account AND m.mid = k.mid LIMIT 1 FOR UPDATE) m`

const readByID = `
SELECT ` + storedColumns + ` FROM unnest($1::uuid[]) AS k (id)
CROSS JOIN LATERAL (SELECT * FROM messages m WHERE m.id = k.id LIMIT 1 FOR UPDATE) m`

const readPending = `
SELECT c.account, c.mid, c.changes::text FROM unnest($1::text[], $2::text[]) AS k (account, mid)
CROSS JOIN LATERAL (SELECT * FROM message_changes c WHERE c.account = k.account AND c.mid = k.mid LIMIT 1) c`

// read locks the conversations and adds to the slots what the tables have.
func (f *fold) read(ctx context.Context, tx pgx.Tx) error {
	var b pgx.Batch
	if f.alone {
		b.Queue(lockAlone)
	} else {
		b.Queue(lockShared)
	}
	f.queueConversations(&b)
	var stored []columnsOf
	collect := func(rows pgx.Rows) error {
		found, err := pgx.CollectRows(rows, scanRow)
		stored = append(stored, found...)
		return err
	}
	if ids := keys(f.byID); len(ids) > 0 {
		b.Queue(readByID, ids).Query(collect)
	}
	type change struct{ account, mid, changes string }
	var pending []change
	if len(f.byMID) > 0 {
		accounts, mids := splitKeys(f.byMID)
		b.Queue(readByMID, accounts, mids).Query(collect)
		b.Queue(readPending, accounts, mids).Query(func(rows pgx.Rows) error {
			var err error
			pending, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (c change, err error) {
				err = row.Scan(&c.account, &c.mid, &c.changes)
				return c, err
			})
			return err
		})
	}
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return fmt.Errorf("lock conversations and read messages: %w", err)
	}
	if err := f.readOthers(ctx, tx, stored); err != nil {
		return err
	}
	for i := range stored {
		f.addStored(&stored[i])
	}
	for _, p := range pending {
		s := f.byMID[midKey{p.account, p.mid}]
		s.message.Merge(&record.Message{Changes: record.DecodeChanges(p.changes)})
		s.pending = true
	}
	return nil
}

func (f *fold) queueConversations(b *pgx.Batch) {
	all := f.sortedConversations()
	if len(all) == 0 {
		return
	}
	n := len(all)
	ids, channels, pages, customers := make([]record.ID, n), make([]string, n), make([]string, n), make([]string, n)
	created, updated, last, read := make([]time.Time, n), make([]time.Time, n), make([]*time.Time, n), make([]*time.Time, n)
	in, sent := make([]*time.Time, n), make([]*time.Time, n)
	for i, c := range all {
		c.id = c.ID()
		ids[i], channels[i], pages[i], customers[i] = c.id, string(c.Key.Channel), c.Key.Account, c.Key.Customer
		created[i], updated[i], last[i], read[i] = c.First, c.Updated, known(&c.Last), known(&c.ReadAt)
		in[i], sent[i] = known(&c.LastIn), known(&c.LastOut)
	}
	b.Queue(lockConversations, ids, channels, pages, customers, created, updated, last, read, in, sent).Query(f.scanConversations)
}

// scanConversations takes what the table says of conversations.
func (f *fold) scanConversations(rows pgx.Rows) error {
	var id record.ID
	var key dm.Conversation
	var readAt *time.Time
	_, err := pgx.ForEachRow(rows, []any{&id, &key.Channel, &key.Account, &key.Customer, &readAt}, func() error {
		c := f.conversations[key]
		if c == nil {
			c = &conversation{Conversation: record.Conversation{Key: key}}
			f.conversations[key] = c
		}
		c.id, f.ofRow[id] = id, c
		if readAt != nil {
			c.readAt = readAt.UTC()
		}
		return nil
	})
	return err
}

// readOthers reads the conversations of stored messages that this batch does not touch.
func (f *fold) readOthers(ctx context.Context, tx pgx.Tx, stored []columnsOf) error {
	var missing []record.ID
	for i := range stored {
		if f.ofRow[stored[i].conversation] == nil {
			missing = append(missing, stored[i].conversation)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	rows, err := tx.Query(ctx, readConversations, missing)
	if err == nil {
		err = f.scanConversations(rows)
	}
	if err != nil {
		return fmt.Errorf("read the conversations of changed messages: %w", err)
	}
	return nil
}

func scanRow(row pgx.CollectableRow) (r columnsOf, err error) {
	err = row.Scan(&r.ID, &r.conversation, &r.Conversation.Account, &r.MID, &r.Text, &r.Type, &r.Direction, &r.Timestamp, &r.Metadata, &r.CreatedAt)
	r.Timestamp, r.CreatedAt = r.Timestamp.UTC(), r.CreatedAt.UTC()
	return r, err
}

// addStored merges a row of the table. The same row may have been found by its id and by its mid.
func (f *fold) addStored(r *columnsOf) {
	if s := f.byID[r.ID]; s != nil {
		for _, known := range s.rows {
			if known == r.ID {
				return
			}
		}
	}
	r.Conversation = f.ofRow[r.conversation].Key
	m := record.Stored(r.Row)
	s := f.add(&m)
	s.rows = append(s.rows, r.ID)
}

func known(t *time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return t
}

func keys[K comparable, V any](m map[K]V) []K {
	out := make([]K, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	return out
}

func splitKeys(m map[midKey]*slot) (accounts, mids []string) {
	accounts, mids = make([]string, 0, len(m)), make([]string, 0, len(m))
	for k := range m {
		accounts, mids = append(accounts, k.account), append(mids, k.mid)
	}
	return accounts, mids
}
