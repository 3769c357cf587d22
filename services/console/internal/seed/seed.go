// Package seed fills a database with made-up conversations: the same rows for the same options, as the archiver would have
// written them. It is for timing pages and for reading their plans, never for a database that somebody uses.
package seed

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/parley-dm/parley/pkg/config"
)

// The bounds of what may be asked for.
const (
	mostConversations = 10_000_000
	mostMessages      = 100_000_000
	mostAccounts      = 10_000
	writers           = 2
)

// Options says what to make.
type Options struct {
	Conversations, Messages, Accounts int
	Seed                              uint64
	// Until is the time of the newest message, Span how long before it the oldest may be.
	Until time.Time
	Span  time.Duration
	// Say tells how far it is.
	Say func(format string, args ...any)
}

// Validate reports every problem of the options.
func (o *Options) Validate() error {
	var errs []error
	bound := func(name string, got, least, most int) {
		if got < least || got > most {
			errs = append(errs, fmt.Errorf("%s: got %d, expected %d to %d", name, got, least, most))
		}
	}
	bound("conversations", o.Conversations, 1, mostConversations)
	bound("messages", o.Messages, o.Conversations, mostMessages)
	bound("accounts", o.Accounts, 1, min(mostAccounts, max(o.Conversations, 1)))
	if o.Span < time.Hour {
		errs = append(errs, fmt.Errorf("span: got %s, expected 1h or more", o.Span))
	}
	return errors.Join(errs...)
}

// Fill writes everything, in a database with the newest schema. Where messages are already it does nothing.
func Fill(ctx context.Context, db config.Database, o Options) error {
	config, err := pgx.ParseConfig(db.URL.Reveal())
	if err != nil {
		return fmt.Errorf("read the database's URL: %w", err)
	}
	// Triggers and foreign keys are checked row by row: what is made here keeps them by itself.
	config.RuntimeParams["session_replication_role"] = "replica"
	config.RuntimeParams["statement_timeout"] = "0"
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is pending on it
	var filled bool
	if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM messages)`).Scan(&filled); err != nil {
		return fmt.Errorf("look for messages: %w", err)
	}
	if filled {
		o.Say("there are messages already: nothing is added")
		return nil
	}
	began := time.Now()
	restore, err := dropIndexes(ctx, conn)
	if err != nil {
		return err
	}
	if err := people(ctx, conn, &o); err != nil {
		return err
	}
	if err := copyAll(ctx, config, &o); err != nil {
		return err
	}
	o.Say("%d conversations and %d messages are written after %s; indexes", o.Conversations, o.Messages, time.Since(began).Round(time.Second))
	for _, sql := range restore {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("make an index again: %w", err)
		}
	}
	if _, err := conn.Exec(ctx, `VACUUM ANALYZE`); err != nil {
		return fmt.Errorf("gather statistics: %w", err)
	}
	o.Say("done after %s", time.Since(began).Round(time.Second))
	return nil
}

// dropIndexes drops what is quicker to make at the end, and says how.
func dropIndexes(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	rows, err := conn.Query(ctx, `
		SELECT CASE WHEN k.oid IS NULL THEN 'DROP INDEX ' || c.relname
		            ELSE 'ALTER TABLE ' || k.conrelid::regclass || ' DROP CONSTRAINT ' || k.conname END,
		       CASE WHEN k.oid IS NULL THEN pg_get_indexdef(i.indexrelid)
		            ELSE 'ALTER TABLE ' || k.conrelid::regclass || ' ADD CONSTRAINT ' || k.conname || ' ' || pg_get_constraintdef(k.oid) END
		FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
		LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid
		WHERE i.indrelid IN ('messages'::regclass, 'conversations'::regclass, 'events'::regclass)
		  AND NOT EXISTS (SELECT FROM pg_constraint f WHERE f.contype = 'f' AND f.conindid = i.indexrelid)
		ORDER BY i.indexrelid`)
	if err != nil {
		return nil, fmt.Errorf("list the indexes: %w", err)
	}
	type index struct{ Drop, Make string }
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[index])
	if err != nil {
		return nil, fmt.Errorf("list the indexes: %w", err)
	}
	var restore []string
	for _, i := range found {
		if _, err := conn.Exec(ctx, i.Drop); err != nil {
			return nil, fmt.Errorf("drop an index: %w", err)
		}
		restore = append(restore, i.Make)
	}
	return restore, nil
}

// copyAll writes conversations with their messages, a share of them on each connection.
func copyAll(ctx context.Context, config *pgx.ConnConfig, o *Options) error {
	group, ctx := errgroup.WithContext(ctx)
	var written atomic.Int64
	for w := range writers {
		group.Go(func() error {
			return copyShare(ctx, config, o, w, &written)
		})
	}
	return group.Wait()
}

// chunk is how many conversations are made before they are written, so that memory stays bounded.
const chunk = 2000

func copyShare(ctx context.Context, config *pgx.ConnConfig, o *Options, share int, written *atomic.Int64) error {
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is pending on it
	plan := newPlan(o)
	for first := share * chunk; first < o.Conversations; first += writers * chunk {
		var b batch
		for i := first; i < min(first+chunk, o.Conversations); i++ {
			b.add(plan, i)
		}
		if err := b.copy(ctx, conn); err != nil {
			return err
		}
		before := written.Add(int64(len(b.messages))) - int64(len(b.messages))
		if step := int64(1_000_000); (before+int64(len(b.messages)))/step > before/step {
			o.Say("%d messages", before+int64(len(b.messages)))
		}
	}
	return nil
}
