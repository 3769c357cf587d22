package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/postgres"
	"github.com/parley-dm/parley/pkg/postgres/pglocal"
)

// startDatabase starts PostgreSQL with its own defaults, which keep what is committed, and makes the schema and the rules.
func (w *world) startDatabase(ctx context.Context) (err error) {
	w.postgres, err = pglocal.Start(ctx, pglocal.Options{Dir: filepath.Join(w.dir, "data", "postgres")})
	if err != nil {
		return err
	}
	w.closers = append(w.closers, func() { _ = w.postgres.Stop() })
	if _, _, err := postgres.Migrate(ctx, config.Database{URL: config.Secret(w.postgres.URL())}); err != nil {
		return err
	}
	return w.withDatabase(ctx, func(conn *pgx.Conn) error {
		for n := range w.o.messages {
			const insert = `INSERT INTO response_rules (name, keywords, match_type, response_text) VALUES ($1, ARRAY[$2], 'exact', $3)`
			if _, err := conn.Exec(ctx, insert, fmt.Sprintf("chaos %d", n), say(n), answer(n)); err != nil {
				return fmt.Errorf("make the rules: %w", err)
			}
		}
		return nil
	})
}

func (w *world) withDatabase(ctx context.Context, f func(*pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, w.postgres.URL())
	if err != nil {
		return fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	return f(conn)
}

// row is what the archive has of one message.
type row struct {
	Account, Customer, MID, Direction, Status, Text string
	IntentID, Reason                                string
}

func (w *world) rows(ctx context.Context) (out []row, err error) {
	err = w.withDatabase(ctx, func(conn *pgx.Conn) error {
		found, err := conn.Query(ctx, `SELECT m.account, c.instagram_user_id, coalesce(m.mid, ''), m.direction, m.status, coalesce(m.message_text, ''),
			coalesce(m.metadata->'intent'->>'id', ''), coalesce(m.metadata->'delivery'->>'reason', '')
			FROM messages m JOIN conversations c ON c.id = m.conversation_id`)
		if err != nil {
			return err
		}
		out, err = pgx.CollectRows(found, pgx.RowToStructByPos[row])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the rows: %w", err)
	}
	return out, nil
}

// settled counts the replies that have an outcome, whichever.
func (w *world) settled(ctx context.Context) (n int, err error) {
	err = w.withDatabase(ctx, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `SELECT count(*) FROM messages WHERE direction = 'outbound' AND metadata ? 'delivery' AND status <> 'queued'`).Scan(&n)
	})
	if err != nil {
		return 0, fmt.Errorf("count what is settled: %w", err)
	}
	return n, nil
}
