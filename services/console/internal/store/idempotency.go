package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"
)

// Answer is what was answered to a request of the API.
type Answer struct {
	Status      int
	ContentType string
	Body        []byte
}

// Why a request with a key is not answered anew.
var (
	ErrKeyReused = errors.New("the key was used for another request")
	ErrKeyBusy   = errors.New("the first request with the key is still being answered")
)

// keyStale is when a request that has not been answered is taken to have died with its process.
const keyStale = time.Minute

// ClaimKey claims an idempotency key. It returns the answer that was given before, or nil when the caller is to answer now.
func (s *Store) ClaimKey(ctx context.Context, userID, key string, request []byte) (*Answer, error) {
	now := s.now()
	tag, err := s.pool.Exec(ctx, `INSERT INTO idempotency_keys AS k (user_id, key, request_hash, created_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (user_id, key) DO UPDATE SET created_at = excluded.created_at
		WHERE k.status IS NULL AND k.created_at < $5 AND k.request_hash = excluded.request_hash`, userID, key, request, now, now.Add(-keyStale))
	if err != nil {
		return nil, fmt.Errorf("claim idempotency key: %w", err)
	}
	if tag.RowsAffected() == 1 {
		return nil, nil //nolint:nilnil // there is no answer yet
	}
	var before []byte
	var status *int
	var a Answer
	err = s.pool.QueryRow(ctx, `SELECT request_hash, status, coalesce(content_type, ''), body FROM idempotency_keys WHERE user_id = $1 AND key = $2`, userID, key).
		Scan(&before, &status, &a.ContentType, &a.Body)
	switch {
	case errors.Is(notFound(err), ErrNotFound):
		return nil, ErrKeyBusy // it was given up in between: the caller tries again
	case err != nil:
		return nil, fmt.Errorf("read idempotency key: %w", err)
	case !bytes.Equal(before, request):
		return nil, ErrKeyReused
	case status == nil:
		return nil, ErrKeyBusy
	}
	a.Status = *status
	return &a, nil
}

// KeepAnswer keeps the answer to the request with a key, or, for one that is to be tried again, forgets the key.
func (s *Store) KeepAnswer(ctx context.Context, userID, key string, a Answer) error {
	var err error
	if a.Status >= 500 || a.Status == 429 {
		_, err = s.pool.Exec(ctx, `DELETE FROM idempotency_keys WHERE user_id = $1 AND key = $2 AND status IS NULL`, userID, key)
	} else {
		_, err = s.pool.Exec(ctx, `UPDATE idempotency_keys SET status = $3, content_type = $4, body = $5 WHERE user_id = $1 AND key = $2`,
			userID, key, a.Status, a.ContentType, a.Body)
	}
	if err != nil {
		return fmt.Errorf("keep the answer of an idempotency key: %w", err)
	}
	return nil
}
