package postgres_test

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/postgres"
	"github.com/parley-dm/parley/pkg/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestTwoMigratorsDoNotRace(t *testing.T) {
	t.Parallel()
	db := pgtest.EmptyDatabase(t)
	pool := pgtest.Open(t, db)

	require.ErrorIs(t, postgres.CheckSchema(t.Context(), pool), postgres.ErrOldSchema)
	require.ErrorContains(t, postgres.CheckSchema(t.Context(), pool), "version 0")

	var wg sync.WaitGroup
	errs := make(chan error, 3)
	for range cap(errs) {
		wg.Go(func() {
			_, to, err := postgres.Migrate(t.Context(), db)
			if err == nil && to != postgres.TargetVersion() {
				err = postgres.ErrOldSchema
			}
			errs <- err
		})
	}
	wg.Wait()
	for range cap(errs) {
		require.NoError(t, <-errs)
	}
	require.NoError(t, postgres.CheckSchema(t.Context(), pool))
	from, to, err := postgres.Migrate(t.Context(), db)
	require.NoError(t, err)
	require.Equal(t, from, to, "a current schema is left alone")
}

func TestEveryMigrationCanBeTakenBack(t *testing.T) {
	t.Parallel()
	db := pgtest.EmptyDatabase(t)
	pool := pgtest.Open(t, db)
	for version := int64(1); version <= postgres.TargetVersion(); version++ {
		require.NoError(t, postgres.MigrateTo(t.Context(), db, version))
		require.NoError(t, postgres.MigrateTo(t.Context(), db, version-1))
		require.NoError(t, postgres.MigrateTo(t.Context(), db, version))
	}
	require.NoError(t, postgres.MigrateTo(t.Context(), db, 0))
	var left int
	require.NoError(t, pool.QueryRow(t.Context(),
		`SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> 'goose_db_version'`).Scan(&left))
	require.Zero(t, left)
	require.ErrorIs(t, postgres.CheckSchema(t.Context(), pool), postgres.ErrOldSchema)
}

func TestCheckSchemaSaysWhenTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	pool, err := postgres.Open(t.Context(), config.Database{URL: "postgres://u:secret@127.0.0.1:1/x"}, postgres.Options{})
	require.NoError(t, err, "a database that is away does not keep a service from starting")
	defer pool.Close()
	err = postgres.CheckSchema(t.Context(), pool)
	require.Error(t, err)
	require.NotErrorIs(t, err, postgres.ErrOldSchema)
	require.NotContains(t, err.Error(), "secret")
	_, err = postgres.Open(t.Context(), config.Database{URL: "postgres://u:secret@host:port/x"}, postgres.Options{})
	require.ErrorContains(t, err, "DATABASE_URL")
	require.NotContains(t, err.Error(), "secret")
}

func TestEveryIndexSaysWhichQueryItServes(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	var silent []string
	require.NoError(t, pool.QueryRow(t.Context(), `
		SELECT coalesce(array_agg(c.relname::text), '{}') FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
		WHERE c.relnamespace = 'public'::regnamespace AND NOT i.indisprimary AND c.relname NOT LIKE 'goose%'
		  AND obj_description(c.oid, 'pg_class') IS NULL
		  AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = c.oid AND obj_description(k.oid, 'pg_constraint') IS NOT NULL)`).Scan(&silent))
	require.Empty(t, silent)
}

func TestRulesByHand(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	conn, err := pool.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	_, err = conn.Exec(t.Context(), "LISTEN parley_rules")
	require.NoError(t, err)

	for _, sql := range []string{
		`INSERT INTO response_rules (name, keywords, match_type, response_text, priority) VALUES ('price', '{price,cost}', 'exact', 'Ten.', 5)`,
		`INSERT INTO response_rules (name, keywords, response_text) VALUES ('hours', '{open}', 'Nine to five.')`,
		`UPDATE response_rules SET is_active = false WHERE name = 'hours'`,
		`DELETE FROM response_rules WHERE name = 'price'`,
		`TRUNCATE response_rules`,
	} {
		_, err := pool.Exec(t.Context(), sql)
		require.NoError(t, err, sql)
		n, err := conn.Conn().WaitForNotification(t.Context())
		require.NoError(t, err)
		require.Equal(t, "parley_rules", n.Channel)
	}
	_, err = pool.Exec(t.Context(), `INSERT INTO response_rules (name, keywords, match_type, response_text) VALUES ('x', '{x}', 'fuzzy', 'x')`)
	require.ErrorContains(t, err, "response_rules_match_type_check")
	_, err = conn.Exec(context.WithoutCancel(t.Context()), "UNLISTEN *")
	require.NoError(t, err)
}
