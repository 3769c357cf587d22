package erase

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-dm/parley/pkg/postgres"
)

// txTimeout bounds one transaction.
const txTimeout = 60 * time.Second

// errCounted rolls back a transaction that only counted.
var errCounted = errors.New("only counted")

// lockArchive keeps the archiver from writing until the transaction ends; it has the same lock, shared, while it does.
const lockArchive = `SELECT pg_advisory_xact_lock(727539, 1)`

const conversationsOfCustomer = `SELECT id FROM conversations WHERE page_id = $1 AND instagram_user_id = $2 FOR UPDATE`

const unsentOfConversations = `SELECT count(*) FROM messages WHERE conversation_id = ANY ($1::uuid[]) AND status = 'queued'`

const deleteMessages = `DELETE FROM messages WHERE conversation_id = ANY ($1::uuid[])`

const deleteConversations = `DELETE FROM conversations WHERE id = ANY ($1::uuid[])`

const deleteChanges = `DELETE FROM message_changes WHERE account = $1 AND mid = ANY ($2::text[])`

// deleteCustomerEvents is served by the index events_of_conversation.
const deleteCustomerEvents = `DELETE FROM events WHERE account = $1 AND customer = $2`

// messageOf is what must be known of the one message; it is served by messages_mid_key.
const messageOf = `
SELECT coalesce(m.metadata->>'event_id', ''), coalesce(m.metadata->'intent'->>'id', ''), c.id, c.instagram_user_id
FROM messages m JOIN conversations c ON c.id = m.conversation_id WHERE m.account = $1 AND m.mid = $2`

const unsentAnswers = `
SELECT count(*) FROM messages WHERE conversation_id = $1 AND status = 'queued' AND metadata->'intent'->>'event_id' = $2`

const deleteMessage = `DELETE FROM messages WHERE account = $1 AND mid = $2`

const deleteMessageEvents = `DELETE FROM events WHERE account = $1 AND customer = $2 AND mid = $3`

// forgetWords takes the words that a rule matched on out of the answers to the message.
const forgetWords = `
UPDATE messages SET metadata = metadata #- '{intent,trace}'
WHERE conversation_id = $1 AND metadata->'intent'->>'event_id' = $2 AND metadata->'intent' ? 'trace'`

const insertErasure = `
INSERT INTO erasures (by, scope, account, subject, before, counts) VALUES ($1, $2, nullif($3, ''), $4, $5, $6)`

// eraseRows erases the rows in one transaction, with the audit line. A dry run rolls it back.
func (t *target) eraseRows(ctx context.Context, pool *pgxpool.Pool, counts Counts, result *Result) error {
	return t.inTx(ctx, pool, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockArchive); err != nil {
			return fmt.Errorf("lock the archive: %w", err)
		}
		found := Result{Counts: counts}
		var err error
		if t.Customer != "" {
			err = t.eraseCustomer(ctx, tx, &found)
		} else {
			err = t.eraseMessage(ctx, tx, &found)
		}
		if err != nil {
			return err
		}
		result.Unsent += found.Unsent
		result.Files += found.Files
		if len(counts) == 0 {
			return nil
		}
		return t.audit(ctx, tx, counts)
	})
}

// inTx runs f in a transaction that is rolled back when the request only counts.
func (r *Request) inTx(ctx context.Context, pool *pgxpool.Pool, f func(context.Context, pgx.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, txTimeout)
	defer cancel()
	err := postgres.InTx(ctx, pool, func(tx pgx.Tx) error {
		if err := f(ctx, tx); err != nil {
			return err
		}
		if r.DryRun {
			return errCounted
		}
		return nil
	})
	if errors.Is(err, errCounted) {
		return nil
	}
	return err
}

func (r *Request) audit(ctx context.Context, tx pgx.Tx, counts Counts) error {
	text, err := json.Marshal(counts)
	if err != nil {
		return fmt.Errorf("write the audit line: %w", err)
	}
	var before *time.Time
	if !r.Before.IsZero() {
		before = &r.Before
	}
	if _, err := tx.Exec(ctx, insertErasure, r.By, r.scope(), r.Account, r.subject(), before, string(text)); err != nil {
		return fmt.Errorf("write the audit line: %w", err)
	}
	return nil
}

