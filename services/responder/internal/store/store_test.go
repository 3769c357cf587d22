package store_test

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/postgres"
	"github.com/parley-dm/parley/pkg/postgres/pgtest"
	"github.com/parley-dm/parley/pkg/telemetry/logtest"
	"github.com/parley-dm/parley/services/responder/internal/live"
	"github.com/parley-dm/parley/services/responder/internal/store"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const (
	// promised is how soon a changed row is in use.
	promised = time.Second
	// patience is for machines that do ten other things.
	patience = 20 * time.Second
	probe    = 2 * time.Millisecond
)

func exec(t *testing.T, pool *pgxpool.Pool, sql string, args ...any) {
	t.Helper()
	_, err := pool.Exec(t.Context(), sql, args...)
	require.NoError(t, err)
}

// keep runs the keeper of the rules on a pool until the test ends. It hardly polls: what is seen was heard.
func keep(t *testing.T, pool *pgxpool.Pool) (*live.Rules, *logtest.Buffer) {
	t.Helper()
	log := &logtest.Buffer{}
	r := store.New(pool)
	rules, err := live.New(live.Deps{
		Repository: r, Listener: r, Log: slog.New(slog.NewTextHandler(log, nil)), Metrics: prometheus.NewRegistry(),
	}, time.Hour)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- rules.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	return rules, log
}

func loaded(t *testing.T, r *live.Rules) {
	t.Helper()
	select {
	case <-r.Loaded():
	case <-time.After(patience):
		require.FailNow(t, "no rules were loaded")
	}
}

// winner is the name of the rule that answers a text.
func winner(r *live.Rules, text string) string {
	m, _ := r.Current().Match(text)
	return m.Rule.Name
}

func TestActiveRulesInTheOrderInWhichTheyAreAsked(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	exec(t, pool, `INSERT INTO response_rules (name, keywords, match_type, response_text, priority, is_active, created_at) VALUES
		('plain', '{price,cost}', 'contains', 'It is 5 €.', 1, true, '2026-01-02'),
		('off', '{price}', 'contains', 'no', 9, false, '2026-01-01'),
		('older', '{price}', 'exact', 'old', 1, true, '2026-01-01'),
		('first', '{"^p+$"}', 'regex', 'first', 5, true, '2026-01-03'),
		('nulls', '{NULL,a,NULL}', 'contains', 'x', -1, true, '2026-01-01'),
		('square', '{{a,b},{c,d}}', 'contains', 'x', -2, true, '2026-01-01'),
		('none', '{}', 'contains', 'x', -3, true, '2026-01-01'),
		('ever', '{a}', 'contains', 'x', -4, true, 'infinity'),
		('always', '{a}', 'contains', 'x', -5, true, '-infinity')`)
	got, broken, err := store.New(pool).Active(t.Context())
	require.NoError(t, err)
	require.Empty(t, broken)
	names := make([]string, len(got))
	for i, r := range got {
		names[i] = r.Name
	}
	require.Equal(t, []string{"first", "older", "plain", "nulls", "square", "none", "ever", "always"}, names)
	require.Equal(t, []string{"price", "cost"}, got[2].Keywords)
	require.Equal(t, "It is 5 €.", got[2].Response)
	require.Equal(t, 1, got[2].Priority)
	require.True(t, got[2].CreatedAt.Equal(time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)))
	require.Len(t, got[2].ID, 36)
	require.Equal(t, []string{"a"}, got[3].Keywords)
	require.Equal(t, []string{"a", "b", "c", "d"}, got[4].Keywords)
	require.Empty(t, got[5].Keywords)
}

func TestAnOldSchemaIsNamedUntilItIsMigrated(t *testing.T) {
	t.Parallel()
	db := pgtest.EmptyDatabase(t)
	rules, log := keep(t, pgtest.Open(t, db))
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "rules.unavailable") }, patience, probe)
	require.ErrorIs(t, rules.Check(t.Context()), postgres.ErrOldSchema)
	require.Nil(t, rules.Current())
	_, _, err := postgres.Migrate(t.Context(), db)
	require.NoError(t, err)
	loaded(t, rules)
	require.NoError(t, rules.Check(t.Context()))
}

