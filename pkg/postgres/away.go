package postgres

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/parley-dm/parley/pkg/config"
)

// The bounds of waiting for a database that is away.
const (
	migratePause = time.Second
	sayEvery     = 30 * time.Second
)

// unknownDatabase and class 28 are what a server answers to settings that are wrong.
const (
	unknownDatabase    = "3D000"
	authorizationClass = "28"
)

// Away says whether an error means that the database could not be reached and may be there later: not that it refuses the
// password, or has no such database, which waiting does not mend.
func Away(err error) bool {
	var connect *pgconn.ConnectError
	if !errors.As(err, &connect) {
		return false
	}
	var refused *pgconn.PgError
	return !errors.As(err, &refused) || refused.Code != unknownDatabase && !strings.HasPrefix(refused.Code, authorizationClass)
}

// MigrateLater migrates as [Migrate] does as soon as the database can be reached, and says now and then why it waits. It
// returns when that is done or ctx has ended.
func MigrateLater(ctx context.Context, db config.Database, log *slog.Logger) {
	var said time.Time
	for ctx.Err() == nil {
		from, to, err := Migrate(ctx, db)
		switch {
		case err == nil:
			log.Info("database.migrated", "from", from, "to", to)
			return
		case ctx.Err() != nil:
			return
		case time.Since(said) > sayEvery:
			said = time.Now()
			level := slog.LevelWarn
			if !Away(err) {
				level = slog.LevelError
			}
			log.Log(ctx, level, "database.waiting", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(migratePause):
		}
	}
}
