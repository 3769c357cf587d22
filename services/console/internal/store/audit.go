package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Actor is who makes a change, and from where.
type Actor struct {
	UserID     string // empty for the system and for commands
	Name       string // the e-mail address
	Via        string // console, api, command or system
	RemoteAddr string
}

// Change is what an audit entry says was done. Detail has facts such as a role or a count, never a message's text nor a
// secret.
type Change struct {
	Action string // a constant dotted name, such as rule.updated
	Target string // such as rule:ID
	Detail map[string]any
}

// execer is a pool or a transaction.
type execer interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// Audit adds to the audit log.
func (s *Store) Audit(ctx context.Context, by Actor, c Change) error {
	return audit(ctx, s.pool, by, c)
}

// AuditTx adds to the audit log in the transaction that makes the change.
func (s *Store) AuditTx(ctx context.Context, tx pgx.Tx, by Actor, c Change) error {
	return audit(ctx, tx, by, c)
}

// AuditOnce adds to the audit log unless it has the same action of the same target already: for what happens to a target once.
func (s *Store) AuditOnce(ctx context.Context, by Actor, c Change) error {
	var there bool
	err := s.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM audit_log WHERE target = $1 AND action = $2)`, c.Target, c.Action).Scan(&there)
	if err != nil {
		return fmt.Errorf("audit %s: %w", c.Action, err)
	}
	if there {
		return nil
	}
	return s.Audit(ctx, by, c)
}

func audit(ctx context.Context, db execer, by Actor, c Change) error {
	if c.Detail == nil {
		c.Detail = map[string]any{}
	}
	detail, err := json.Marshal(c.Detail)
	if err == nil {
		_, err = db.Exec(ctx, `INSERT INTO audit_log (user_id, actor, via, remote_addr, action, target, detail)
			VALUES (nullif($1, '')::uuid, $2, $3, $4, $5, $6, $7)`, by.UserID, by.Name, by.Via, by.RemoteAddr, c.Action, c.Target, detail)
	}
	if err != nil {
		return fmt.Errorf("audit %s: %w", c.Action, err)
	}
	return nil
}

// Entry is one line of the audit log.
type Entry struct {
	ID int64
	At time.Time
	Actor
	Action, Target string
	Detail         map[string]any
}

// AuditFilter says which entries are listed: those before an id (0: the newest), of one user, of one target.
type AuditFilter struct {
	Before         int64
	UserID, Target string
	Limit          int
}

// AuditLog lists entries, newest first.
func (s *Store) AuditLog(ctx context.Context, f AuditFilter) ([]Entry, error) {
	rows, err := s.pool.Query(ctx, `SELECT id, at, coalesce(user_id::text, ''), actor, via, remote_addr, action, target, detail
		FROM audit_log
		WHERE ($1 = 0 OR id < $1) AND ($2 = '' OR user_id::text = $2) AND ($3 = '' OR target = $3)
		ORDER BY id DESC LIMIT $4`, f.Before, f.UserID, f.Target, f.Limit)
	if err != nil {
		return nil, fmt.Errorf("list audit log: %w", err)
	}
	entries, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e Entry, err error) {
		err = row.Scan(&e.ID, &e.At, &e.UserID, &e.Name, &e.Via, &e.RemoteAddr, &e.Action, &e.Target, &e.Detail)
		return e, err
	})
	if err != nil {
		return nil, fmt.Errorf("list audit log: %w", err)
	}
	return entries, nil
}
