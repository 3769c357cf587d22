package postgres_test

import (
	"context"
	"log/slog"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/postgres"
	"github.com/parley-dm/parley/pkg/postgres/pgtest"
)

func TestAway(t *testing.T) {
	t.Parallel()
	migrate := func(db string) error {
		_, _, err := postgres.Migrate(t.Context(), config.Database{URL: config.Secret(db)})
		return err
	}
	require.True(t, postgres.Away(migrate("postgres://u:p@127.0.0.1:1/x")), "nobody listens")
	u, err := url.Parse(pgtest.EmptyDatabase(t).URL.Reveal())
	require.NoError(t, err)
	u.Path = "/no_such_database"
	require.False(t, postgres.Away(migrate(u.String())), "there is no such database")
	u.User = url.UserPassword("nobody_of_that_name", "sesame")
	require.False(t, postgres.Away(migrate(u.String())), "it knows no such user")
	require.False(t, postgres.Away(migrate("postgres://u:p@127.0.0.1:x/x")), "no address at all")
	require.False(t, postgres.Away(nil))
}

func TestMigrateLater(t *testing.T) {
	t.Parallel()
	db := pgtest.EmptyDatabase(t)
	postgres.MigrateLater(t.Context(), db, slog.New(slog.DiscardHandler))
	require.NoError(t, postgres.CheckSchema(t.Context(), pgtest.Open(t, db)))

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	postgres.MigrateLater(ended, config.Database{URL: "postgres://u:p@127.0.0.1:1/x"}, slog.New(slog.DiscardHandler))
}
