package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/postgres/migrations"
)

const (
	// migrationLock is the advisory lock that a migrator holds: "parley" in letters of a telephone, so that it is not
	// goose's own default, which other programs in the same database may use.
	migrationLock = 727539
	// A second migrator waits for the first: it asks every second, for five minutes.
	lockPeriod, lockAttempts = 1, 300

	undefinedTable = "42P01"
)

// ErrOldSchema is what CheckSchema finds when the schema is older than this program.
var ErrOldSchema = errors.New("the database's schema is older than this program: run parley migrate (or the migrate job)")

// Querier is a pool, a connection or a transaction.
type Querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Migrate brings the schema to the newest version and says from which to which it went. Two at once do not race: the
// second waits for the first. On an empty database it creates everything; on a current one it changes nothing.
func Migrate(ctx context.Context, db config.Database) (from, to int64, err error) {
	err = withProvider(db, func(p *goose.Provider) error {
		results, err := p.Up(ctx)
		if err != nil {
			return fmt.Errorf("migrate the database: %w", err)
		}
		if to, err = p.GetDBVersion(ctx); err != nil {
			return fmt.Errorf("read the schema's version: %w", err)
		}
		from = to - int64(len(results))
		return nil
	})
	return from, to, err
}

// MigrateTo takes the schema up or down to a version; 0 takes everything back.
func MigrateTo(ctx context.Context, db config.Database, version int64) error {
	return withProvider(db, func(p *goose.Provider) error {
		current, err := p.GetDBVersion(ctx)
		if err != nil {
			return fmt.Errorf("read the schema's version: %w", err)
		}
		if version < current {
			_, err = p.DownTo(ctx, version)
		} else {
			_, err = p.UpTo(ctx, version)
		}
		if err != nil {
			return fmt.Errorf("migrate the database to version %d: %w", version, err)
		}
		return nil
	})
}

func withProvider(db config.Database, f func(*goose.Provider) error) error {
	c, err := pgx.ParseConfig(db.URL.Reveal())
	if err != nil {
		return fmt.Errorf("DATABASE_URL: %w", err)
	}
	bound(c, "migrate")
	sqlDB := stdlib.OpenDB(*c)
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockID(migrationLock), lock.WithLockTimeout(lockPeriod, lockAttempts))
	if err != nil {
		return errors.Join(err, sqlDB.Close())
	}
	p, err := goose.NewProvider(goose.DialectPostgres, sqlDB, migrations.FS, goose.WithSessionLocker(locker))
	if err != nil {
		return errors.Join(fmt.Errorf("read the migrations: %w", err), sqlDB.Close())
	}
	return errors.Join(f(p), p.Close())
}

// TargetVersion is the version of the schema that this program was written for: that of its newest migration.
func TargetVersion() int64 {
	entries, err := migrations.FS.ReadDir(".")
	if err != nil {
		return 0
	}
	var newest int64
	for _, e := range entries {
		if v, err := goose.NumericComponent(e.Name()); err == nil {
			newest = max(newest, v)
		}
	}
	return newest
}

// SchemaVersion reads the version of the database's schema; 0 when it was never migrated.
func SchemaVersion(ctx context.Context, q Querier) (int64, error) {
	var version int64
	err := q.QueryRow(ctx, `SELECT coalesce(max(version_id), 0) FROM `+goose.DefaultTablename+` WHERE is_applied`).Scan(&version)
	var pgErr *pgconn.PgError
	switch {
	case errors.As(err, &pgErr) && pgErr.Code == undefinedTable:
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("read the schema's version: %w", err)
	default:
		return version, nil
	}
}

// CheckSchema is a readiness check: the database can be reached and its schema is not older than this program. A newer
// one is fine: migrations only add.
func CheckSchema(ctx context.Context, q Querier) error {
	version, err := SchemaVersion(ctx, q)
	if err != nil {
		return err
	}
	if target := TargetVersion(); version < target {
		return fmt.Errorf("%w: it has version %d, expected %d", ErrOldSchema, version, target)
	}
	return nil
}

func maxConnsGiven(databaseURL string) bool {
	if u, err := url.Parse(databaseURL); err == nil && u.Scheme != "" {
		return u.Query().Has("pool_max_conns")
	}
	return strings.Contains(databaseURL, "pool_max_conns=")
}
