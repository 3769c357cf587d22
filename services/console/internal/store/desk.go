package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/parley-dm/parley/pkg/postgres"
)

// MaxNote bounds the note of a conversation, in bytes.
const MaxNote = 4000

// desk changes a conversation's row of conversation_desk. columns and values are constants of this file; $3 on are args.
func (s *Store) desk(ctx context.Context, db execer, scope Scope, id, columns, values, set string, args ...any) error {
	if !isUUID(id) {
		return ErrNotFound
	}
	tag, err := db.Exec(ctx, `INSERT INTO conversation_desk AS d (conversation_id, updated_at, `+columns+`)
		SELECT c.id, now(), `+values+` FROM conversations c WHERE c.id = $2 AND (cardinality($1::text[]) = 0 OR c.page_id = ANY ($1))
		ON CONFLICT (conversation_id) DO UPDATE SET updated_at = now(), `+set, append([]any{scope, id}, args...)...)
	if err != nil {
		return fmt.Errorf("change a conversation's desk: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return ErrNotFound
	}
	return nil
}

// told is desk with an entry in the audit log, in one transaction.
func (s *Store) told(ctx context.Context, by Actor, c Change, f func(tx pgx.Tx) error) error {
	return postgres.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		if err := f(tx); err != nil {
			return err
		}
		return s.AuditTx(ctx, tx, by, c)
	})
}

