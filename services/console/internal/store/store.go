// Package store is the console's side of PostgreSQL: one file for what one page or service needs, with its queries beside
// it. It knows no HTTP, and decides nothing about who may do what; callers pass a [Scope], and every query about accounts
// honours it.
package store

import (
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// ErrNotFound is what is asked for when it is not there, or not in the caller's scope: the two look alike.
var ErrNotFound = errors.New("not found")

// Store runs the console's queries.
type Store struct {
	pool *pgxpool.Pool
	now  func() time.Time
}

// New makes a store on a pool.
func New(pool *pgxpool.Pool, now func() time.Time) *Store { return &Store{pool: pool, now: now} }

// Scope is which accounts a caller sees. In a query:
//
//	AND (cardinality($1::text[]) = 0 OR page_id = ANY ($1))
type Scope []string

// All is the scope of who sees every account. It is never nil: to PostgreSQL nil is NULL, which matches nothing.
var All = Scope{}

// notFound turns an empty answer into ErrNotFound.
func notFound(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return ErrNotFound
	}
	return err
}
