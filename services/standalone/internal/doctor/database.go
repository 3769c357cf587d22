package doctor

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-dm/parley/pkg/postgres"
)

// database connects to PostgreSQL and looks at its schema and its clock.
func (p Patient) database(ctx context.Context, r *report) {
	if p.Database == nil {
		return
	}
	const check = "postgresql"
	cfg, err := pgx.ParseConfig(p.Database.URL.Reveal())
	if err != nil {
		r.problem(check, "set DATABASE_URL right", "%v", err) // pgx hides the password in it
		return
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		r.problem(check, "see that PostgreSQL runs there and lets this user in; replies go on without it, rows and rules wait", "%v", err)
		return
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var version, readOnly string
	var now time.Time
	before := time.Now()
	if err := conn.QueryRow(ctx, "SELECT current_setting('server_version'), current_setting('transaction_read_only'), clock_timestamp()").Scan(&version, &readOnly, &now); err != nil {
		r.problem(check, "see PostgreSQL's log", "%v", err)
		return
	}
	after := time.Now()
	if readOnly == "on" {
		r.problem(check, "name the primary in DATABASE_URL", "%s at %s:%d is read-only: a replica, or one that was made so", cfg.Database, cfg.Host, cfg.Port)
	} else {
		r.ok(check, "PostgreSQL %s, database %s at %s:%d, answers in %s", version, cfg.Database, cfg.Host, cfg.Port, after.Sub(before).Round(100*time.Microsecond))
	}
	r.clock("postgresql clock", now, before, after, 0)
	if schema(ctx, r, conn) {
		p.media(ctx, r, conn)
	}
}

// schema says whether it is current.
func schema(ctx context.Context, r *report, conn *pgx.Conn) bool {
	const check = "schema"
	have, err := postgres.SchemaVersion(ctx, conn)
	want := postgres.TargetVersion()
	switch {
	case err != nil:
		r.problem(check, "give the user of DATABASE_URL the right to read the tables", "%v", err)
	case have == 0:
		r.problem(check, "run parley migrate", "the database is empty")
	case have < want:
		r.problem(check, "run parley migrate", "it has version %d, and this program needs %d", have, want)
	case have > want:
		r.warn(check, "update this program; what is newer only adds", "it has version %d, and this program knows %d", have, want)
	default:
		r.ok(check, "version %d", have)
	}
	return err == nil && have >= want
}