// Assign gives a conversation to a user, or to nobody. It is no change of who answers.
func (s *Store) Assign(ctx context.Context, scope Scope, by Actor, id, userID string) error {
	if userID != "" && !isUUID(userID) {
		return ErrNotFound
	}
	return s.told(ctx, by, Change{Action: "conversation.assigned", Target: "conversation:" + id, Detail: map[string]any{"to": userID}}, func(tx pgx.Tx) error {
		if userID != "" {
			var there bool
			if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM users WHERE id = $1 AND disabled_at IS NULL AND role <> 'viewer')`, userID).Scan(&there); err != nil {
				return fmt.Errorf("find who it is assigned to: %w", err)
			}
			if !there {
				return ErrNotFound
			}
		}
		return s.desk(ctx, tx, scope, id, `assignee`, `nullif($3, '')::uuid`, `assignee = excluded.assignee`, userID)
	})
}

// CloseTalk closes a conversation until its customer writes again; it is read then. Its time is the database's, not earlier than the
// newest message: Meta's clock may be ahead of ours.
func (s *Store) CloseTalk(ctx context.Context, scope Scope, by Actor, id string) error {
	return s.told(ctx, by, Change{Action: "conversation.closed", Target: "conversation:" + id}, func(tx pgx.Tx) error {
		return s.desk(ctx, tx, scope, id, `closed_at, closed_by, read_at, read_by`,
			`greatest(now(), c.last_inbound_at), $3::uuid, greatest(now(), c.last_inbound_at), $3::uuid`,
			`closed_at = excluded.closed_at, closed_by = excluded.closed_by, read_at = excluded.read_at, read_by = excluded.read_by`, by.UserID)
	})
}

// ReopenTalk opens it again.
func (s *Store) ReopenTalk(ctx context.Context, scope Scope, by Actor, id string) error {
	return s.told(ctx, by, Change{Action: "conversation.reopened", Target: "conversation:" + id}, func(tx pgx.Tx) error {
		return s.desk(ctx, tx, scope, id, `closed_at`, `NULL::timestamptz`, `closed_at = NULL, closed_by = NULL`)
	})
}

// MarkRead notes that a user has read all that there is.
func (s *Store) MarkRead(ctx context.Context, scope Scope, id, userID string) error {
	return s.desk(ctx, s.pool, scope, id, `read_at, read_by`, `greatest(now(), c.last_inbound_at), $3::uuid`,
		`read_at = greatest(d.read_at, excluded.read_at), read_by = excluded.read_by`, userID)
}

// MarkUnread takes that back, for whoever looks next.
func (s *Store) MarkUnread(ctx context.Context, scope Scope, id string) error {
	return s.desk(ctx, s.pool, scope, id, `read_at`, `NULL::timestamptz`, `read_at = NULL, read_by = NULL`)
}

// SetNote writes what people of the business note of a conversation.
func (s *Store) SetNote(ctx context.Context, scope Scope, by Actor, id, note string) error {
	return s.told(ctx, by, Change{Action: "conversation.noted", Target: "conversation:" + id, Detail: map[string]any{"bytes": len(note)}}, func(tx pgx.Tx) error {
		return s.desk(ctx, tx, scope, id, `note`, `$3`, `note = excluded.note`, note)
	})
}

// Note reads it.
func (s *Store) Note(ctx context.Context, id string) (note string, err error) {
	err = s.pool.QueryRow(ctx, `SELECT coalesce((SELECT note FROM conversation_desk WHERE conversation_id = $1), '')`, id).Scan(&note)
	if err != nil {
		return "", fmt.Errorf("read a note: %w", err)
	}
	return note, nil
}

// Colleague is a user to whom a conversation may be assigned.
type Colleague struct{ ID, Name string }

// Colleagues lists who answers customers.
func (s *Store) Colleagues(ctx context.Context) ([]Colleague, error) {
	rows, err := s.pool.Query(ctx, `SELECT id, coalesce(nullif(name, ''), email) FROM users WHERE disabled_at IS NULL AND role <> 'viewer' ORDER BY 2 LIMIT 500`)
	if err != nil {
		return nil, fmt.Errorf("list colleagues: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Colleague])
	if err != nil {
		return nil, fmt.Errorf("list colleagues: %w", err)
	}
	return found, nil
}

// SavedReply is a text that people send often.
type SavedReply struct{ ID, Shortcut, Body, Account string }

// ErrShortcutTaken is returned when a reply of that shortcut exists.
var ErrShortcutTaken = errors.New("a saved reply with this shortcut exists")

// SavedReplies are those that a scope sees; of one account, where it is given, and those for all.
func (s *Store) SavedReplies(ctx context.Context, scope Scope, account string) ([]SavedReply, error) {
	rows, err := s.pool.Query(ctx, `SELECT id, shortcut, body, coalesce(account, '') FROM saved_replies
		WHERE (account IS NULL OR cardinality($1::text[]) = 0 OR account = ANY ($1)) AND ($2 = '' OR account IS NULL OR account = $2)
		ORDER BY lower(shortcut), account LIMIT 500`, scope, account)
	if err != nil {
		return nil, fmt.Errorf("list saved replies: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[SavedReply])
	if err != nil {
		return nil, fmt.Errorf("list saved replies: %w", err)
	}
	return found, nil
}

// AddSavedReply adds one. An account that the scope does not see is not found; for all accounts may write only who sees all.
func (s *Store) AddSavedReply(ctx context.Context, scope Scope, by Actor, r SavedReply) error {
	if len(scope) > 0 && !scope.sees(r.Account) {
		return ErrNotFound
	}
	err := s.told(ctx, by, Change{Action: "saved_reply.added", Target: "saved_reply:" + strings.ToLower(r.Shortcut)}, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO saved_replies (shortcut, body, account, updated_by) VALUES ($1, $2, nullif($3, ''), $4)`, r.Shortcut, r.Body, r.Account, by.UserID)
		return err
	})
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && pgErr.Code == uniqueViolation {
		return ErrShortcutTaken
	}
	if err != nil {
		return fmt.Errorf("add a saved reply: %w", err)
	}
	return nil
}

// DeleteSavedReply deletes one.
func (s *Store) DeleteSavedReply(ctx context.Context, scope Scope, by Actor, id string) error {
	return s.told(ctx, by, Change{Action: "saved_reply.deleted", Target: "saved_reply:" + id}, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `DELETE FROM saved_replies WHERE id::text = $2 AND (cardinality($1::text[]) = 0 OR account = ANY ($1))`, scope, id)
		if err != nil {
			return fmt.Errorf("delete a saved reply: %w", err)
		}
		if tag.RowsAffected() == 0 {
			return ErrNotFound
		}
		return nil
	})
}

// sees says whether an account is in the scope.
func (s Scope) sees(account string) bool {
	for _, a := range s {
		if a == account {
			return true
		}
	}
	return len(s) == 0
}
