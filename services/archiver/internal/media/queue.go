package media

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-dm/parley/pkg/mediastore"
)

// claimNext is served by the index media_due. The claim is the new number of attempts, and lasts until due. A file that another
// store may have is left there to be removed, by a trigger.
const claimNext = `
WITH next AS (
    SELECT account, mid, position FROM media WHERE status = 'pending' AND due <= now() ORDER BY due LIMIT 1 FOR UPDATE SKIP LOCKED)
UPDATE media d SET attempts = d.attempts + 1, due = now() + $2::interval, store = $1, updated_at = now()
FROM next WHERE d.account = next.account AND d.mid = next.mid AND d.position = next.position
RETURNING d.account, d.mid, d.position, d.key, d.attempts, d.created_at,
    coalesce((SELECT m.metadata->'attachments'->d.position->>'url' FROM messages m WHERE m.account = d.account AND m.mid = d.mid), '')`

// mine says whose an attempt is: a row that was erased, or that somebody else has claimed since, is left alone.
const mine = ` WHERE account = $1 AND mid = $2 AND position = $3 AND attempts = $4 AND status = 'pending'`

const (
	noteStored = `UPDATE media SET status = 'stored', content_type = $5, bytes = $6, sha256 = $7, reason = NULL, updated_at = now()` + mine
	noteFailed = `UPDATE media SET status = 'failed', reason = $5, updated_at = now()` + mine
	noteLater  = `UPDATE media SET due = now() + $6::interval, reason = $5, updated_at = now()` + mine
	// A released claim was no attempt: the one that comes has its number.
	noteReleased = `UPDATE media SET attempts = attempts - 1, due = now(), updated_at = now()` + mine
)

const claimNextRemoval = `
WITH next AS (
    SELECT store, key FROM media_removals WHERE store = $1 AND due <= now() ORDER BY due LIMIT 1 FOR UPDATE SKIP LOCKED)
UPDATE media_removals r SET attempts = r.attempts + 1, due = now() + $2::interval
FROM next WHERE r.store = next.store AND r.key = next.key RETURNING r.key, r.attempts`

const endRemoval = `DELETE FROM media_removals WHERE store = $1 AND key = $2 AND attempts = $3`

const countPending = `SELECT count(*), coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 FROM media WHERE status = 'pending'`

// job is a medium that is claimed.
type job struct {
	Account, MID string
	Position     int
	Key          string
	Attempts     int
	Created      time.Time
	URL          string
}

// claim takes what is due next; false where nothing is.
func (k *Keeper) claim(ctx context.Context) (j job, ok bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, databaseTime)
	defer cancel()
	err = k.d.Pool.QueryRow(ctx, claimNext, k.store.Name(), claimTime).Scan(&j.Account, &j.MID, &j.Position, &j.Key, &j.Attempts, &j.Created, &j.URL)
	if errors.Is(err, pgx.ErrNoRows) {
		return j, false, nil
	}
	if err != nil {
		return j, false, fmt.Errorf("look for media to fetch: %w", err)
	}
	return j, true, nil
}

func (k *Keeper) stored(ctx context.Context, j *job, info mediastore.Info) (bool, error) {
	return k.note(ctx, noteStored, j, info.ContentType, info.Bytes, info.SHA256)
}

func (k *Keeper) failed(ctx context.Context, j *job, reason string) (bool, error) {
	return k.note(ctx, noteFailed, j, reason)
}

func (k *Keeper) later(ctx context.Context, j *job, reason string, wait time.Duration) (bool, error) {
	return k.note(ctx, noteLater, j, reason, wait+rand.N(wait/4+1)) //nolint:gosec // jitter
}

func (k *Keeper) release(ctx context.Context, j *job) (bool, error) {
	return k.note(ctx, noteReleased, j)
}

// note changes the row if the claim still holds, and says whether it does.
func (k *Keeper) note(ctx context.Context, sql string, j *job, more ...any) (bool, error) {
	tag, err := k.d.Pool.Exec(ctx, sql, append([]any{j.Account, j.MID, j.Position, j.Attempts}, more...)...)
	if err != nil {
		return false, fmt.Errorf("note what came of a medium: %w", err)
	}
	return tag.RowsAffected() > 0, nil
}

// removal is a file that is to be removed.
type removal struct {
	Key      string
	Attempts int
}

func (k *Keeper) claimRemoval(ctx context.Context) (r removal, ok bool, err error) {
	err = k.d.Pool.QueryRow(ctx, claimNextRemoval, k.store.Name(), claimTime).Scan(&r.Key, &r.Attempts)
	if errors.Is(err, pgx.ErrNoRows) {
		return r, false, nil
	}
	if err != nil {
		return r, false, fmt.Errorf("look for media to remove: %w", err)
	}
	return r, true, nil
}

func (k *Keeper) removed(ctx context.Context, r removal) error {
	_, err := k.d.Pool.Exec(ctx, endRemoval, k.store.Name(), r.Key, r.Attempts)
	return err
}

// count shows now and then how much waits.
func (k *Keeper) count(ctx context.Context) error {
	if time.Since(k.counted) < recount {
		return nil
	}
	k.counted = time.Now()
	var n, oldest float64
	if err := k.d.Pool.QueryRow(ctx, countPending).Scan(&n, &oldest); err != nil {
		return fmt.Errorf("count media to fetch: %w", err)
	}
	k.metrics.pending.Set(n)
	k.metrics.oldest.Set(oldest)
	return nil
}
