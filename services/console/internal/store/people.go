package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrLastOwner is returned when a change would leave nobody who may do everything.
var ErrLastOwner = errors.New("there would be no owner left")

// maxUsers bounds the list of users.
const maxUsers = 1000

// Users lists users, by address.
func (s *Store) Users(ctx context.Context) ([]User, error) {
	rows, err := s.pool.Query(ctx, `SELECT `+userColumns+` FROM users u ORDER BY u.disabled_at IS NOT NULL, u.email LIMIT $1`, maxUsers)
	if err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}
	users, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (User, error) { return scanUser(row) })
	if err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}
	return users, nil
}

// User finds a user by id.
func (s *Store) User(ctx context.Context, id string) (User, error) {
	u, err := scanUser(s.pool.QueryRow(ctx, `SELECT `+userColumns+` FROM users u WHERE u.id::text = $1`, id))
	if err != nil {
		return User{}, fmt.Errorf("find user: %w", err)
	}
	return u, nil
}

// UserByOIDC finds a user by issuer and subject.
func (s *Store) UserByOIDC(ctx context.Context, subject string) (User, error) {
	u, err := scanUser(s.pool.QueryRow(ctx, `SELECT `+userColumns+` FROM users u WHERE u.oidc_subject = $1`, subject))
	if err != nil {
		return User{}, fmt.Errorf("find user by identity: %w", err)
	}
	return u, nil
}

// SetOIDC binds a user to an identity. It fails with ErrNotFound when the user has another one already.
func (s *Store) SetOIDC(ctx context.Context, id, subject string) error {
	tag, err := s.pool.Exec(ctx, `UPDATE users SET oidc_subject = $2 WHERE id = $1 AND oidc_subject IS NULL`, id, subject)
	if err != nil {
		return fmt.Errorf("bind user to identity: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return ErrNotFound
	}
	return nil
}

// UserChange is what an owner sets of a user.
type UserChange struct {
	Name     string
	Role     Role
	Accounts Scope
	Disabled bool
}

// ChangeUser changes a user. Whoever is disabled is signed out everywhere; a role is read with each request, so that a
// lesser one holds at once. The last owner stays one.
func (s *Store) ChangeUser(ctx context.Context, by Actor, id string, c UserChange) error {
	if c.Accounts == nil {
		c.Accounts = All
	}
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		// All owners, so that two who take the right from each other at once do not both succeed.
		if _, err := tx.Exec(ctx, `SELECT FROM users WHERE role = 'owner' ORDER BY id FOR UPDATE`); err != nil {
			return err
		}
		before, err := scanUser(tx.QueryRow(ctx, `SELECT `+userColumns+` FROM users u WHERE u.id::text = $1 FOR UPDATE`, id))
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE users SET name = $2, role = $3, accounts = $4,
			disabled_at = CASE WHEN $5 THEN coalesce(disabled_at, $6) END WHERE id = $1`, before.ID, c.Name, c.Role, c.Accounts, c.Disabled, s.now())
		if err != nil {
			return err
		}
		var owners int
		err = tx.QueryRow(ctx, `SELECT count(*) FROM users WHERE role = 'owner' AND disabled_at IS NULL AND cardinality(accounts) = 0`).Scan(&owners)
		if err != nil {
			return err
		}
		if owners == 0 {
			return ErrLastOwner
		}
		if c.Disabled {
			if _, err := tx.Exec(ctx, `DELETE FROM sessions WHERE user_id = $1`, before.ID); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, `DELETE FROM sign_in_links WHERE user_id = $1`, before.ID); err != nil {
				return err
			}
		}
		return s.AuditTx(ctx, tx, by, Change{Action: "user.changed", Target: "user:" + before.ID, Detail: map[string]any{
			"email": before.Email, "role": c.Role, "role_before": before.Role, "accounts": c.Accounts, "disabled": c.Disabled,
		}})
	})
	if err != nil {
		return fmt.Errorf("change user: %w", notFound(err))
	}
	return nil
}

// SetPassword sets a password's hash and signs the user out everywhere but in one session.
func (s *Store) SetPassword(ctx context.Context, by Actor, userID, hash, exceptSession string) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `UPDATE users SET password_hash = $2 WHERE id = $1`, userID, hash); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM sessions WHERE user_id = $1 AND id::text <> $2`, userID, exceptSession); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM sign_in_links WHERE user_id = $1`, userID); err != nil {
			return err
		}
		return s.AuditTx(ctx, tx, by, Change{Action: "user.password_set", Target: "user:" + userID})
	})
	if err != nil {
		return fmt.Errorf("set password: %w", err)
	}
	return nil
}

// AddLink keeps a one-time link for a user, in place of those before.
func (s *Store) AddLink(ctx context.Context, by Actor, userID string, hash []byte, expires time.Time) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM sign_in_links WHERE user_id = $1 OR expires_at < $2`, userID, s.now()); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO sign_in_links (token_hash, user_id, created_at, expires_at) VALUES ($1, $2, $3, $4)`,
			hash, userID, s.now(), expires); err != nil {
			return err
		}
		return s.AuditTx(ctx, tx, by, Change{Action: "user.link_made", Target: "user:" + userID})
	})
	if err != nil {
		return fmt.Errorf("keep sign-in link: %w", err)
	}
	return nil
}

// UseLink takes a link back and says whose it was. Of two who use it at once, one gets ErrNotFound.
func (s *Store) UseLink(ctx context.Context, hash []byte) (User, error) {
	u, err := scanUser(s.pool.QueryRow(ctx, `WITH used AS (DELETE FROM sign_in_links WHERE token_hash = $1 RETURNING user_id, expires_at)
		SELECT `+userColumns+` FROM used JOIN users u ON u.id = used.user_id WHERE used.expires_at > $2 AND u.disabled_at IS NULL`, hash, s.now()))
	if err != nil {
		return User{}, fmt.Errorf("use sign-in link: %w", err)
	}
	return u, nil
}

// LinkUser says whose a link is, without using it.
func (s *Store) LinkUser(ctx context.Context, hash []byte) (User, error) {
	u, err := scanUser(s.pool.QueryRow(ctx, `SELECT `+userColumns+` FROM sign_in_links l JOIN users u ON u.id = l.user_id
		WHERE l.token_hash = $1 AND l.expires_at > $2 AND u.disabled_at IS NULL`, hash, s.now()))
	if err != nil {
		return User{}, fmt.Errorf("find sign-in link: %w", err)
	}
	return u, nil
}
