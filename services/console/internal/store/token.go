package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// TokenPrefix begins every token of the API, so that scanners for secrets know one.
const TokenPrefix = "parley_"

// APIScope is one thing that a token may do.
type APIScope struct {
	Name, Help string
	Least      Role // who may have it
}

// Scopes are all that tokens may do.
var Scopes = []APIScope{
	{"conversations:read", "read conversations and messages", Viewer},
	{"messages:send", "send messages", Agent},
	{"conversations:write", "take over, hand back, label", Agent},
	{"rules:read", "read rules", Viewer},
	{"rules:write", "change rules", Agent},
	{"failures:read", "read what failed", Viewer},
	{"failures:write", "replay what failed", Agent},
	{"accounts:read", "see how accounts stand", Viewer},
	{"accounts:write", "resume accounts", Owner},
	{"stats:read", "read figures", Viewer},
	{"webhooks:write", "configure outgoing webhooks", Owner},
}

// ScopesFor are those that a role may give to a token.
func ScopesFor(r Role) []APIScope {
	return slices.DeleteFunc(slices.Clone(Scopes), func(s APIScope) bool { return !r.May(s.Least) })
}

// ParseScopes checks the names of scopes that a role may have.
func ParseScopes(names []string, r Role) ([]string, error) {
	if len(names) == 0 {
		return nil, errors.New("no scope was chosen")
	}
	var out []string
	for _, s := range ScopesFor(r) {
		if slices.Contains(names, s.Name) {
			out = append(out, s.Name)
		}
	}
	for _, n := range names {
		if !slices.Contains(out, n) {
			return nil, fmt.Errorf("there is no scope %q, or your role does not have it", n)
		}
	}
	return out, nil
}

// Token is a token of the JSON API, without its secret.
type Token struct {
	ID, UserID, Name, Hint string
	Scopes                 []string
	CreatedAt, ExpiresAt   time.Time
	LastUsedAt, RevokedAt  *time.Time
}

// May says whether the token has a scope, and its user still may.
func (t *Token) May(u *User, scope string) bool {
	at := slices.IndexFunc(Scopes, func(s APIScope) bool { return s.Name == scope })
	return at >= 0 && u.Role.May(Scopes[at].Least) && slices.Contains(t.Scopes, scope)
}

// AddToken keeps a token.
func (s *Store) AddToken(ctx context.Context, by Actor, hash []byte, t Token) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var id string
		err := tx.QueryRow(ctx, `INSERT INTO api_tokens (user_id, name, hint, token_hash, scopes, created_at, expires_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id`, t.UserID, t.Name, t.Hint, hash, t.Scopes, s.now(), t.ExpiresAt).Scan(&id)
		if err != nil {
			return err
		}
		return s.AuditTx(ctx, tx, by, Change{Action: "token.made", Target: "token:" + id, Detail: map[string]any{"name": t.Name, "scopes": strings.Join(t.Scopes, " ")}})
	})
	if err != nil {
		return fmt.Errorf("add token: %w", err)
	}
	return nil
}

// Tokens lists a user's tokens, the newest first, without those that are long over.
func (s *Store) Tokens(ctx context.Context, userID string) ([]Token, error) {
	rows, err := s.pool.Query(ctx, `SELECT id, user_id, name, hint, scopes, created_at, expires_at, last_used_at, revoked_at FROM api_tokens
		WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $2 ORDER BY created_at DESC LIMIT 100`, userID, s.now().Add(-30*24*time.Hour))
	if err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	tokens, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Token])
	if err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	return tokens, nil
}

// RevokeToken ends a token of a user.
func (s *Store) RevokeToken(ctx context.Context, by Actor, userID, id string) error {
	tag, err := s.pool.Exec(ctx, `UPDATE api_tokens SET revoked_at = $3 WHERE user_id = $1 AND id::text = $2 AND revoked_at IS NULL`, userID, id, s.now())
	if err != nil {
		return fmt.Errorf("revoke token: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return ErrNotFound
	}
	return s.Audit(ctx, by, Change{Action: "token.revoked", Target: "token:" + id})
}

// Authenticate finds the live token of a secret and its user, and notes its use now and then.
func (s *Store) Authenticate(ctx context.Context, hash []byte) (t Token, u User, err error) {
	now := s.now()
	err = s.pool.QueryRow(ctx, `SELECT t.id, t.user_id, t.name, t.hint, t.scopes, t.created_at, t.expires_at, t.last_used_at, t.revoked_at, `+userColumns+`
		FROM api_tokens t JOIN users u ON u.id = t.user_id
		WHERE t.token_hash = $1 AND t.revoked_at IS NULL AND t.expires_at > $2 AND u.disabled_at IS NULL`, hash, now).
		Scan(&t.ID, &t.UserID, &t.Name, &t.Hint, &t.Scopes, &t.CreatedAt, &t.ExpiresAt, &t.LastUsedAt, &t.RevokedAt,
			&u.ID, &u.Email, &u.Name, &u.Role, &u.Accounts, &u.PasswordHash, &u.OIDCSubject, &u.CreatedAt, &u.LastSignInAt, &u.DisabledAt)
	if err != nil {
		return t, u, fmt.Errorf("find token: %w", notFound(err))
	}
	if t.LastUsedAt == nil || now.Sub(*t.LastUsedAt) >= seenEvery {
		if _, err := s.pool.Exec(ctx, `UPDATE api_tokens SET last_used_at = $2 WHERE id = $1`, t.ID, now); err != nil {
			return t, u, fmt.Errorf("note a token's use: %w", err)
		}
	}
	return t, u, nil
}