func TestAChangeByPlainSQLIsInUseWithinASecond(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	rules, log := keep(t, pool)
	loaded(t, rules)
	var took []time.Duration
	for _, step := range []struct{ sql, want string }{
		{`INSERT INTO response_rules (name, keywords, response_text) VALUES ('prices', '{price}', '5')`, "prices"},
		{`INSERT INTO response_rules (name, keywords, response_text, priority) VALUES ('sale', '{price}', '4', 10)`, "sale"},
		{`UPDATE response_rules SET is_active = false WHERE name = 'sale'`, "prices"},
		{`UPDATE response_rules SET name = 'new prices' WHERE name = 'prices'`, "new prices"},
		{`DELETE FROM response_rules`, ""},
		{`INSERT INTO response_rules (name, keywords, response_text) SELECT 'r' || n, ARRAY['price'], 'x' FROM generate_series(1, 2000) n`, "r"},
		{`TRUNCATE response_rules`, ""},
	} {
		exec(t, pool, step.sql)
		began := time.Now()
		require.Eventually(t, func() bool {
			got := winner(rules, "the price?")
			return got == step.want || step.want == "r" && strings.HasPrefix(got, "r")
		}, patience, probe, step.sql)
		took = append(took, time.Since(began))
	}
	require.NotContains(t, log.String(), "level=ERROR")
	slices.Sort(took)
	require.Less(t, took[len(took)/2], promised, "half of the changes; a busy machine may be late once")
}

func TestABrokenRuleIsToldOfOncePerVersion(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	rules, log := keep(t, pool)
	loaded(t, rules)
	exec(t, pool, `INSERT INTO response_rules (name, keywords, match_type, response_text, priority) VALUES ('bad one', '{"(price"}', 'regex', 'x', 9)`)
	for i, name := range []string{"first", "second", "third"} {
		exec(t, pool, `INSERT INTO response_rules (name, keywords, response_text, priority) VALUES ($1, '{price}', 'x', $2)`, name, i)
		require.Eventually(t, func() bool { return winner(rules, "price") == name }, patience, probe)
	}
	require.Equal(t, 1, strings.Count(log.String(), "rule.broken"))
	require.Contains(t, log.String(), `rule_name="bad one"`)
	require.Contains(t, log.String(), "missing closing )")

	exec(t, pool, `UPDATE response_rules SET keywords = '{"[price"}' WHERE name = 'bad one'`)
	require.Eventually(t, func() bool { return strings.Count(log.String(), "rule.broken") == 2 }, patience, probe)
	exec(t, pool, `UPDATE response_rules SET keywords = '{"^price"}', conditions = '{"moon": "full"}' WHERE name = 'bad one'`)
	require.Eventually(t, func() bool { return strings.Contains(log.String(), `unknown field`) }, patience, probe)
	require.Equal(t, "third", winner(rules, "price"), "what cannot be read whole is not used")
	exec(t, pool, `UPDATE response_rules SET conditions = '{"ignore_accents": true}' WHERE name = 'bad one'`)
	require.Eventually(t, func() bool { return winner(rules, "price") == "bad one" }, patience, probe)
}

func TestAListenerWhoseConnectionIsKilledListensAgain(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	rules, log := keep(t, pool)
	loaded(t, rules)
	const listener = `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query = 'LISTEN parley_rules' AND datname = current_database()`
	require.Eventually(t, func() bool {
		var killed int
		return pool.QueryRow(t.Context(), listener).Scan(&killed) == nil && killed == 1
	}, patience, probe)
	exec(t, pool, `INSERT INTO response_rules (name, keywords, response_text) VALUES ('prices', '{price}', '5')`)
	require.Eventually(t, func() bool { return winner(rules, "price") == "prices" }, patience, probe, "what changed while it was deaf")
	require.Contains(t, log.String(), "rules.not_listening")
	exec(t, pool, `DELETE FROM response_rules`)
	require.Eventually(t, func() bool { return winner(rules, "price") == "" }, patience, probe)
}