func (t *target) eraseCustomer(ctx context.Context, tx pgx.Tx, found *Result) error {
	rows, err := tx.Query(ctx, conversationsOfCustomer, t.Account, t.Customer)
	if err != nil {
		return fmt.Errorf("find the customer's conversations: %w", err)
	}
	conversations, err := pgx.CollectRows(rows, pgx.RowTo[[16]byte])
	if err != nil {
		return fmt.Errorf("find the customer's conversations: %w", err)
	}
	if err := tx.QueryRow(ctx, unsentOfConversations, conversations).Scan(&found.Unsent); err != nil {
		return fmt.Errorf("count what is not sent yet: %w", err)
	}
	if found.Files, err = eraseMedia(ctx, tx, found.Counts, deleteMediaOfConversations, conversations, nil); err != nil {
		return err
	}
	steps := []step{
		{"message_changes", deleteChanges, []any{t.Account, slices.AppendSeq([]string{}, maps.Keys(t.mids))}},
		{"messages", deleteMessages, []any{conversations}},
		{"events", deleteCustomerEvents, []any{t.Account, t.Customer}},
	}
	steps = append(append(steps, others(t.Account, t.Customer)...), step{"conversations", deleteConversations, []any{conversations}})
	return run(ctx, tx, steps, found.Counts)
}

func (t *target) eraseMessage(ctx context.Context, tx pgx.Tx, found *Result) (err error) {
	if found.Files, err = eraseMedia(ctx, tx, found.Counts, deleteMediaOfMessage, t.Account, t.MID); err != nil {
		return err
	}
	steps := []step{{"message_changes", deleteChanges, []any{t.Account, []string{t.MID}}}}
	var event, intent, customer string
	var conversation [16]byte
	err = tx.QueryRow(ctx, messageOf, t.Account, t.MID).Scan(&event, &intent, &conversation, &customer)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return run(ctx, tx, steps, found.Counts)
	case err != nil:
		return fmt.Errorf("find the message: %w", err)
	}
	if event != "" {
		if err := tx.QueryRow(ctx, unsentAnswers, conversation, event).Scan(&found.Unsent); err != nil {
			return fmt.Errorf("count what is not sent yet: %w", err)
		}
		steps = append(steps, step{"messages (their traces)", forgetWords, []any{conversation, event}})
	}
	steps = append(steps,
		step{"events", deleteMessageEvents, []any{t.Account, customer, t.MID}},
		step{"messages", deleteMessage, []any{t.Account, t.MID}})
	return run(ctx, tx, steps, found.Counts)
}

// midsOfCustomer finds changes that Meta told of without saying whose message it is.
const midsOfCustomer = `
SELECT m.mid FROM messages m JOIN conversations c ON c.id = m.conversation_id
WHERE c.page_id = $1 AND c.instagram_user_id = $2 AND m.mid IS NOT NULL`

// fromRows learns from the rows what goes with the customer's or the one message.
func (t *target) fromRows(ctx context.Context, pool *pgxpool.Pool) error {
	if t.Customer != "" {
		rows, err := pool.Query(ctx, midsOfCustomer, t.Account, t.Customer)
		if err != nil {
			return fmt.Errorf("find the customer's messages: %w", err)
		}
		mids, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return fmt.Errorf("find the customer's messages: %w", err)
		}
		for _, mid := range mids {
			t.mids[mid] = true
		}
		return nil
	}
	var event, intent, customer string
	var conversation [16]byte
	err := pool.QueryRow(ctx, messageOf, t.Account, t.MID).Scan(&event, &intent, &conversation, &customer)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("find the message: %w", err)
	}
	for _, id := range []string{event, intent} {
		if id != "" {
			t.ids[id] = true
		}
	}
	return nil
}

// step is one statement that erases rows of one table.
type step struct {
	table, sql string
	args       []any
}

func run(ctx context.Context, tx pgx.Tx, steps []step, counts Counts) error {
	for _, s := range steps {
		tag, err := tx.Exec(ctx, s.sql, s.args...)
		if err != nil {
			return fmt.Errorf("erase from %s: %w", s.table, err)
		}
		counts.add("table", s.table, tag.RowsAffected())
	}
	return nil
}
