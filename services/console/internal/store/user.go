package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Role is what a user may do.
type Role string

// The roles, from the least.
const (
	Viewer Role = "viewer" // looks only
	Agent  Role = "agent"  // conversations and rules
	Owner  Role = "owner"  // everything
)

// Roles lists the roles from the least.
var Roles = []Role{Viewer, Agent, Owner}

// May says whether the role is at least another.
func (r Role) May(least Role) bool {
	mine := slices.Index(Roles, r)
	return mine >= 0 && mine >= slices.Index(Roles, least)
}

// User is somebody who may sign in.
type User struct {
	ID    string
	Email string
	Name  string
	Role  Role
	// Accounts are those that they see; none: all.
	Accounts     Scope
	PasswordHash string // empty for who signs in by other means
	OIDCSubject  string
	CreatedAt    time.Time
	LastSignInAt *time.Time
	DisabledAt   *time.Time
}

// Called is what the user is called on pages.
func (u User) Called() string {
	if u.Name != "" {
		return u.Name
	}
	return u.Email
}

// ErrEmailTaken is returned when a user of that address exists.
var ErrEmailTaken = errors.New("a user with this e-mail address exists")

const (
	userColumns     = `u.id, u.email, u.name, u.role, u.accounts, coalesce(u.password_hash, ''), coalesce(u.oidc_subject, ''), u.created_at, u.last_sign_in_at, u.disabled_at`
	uniqueViolation = "23505"
)

func scanUser(row pgx.Row) (u User, err error) {
	err = row.Scan(&u.ID, &u.Email, &u.Name, &u.Role, &u.Accounts, &u.PasswordHash, &u.OIDCSubject, &u.CreatedAt, &u.LastSignInAt, &u.DisabledAt)
	return u, notFound(err)
}

// AddUser adds a user and returns it with its id.
func (s *Store) AddUser(ctx context.Context, u User) (User, error) {
	if u.Accounts == nil {
		u.Accounts = All
	}
	added, err := scanUser(s.pool.QueryRow(ctx, `
		INSERT INTO users AS u (email, name, role, accounts, password_hash, oidc_subject, created_at)
		VALUES (lower($1), $2, $3, $4, nullif($5, ''), nullif($6, ''), $7)
		RETURNING `+userColumns, strings.TrimSpace(u.Email), u.Name, u.Role, u.Accounts, u.PasswordHash, u.OIDCSubject, s.now()))
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && pgErr.Code == uniqueViolation {
		return User{}, ErrEmailTaken
	}
	if err != nil {
		return User{}, fmt.Errorf("add user: %w", err)
	}
	return added, nil
}

// UserByEmail finds a user by their address, in any case.
func (s *Store) UserByEmail(ctx context.Context, email string) (User, error) {
	u, err := scanUser(s.pool.QueryRow(ctx, `SELECT `+userColumns+` FROM users u WHERE u.email = lower($1)`, strings.TrimSpace(email)))
	if err != nil {
		return User{}, fmt.Errorf("find user by address: %w", err)
	}
	return u, nil
}
