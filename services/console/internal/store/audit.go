package store

import (
	"context"
	"encoding/json"
	"fmt"

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
