// Package postgres opens the database: a pool with bounds on everything, transactions, the schema's migrations and the
// check that it is current.
//
// It holds no queries of any service; those live beside their use. Subpackage pglocal runs a private server, pgtest
// gives each test a database of its own.
package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-dm/parley/pkg/config"
)

// The bounds of every connection. A value that DATABASE_URL gives wins.
const (
	connectTimeout     = 5 * time.Second
	statementTimeout   = "30s"
	lockTimeout        = "10s"
	idleInTransaction  = "30s"
	statementCacheSize = 128
	defaultMaxConns    = 8
)

// Options says how to open a pool.
type Options struct {
	// Name is what pg_stat_activity shows as application_name.
	Name string
	// MaxConns bounds the pool; 8 if 0. pool_max_conns in the URL wins.
	MaxConns int32
}

// Open makes a pool. It connects to nothing yet: a database that is away is found by the readiness check, and does not
// keep a service from starting.
func Open(ctx context.Context, db config.Database, o Options) (*pgxpool.Pool, error) {
	c, err := pgxpool.ParseConfig(db.URL.Reveal())
	if err != nil {
		return nil, fmt.Errorf("DATABASE_URL: %w", err) // pgx hides the password in it
	}
	bound(c.ConnConfig, o.Name)
	given := c.ConnConfig.RuntimeParams
	setDefault(given, "statement_timeout", statementTimeout)
	setDefault(given, "lock_timeout", lockTimeout)
	setDefault(given, "idle_in_transaction_session_timeout", idleInTransaction)
	if o.MaxConns == 0 {
		o.MaxConns = defaultMaxConns
	}
	if !maxConnsGiven(db.URL.Reveal()) {
		c.MaxConns = o.MaxConns
	}
	c.MaxConnLifetime, c.MaxConnLifetimeJitter = time.Hour, 10*time.Minute
	c.MaxConnIdleTime, c.HealthCheckPeriod, c.PingTimeout = 5*time.Minute, 30*time.Second, 5*time.Second
	pool, err := pgxpool.NewWithConfig(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("open the database pool: %w", err)
	}
	return pool, nil
}

// InTx runs f in a transaction: committed when it returns nil, rolled back otherwise.
func InTx(ctx context.Context, pool *pgxpool.Pool, f func(tx pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, pool, f)
}

// bound sets what holds for pools and for single connections.
func bound(c *pgx.ConnConfig, name string) {
	if c.ConnectTimeout == 0 || c.ConnectTimeout > time.Minute {
		c.ConnectTimeout = connectTimeout
	}
	c.StatementCacheCapacity = statementCacheSize
	if c.RuntimeParams == nil {
		c.RuntimeParams = map[string]string{}
	}
	if name != "" {
		setDefault(c.RuntimeParams, "application_name", "parley "+name)
	}
	// Whatever the server's or the role's default is: times are read and printed in UTC.
	setDefault(c.RuntimeParams, "timezone", "UTC")
}

func setDefault(m map[string]string, key, value string) {
	if _, ok := m[key]; !ok {
		m[key] = value
	}
}
