// Package store reads the business's rules from PostgreSQL and hears when somebody changes them, by whatever means: the
// table's trigger notifies, so that a row written with psql counts as much as one saved by a program.
package store

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-dm/parley/pkg/postgres"
	"github.com/parley-dm/parley/pkg/rules"
)

const (
	// loadTimeout bounds one reading of the rules. Ten thousand take a few dozen milliseconds.
	loadTimeout = 10 * time.Second
	// A listening connection says nothing for hours, and one whose peer is gone says nothing either: it is asked.
	pingEvery, pingTimeout = 10 * time.Second, 5 * time.Second
)

// activeRules reads what may be answered. A keywords array may hold nulls and more than one dimension, and created_at may
// be infinite: one odd row must not keep the others from being read.
const activeRules = `
SELECT id::text, name, ARRAY(SELECT k FROM unnest(keywords) AS k WHERE k IS NOT NULL), match_type, response_text, priority,
       least(greatest(created_at, timestamptz '0001-01-01 00:00Z'), timestamptz '9999-12-31 00:00Z')
FROM response_rules
WHERE is_active
ORDER BY priority DESC, created_at, id`

// listen subscribes to what the trigger on response_rules notifies.
const listen = `LISTEN parley_rules`

// Rules reads the table response_rules.
type Rules struct {
	pool *pgxpool.Pool
	// current: the schema was found to be new enough. Migrations only add, so asking once is enough.
	current atomic.Bool
}

// New reads through pool, which the caller closes.
func New(pool *pgxpool.Pool) *Rules { return &Rules{pool: pool} }

// ActiveRules reads the rules that may be used, in the order in which they are asked.
func (r *Rules) ActiveRules(ctx context.Context) ([]rules.Rule, error) {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	if !r.current.Load() {
		if err := postgres.CheckSchema(ctx, r.pool); err != nil {
			return nil, err
		}
		r.current.Store(true)
	}
	rows, err := r.pool.Query(ctx, activeRules)
	if err != nil {
		return nil, fmt.Errorf("read the active rules: %w", err)
	}
	all, err := pgx.CollectRows(rows, scanRule)
	if err != nil {
		return nil, fmt.Errorf("read the active rules: %w", err)
	}
	return all, nil
}

func scanRule(row pgx.CollectableRow) (rules.Rule, error) {
	var r rules.Rule
	err := row.Scan(&r.ID, &r.Name, &r.Keywords, &r.MatchType, &r.Response, &r.Priority, &r.CreatedAt)
	return r, err
}

// Listen opens a connection of its own and calls changed once it listens, because what changed before was not heard, and
// then after each change. It blocks until the connection fails or the context ends.
func (r *Rules) Listen(ctx context.Context, changed func()) error {
	conn, err := pgx.ConnectConfig(ctx, r.pool.Config().ConnConfig)
	if err != nil {
		return fmt.Errorf("connect to listen for changed rules: %w", err)
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(closing) // the server notices by itself where this fails
	}()
	if _, err := conn.Exec(ctx, listen); err != nil {
		return fmt.Errorf("listen for changed rules: %w", err)
	}
	changed()
	for {
		heard, err := wait(ctx, conn)
		switch {
		case err != nil:
			return fmt.Errorf("wait for changed rules: %w", err)
		case heard:
			changed()
		}
	}
}

// wait returns true on a notification, false when the connection was silent for a while but answers.
func wait(ctx context.Context, conn *pgx.Conn) (bool, error) {
	waiting, cancel := context.WithTimeout(ctx, pingEvery)
	defer cancel()
	_, err := conn.WaitForNotification(waiting)
	if err == nil {
		return true, nil
	}
	if ctx.Err() != nil || !errors.Is(waiting.Err(), context.DeadlineExceeded) || conn.IsClosed() {
		return false, err
	}
	pinging, cancelPing := context.WithTimeout(ctx, pingTimeout)
	defer cancelPing()
	return false, conn.Ping(pinging)
}
