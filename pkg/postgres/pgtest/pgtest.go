// Package pgtest gives each test a PostgreSQL database of its own, migrated and empty.
//
// The databases live on the server that TEST_DATABASE_URL names, else on one private server for the whole test binary.
// Without either, tests fail and say how to install PostgreSQL; they are never skipped. A package that uses it has
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/postgres"
	"github.com/parley-dm/parley/pkg/postgres/pglocal"
)

const (
	// urlVariable names a server to use instead of a private one; its role must be allowed to create databases.
	urlVariable = "TEST_DATABASE_URL"
	// A machine that runs many test binaries at once is slow to start one more server.
	startTimeout = 2 * time.Minute
)

// binary is what the test binary has: one server and one migrated template, made when the first test asks.
type binary struct {
	used   atomic.Bool
	once   sync.Once
	err    error
	server *pglocal.Server
	url    string
	prefix string
	serial atomic.Int64
	// cloning: PostgreSQL copies a template for one at a time.
	cloning sync.Mutex
}

// shared is the test binary's one server: TestMain and the tests have no other way to meet.
var shared binary //nolint:gochecknoglobals // see above

// Main runs the tests, ends the server, looks for goroutines that were left running, and exits.
func Main(m *testing.M, options ...goleak.Option) {
	shared.used.Store(true)
	code := m.Run()
	if err := shared.close(); err != nil {
		fmt.Fprintln(os.Stderr, "pgtest:", err)
		code = max(code, 1)
	}
	if code == 0 {
		if err := goleak.Find(options...); err != nil {
			fmt.Fprintln(os.Stderr, "pgtest: goroutines left running:", err)
			code = 1
		}
	}
	os.Exit(code) //nolint:revive // it stands for TestMain, as goleak.VerifyTestMain does
}

// Database makes a database with the newest schema, dropped when the test ends.
func Database(tb testing.TB) config.Database {
	tb.Helper()
	return create(tb, true)
}

// EmptyDatabase makes a database without a schema, dropped when the test ends.
func EmptyDatabase(tb testing.TB) config.Database {
	tb.Helper()
	return create(tb, false)
}

// Pool is a pool on a database of its own with the newest schema, closed when the test ends.
func Pool(tb testing.TB) *pgxpool.Pool {
	tb.Helper()
	return Open(tb, Database(tb))
}

// Open is a pool on a database, closed when the test ends.
func Open(tb testing.TB, db config.Database) *pgxpool.Pool {
	tb.Helper()
	pool, err := postgres.Open(context.Background(), db, postgres.Options{Name: "test"})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(pool.Close)
	return pool
}

func create(tb testing.TB, migrated bool) config.Database {
	tb.Helper()
	if !shared.used.Load() {
		tb.Fatal("pgtest: this package needs func TestMain(m *testing.M) { pgtest.Main(m) }")
	}
	shared.once.Do(func() { shared.err = shared.open() })
	if shared.err != nil {
		tb.Fatalf("pgtest: %v", shared.err)
	}
	name := shared.prefix + strconv.FormatInt(shared.serial.Add(1), 10)
	template := "template0"
	if migrated {
		template = shared.template()
	}
	if err := shared.clone(name, template); err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
	tb.Cleanup(func() {
		if err := shared.drop(name); err != nil {
			tb.Errorf("pgtest: %v", err)
		}
	})
	return config.Database{URL: config.Secret(shared.database(name))}
}

func (b *binary) template() string { return b.prefix + "template" }

// open finds or starts the server and makes the template. Names carry the process and the time, so that binaries that
// share a server do not meet.
func (b *binary) open() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	id := dm.RowID("pgtest", strconv.Itoa(os.Getpid()), time.Now().String())
	b.prefix = fmt.Sprintf("parley_test_%x_", id[:6])
	if b.url = os.Getenv(urlVariable); b.url == "" { //nolint:forbidigo // a setting of the test binary, which has no Config
		server, err := pglocal.Start(ctx, pglocal.Options{Unsafe: true, Settings: map[string]string{
			"max_connections": "200", "shared_buffers": "64MB", "autovacuum": "off",
		}})
		if errors.Is(err, pglocal.ErrNotInstalled) {
			return fmt.Errorf("%w\nset %s to it", err, urlVariable)
		}
		if err != nil {
			return err
		}
		b.server, b.url = server, server.URL()
	}
	if err := b.clone(b.template(), "template0"); err != nil {
		return err
	}
	_, _, err := postgres.Migrate(ctx, config.Database{URL: config.Secret(b.database(b.template()))})
	return err
}

func (b *binary) close() error {
	if b.server != nil {
		return b.server.Stop()
	}
	if prepared := b.url != "" && b.err == nil; prepared {
		return b.drop(b.template())
	}
	return nil // the tests that asked for it have said why
}

func (b *binary) clone(name, template string) error {
	b.cloning.Lock()
	defer b.cloning.Unlock()
	return b.admin("CREATE DATABASE " + pgx.Identifier{name}.Sanitize() + " TEMPLATE " + pgx.Identifier{template}.Sanitize())
}

// drop closes what a test left open: a database in use could not be dropped.
func (b *binary) drop(name string) error {
	return b.admin("DROP DATABASE IF EXISTS " + pgx.Identifier{name}.Sanitize() + " WITH (FORCE)")
}

func (b *binary) admin(sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, b.url)
	if err != nil {
		return fmt.Errorf("connect to the server for tests (%s, if set): %w", urlVariable, err)
	}
	_, err = conn.Exec(ctx, sql)
	if err := errors.Join(err, conn.Close(ctx)); err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	return nil
}

// database is the server's URL with another database's name.
func (b *binary) database(name string) string {
	if u, err := url.Parse(b.url); err == nil && u.Scheme != "" {
		u.Path = "/" + name
		return u.String()
	}
	return strings.TrimSpace(b.url) + " dbname=" + name // the keyword=value form, where the last one counts
}
