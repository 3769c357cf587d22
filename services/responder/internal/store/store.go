// Package store is the business's rules in PostgreSQL, with an ear for changes: by whatever means somebody makes one, the
// table's trigger notifies, so that a row written with psql counts as much as one saved by a program. Reading them is
// package repository's.
package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-dm/parley/pkg/repository"
)

const (
	// A listening connection says nothing for hours, and one whose peer is gone says nothing either: it is asked.
	pingEvery, pingTimeout = 10 * time.Second, 5 * time.Second
)

// listen subscribes to what the trigger on response_rules notifies.
const listen = `LISTEN parley_rules`

// Rules are the rules in the table response_rules.
type Rules struct {
	*repository.Rules
	pool *pgxpool.Pool
}

// New reads through pool, which the caller closes.
func New(pool *pgxpool.Pool) *Rules { return &Rules{Rules: repository.NewRules(pool), pool: pool} }

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
