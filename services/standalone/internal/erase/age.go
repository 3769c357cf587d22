package erase

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/pipeline/replay"
	"github.com/parley-dm/parley/pkg/topology"
)

// conversationPage is how many conversations are gone through in one transaction.
const conversationPage = 200

// oldConversations picks those that may have old messages, by the primary key, a page at a time.
const oldConversations = `
SELECT id FROM conversations WHERE ($1 = '' OR page_id = $1) AND created_at < $2 AND id > $3 ORDER BY id LIMIT $4 FOR UPDATE`

const deleteOldMessages = `DELETE FROM messages WHERE conversation_id = ANY ($1::uuid[]) AND timestamp < $2`

// emptyConversations are those of which nothing is left and nothing has been heard since.
const emptyConversations = `
SELECT c.id, c.channel, c.page_id, c.instagram_user_id FROM conversations c
WHERE c.id = ANY ($1::uuid[]) AND c.updated_at < $2 AND coalesce(c.last_message_at, c.updated_at) < $2
  AND NOT EXISTS (SELECT FROM messages m WHERE m.conversation_id = c.id)`

const deleteOldChanges = `DELETE FROM message_changes WHERE ($1 = '' OR account = $1) AND created_at < $2`

// deleteOldEvents is served by the index events_of_account for one account.
const deleteOldEvents = `DELETE FROM events WHERE ($1 = '' OR account = $1) AND time < $2`

// byAge erases what is older than the request says, in many transactions.
func (r *Request) byAge(ctx context.Context, pool *pgxpool.Pool, conn *bus.Conn, result *Result) error {
	if conn != nil {
		if err := r.oldOnBus(ctx, conn, result.Counts); err != nil {
			return err
		}
	}
	for last := ([16]byte{}); ; {
		next, gone, err := r.oldPage(ctx, pool, last, result)
		if err != nil {
			return err
		}
		if conn != nil && len(gone) > 0 {
			if err := r.eraseKeys(ctx, conn, gone, result.Counts); err != nil {
				return err
			}
		}
		if next == last {
			break
		}
		last = next
	}
	return r.inTx(ctx, pool, func(ctx context.Context, tx pgx.Tx) error {
		steps := []step{{"message_changes", deleteOldChanges, []any{r.Account, r.Before}}, {"events", deleteOldEvents, []any{r.Account, r.Before}}}
		if err := run(ctx, tx, steps, result.Counts); err != nil || len(result.Counts) == 0 {
			return err
		}
		return r.audit(ctx, tx, result.Counts)
	})
}

// oldPage goes through one page of conversations, and says which was the last and which are gone.
func (r *Request) oldPage(ctx context.Context, pool *pgxpool.Pool, after [16]byte, result *Result) (last [16]byte, gone []dm.Conversation, err error) {
	last = after
	err = r.inTx(ctx, pool, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, oldConversations, r.Account, r.Before, after, conversationPage)
		if err != nil {
			return fmt.Errorf("find old conversations: %w", err)
		}
		page, err := pgx.CollectRows(rows, pgx.RowTo[[16]byte])
		if err != nil {
			return fmt.Errorf("find old conversations: %w", err)
		}
		if len(page) == 0 {
			return nil
		}
		last = page[len(page)-1]
		files, err := eraseMedia(ctx, tx, result.Counts, deleteMediaOfConversations, page, r.Before)
		if err != nil {
			return err
		}
		result.Files += files
		if err := run(ctx, tx, []step{{"messages", deleteOldMessages, []any{page, r.Before}}}, result.Counts); err != nil {
			return err
		}
		var ids [][16]byte
		if ids, gone, err = emptied(ctx, tx, page, r); err != nil || len(ids) == 0 {
			return err
		}
		var steps []step
		for _, c := range gone {
			steps = append(steps, others(c.Account, c.Customer)...)
		}
		return run(ctx, tx, append(steps, step{"conversations", deleteConversations, []any{ids}}), result.Counts)
	})
	return last, gone, err
}

func emptied(ctx context.Context, tx pgx.Tx, page [][16]byte, r *Request) (ids [][16]byte, gone []dm.Conversation, err error) {
	rows, err := tx.Query(ctx, emptyConversations, page, r.Before)
	if err != nil {
		return nil, nil, fmt.Errorf("find empty conversations: %w", err)
	}
	type row struct {
		ID                         [16]byte
		Channel, Account, Customer string
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
	if err != nil {
		return nil, nil, fmt.Errorf("find empty conversations: %w", err)
	}
	for _, f := range found {
		ids, gone = append(ids, f.ID), append(gone, dm.Conversation{Channel: dm.Channel(f.Channel), Account: f.Account, Customer: f.Customer})
	}
	return ids, gone, nil
}

// oldOnBus removes old dead letters, and what the streams have that is older than the request says. What waits for a paused
// account is the sender's: it expires.
func (r *Request) oldOnBus(ctx context.Context, conn *bus.Conn, counts Counts) error {
	t := &target{Request: r}
	for _, s := range []topology.Stream{topology.Events, topology.Intents, topology.Deliveries, topology.Dead} {
		stream, err := conn.JetStream().Stream(ctx, s.Name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("open stream %s: %w", s.Name, err)
		}
		scan := replay.Scan{Stream: s.Name}
		if r.Account != "" {
			scan.Subjects = []string{subjectOf(s, r.Account)}
		}
		err = replay.Each(ctx, conn.JetStream(), scan, func(_ jetstream.Msg, meta *jetstream.MsgMetadata) (bool, error) {
			if !meta.Timestamp.Before(r.Before) {
				return false, nil
			}
			counts.add("stream", s.Name, 1)
			return true, t.remove(ctx, stream, meta.Sequence.Stream)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
