// Package store writes facts into PostgreSQL, many in one transaction.
//
// Each transaction locks the conversations that it touches, reads the messages that exist already, merges in memory and
// writes the outcome. The lock on the conversation's row is what makes this safe beside other writers, in this process
// and in others: whatever is about a message belongs to its conversation. Only changes of a message that is not there may
// belong to another, or to none, and are written while no other writer is at work.
package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-dm/parley/services/archiver/internal/record"
)

const (
	// writeTimeout bounds one transaction.
	writeTimeout = 30 * time.Second
	// Another writer that is in the way is gone in milliseconds; after so many tries the bus tries longer.
	conflictTries = 6
	conflictDelay = 5 * time.Millisecond
)

// Store writes facts.
type Store struct {
	pool  *pgxpool.Pool
	hooks Hooks
}

// Hooks are told of what happens. They may be called at once, and take no time.
type Hooks struct {
	// Retried is told of each transaction that another writer was in the way of.
	Retried func()
	// Media is told of each transaction after which there are media to be fetched; nil where media are not kept, and then there
	// are never any.
	Media func()
}

// New makes a store on a pool.
func New(pool *pgxpool.Pool, h Hooks) *Store {
	if h.Retried == nil {
		h.Retried = func() {}
	}
	return &Store{pool: pool, hooks: h}
}

// Write stores all facts in one transaction. Writing them again, in this or another order, leaves the same rows.
func (s *Store) Write(ctx context.Context, facts []record.Facts) error {
	for try := 1; ; try++ {
		err := s.write(ctx, facts)
		if err == nil || !isConflict(err) || try == conflictTries {
			return err
		}
		s.hooks.Retried()
		delay := time.NewTimer(rand.N(conflictDelay << try)) //nolint:gosec // jitter
		select {
		case <-delay.C:
		case <-ctx.Done():
			delay.Stop()
			return err
		}
	}
}

func (s *Store) write(ctx context.Context, facts []record.Facts) error {
	f := newFold(facts)
	f.keepsMedia = s.hooks.Media != nil
	if err := s.transact(ctx, f); err != nil || len(f.early) == 0 {
		return err
	}
	// Changes that come before their message are rare: they may have the archive for themselves.
	last := newFold(f.early)
	last.alone, last.keepsMedia = true, f.keepsMedia
	return s.transact(ctx, last)
}

func (s *Store) transact(ctx context.Context, f *fold) error {
	tx, err := s.pool.Begin(ctx)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := f.run(ctx, tx); err != nil {
		// The connection is given back clean even when ctx is over.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
		defer cancel()
		return errors.Join(err, tx.Rollback(ctx))
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if len(f.media.accounts) > 0 {
		s.hooks.Media()
	}
	return nil
}

func (f *fold) run(ctx context.Context, tx pgx.Tx) error {
	if err := f.read(ctx, tx); err != nil {
		return err
	}
	var b pgx.Batch
	if err := f.write(&b); err != nil {
		return &unfitError{err}
	}
	if b.Len() == 0 {
		return nil
	}
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return fmt.Errorf("write rows: %w", err)
	}
	return nil
}
