package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Session is one place where a user is signed in.
type Session struct {
	ID         string
	User       User
	Method     string // password, link or oidc
	CreatedAt  time.Time
	LastSeenAt time.Time
	ExpiresAt  time.Time
	RemoteAddr string
	UserAgent  string
}

// seenEvery is how often a session's last use is written: not at each request.
const seenEvery = time.Minute

const sessionColumns = `s.id, s.method, s.created_at, s.last_seen_at, s.expires_at, s.remote_addr, s.user_agent, ` + userColumns

// AddSession signs a user in; hash is of the token that the browser gets.
func (s *Store) AddSession(ctx context.Context, hash []byte, sess Session) error {
	_, err := s.pool.Exec(ctx, `
		WITH seen AS (UPDATE users SET last_sign_in_at = $4 WHERE id = $2)
		INSERT INTO sessions (token_hash, user_id, method, created_at, last_seen_at, expires_at, remote_addr, user_agent)
		VALUES ($1, $2, $3, $4, $4, $5, $6, left($7, 300))`,
		hash, sess.User.ID, sess.Method, s.now(), sess.ExpiresAt, sess.RemoteAddr, sess.UserAgent)
	if err != nil {
		return fmt.Errorf("add session: %w", err)
	}
	return nil
}

// Session finds the live session of a token, used within idle, of a user who is not disabled, and notes its use.
func (s *Store) Session(ctx context.Context, hash []byte, idle time.Duration) (Session, error) {
	var sess Session
	u := &sess.User
	now := s.now()
	err := s.pool.QueryRow(ctx, `SELECT `+sessionColumns+`
		FROM sessions s JOIN users u ON u.id = s.user_id
		WHERE s.token_hash = $1 AND s.expires_at > $2 AND s.last_seen_at > $3 AND u.disabled_at IS NULL`, hash, now, now.Add(-idle)).
		Scan(&sess.ID, &sess.Method, &sess.CreatedAt, &sess.LastSeenAt, &sess.ExpiresAt, &sess.RemoteAddr, &sess.UserAgent,
			&u.ID, &u.Email, &u.Name, &u.Role, &u.Accounts, &u.PasswordHash, &u.OIDCSubject, &u.CreatedAt, &u.LastSignInAt, &u.DisabledAt)
	if err != nil {
		return Session{}, fmt.Errorf("find session: %w", notFound(err))
	}
	if now.Sub(sess.LastSeenAt) >= seenEvery {
		if _, err := s.pool.Exec(ctx, `UPDATE sessions SET last_seen_at = $2 WHERE id = $1`, sess.ID, now); err != nil {
			return Session{}, fmt.Errorf("note a session's use: %w", err)
		}
	}
	return sess, nil
}

// EndSession ends one session of a user.
func (s *Store) EndSession(ctx context.Context, userID, id string) error {
	tag, err := s.pool.Exec(ctx, `DELETE FROM sessions WHERE user_id = $1 AND id::text = $2`, userID, id)
	if err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return ErrNotFound
	}
	return nil
}

// SessionAlive says whether a session is still there.
func (s *Store) SessionAlive(ctx context.Context, id string) (alive bool, err error) {
	err = s.pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM sessions s JOIN users u ON u.id = s.user_id
		WHERE s.id = $1 AND s.expires_at > $2 AND u.disabled_at IS NULL)`, id, s.now()).Scan(&alive)
	if err != nil {
		return false, fmt.Errorf("look for session: %w", err)
	}
	return alive, nil
}

// Sessions lists a user's live sessions, the latest used first.
func (s *Store) Sessions(ctx context.Context, userID string) ([]Session, error) {
	rows, err := s.pool.Query(ctx, `SELECT id, method, created_at, last_seen_at, expires_at, remote_addr, user_agent
		FROM sessions WHERE user_id = $1 AND expires_at > $2 ORDER BY last_seen_at DESC LIMIT 100`, userID, s.now())
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	sessions, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (sess Session, err error) {
		err = row.Scan(&sess.ID, &sess.Method, &sess.CreatedAt, &sess.LastSeenAt, &sess.ExpiresAt, &sess.RemoteAddr, &sess.UserAgent)
		return sess, err
	})
	if err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	return sessions, nil
}

// EndSessions ends all sessions of a user but one, and says how many.
func (s *Store) EndSessions(ctx context.Context, userID, except string) (int64, error) {
	tag, err := s.pool.Exec(ctx, `DELETE FROM sessions WHERE user_id::text = $1 AND id::text <> $2`, userID, except)
	if err != nil {
		return 0, fmt.Errorf("end sessions: %w", err)
	}
	return tag.RowsAffected(), nil
}
