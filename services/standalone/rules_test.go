package standalone_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/postgres/pgtest"
	"github.com/parley-dm/parley/pkg/repository"
	"github.com/parley-dm/parley/pkg/repository/repositorytest"
)

const shopRules = "testdata/rules/shop.yaml"

// rulesOf runs a command on rules that is to succeed.
func rulesOf(t *testing.T, environ []string, args ...string) string {
	t.Helper()
	code, out, stderr := execute(t, environ, append([]string{"rules"}, args...)...)
	require.Equal(t, 0, code, stderr)
	return out
}

func TestRulesAreImportedAndExported(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	pool := pgtest.Open(t, db)
	environ := []string{"DATABASE_URL=" + db.URL.Reveal()}
	_, err := pool.Exec(t.Context(), `INSERT INTO response_rules (name, keywords, response_text) VALUES ('prices', '{cost}', '17 each.'), ('mine', '{x}', 'y')`)
	require.NoError(t, err)
	count := func(where string) (n int) {
		require.NoError(t, pool.QueryRow(t.Context(), `SELECT count(*) FROM response_rules WHERE `+where).Scan(&n))
		return n
	}
	golden(t, "rules/import_dry_run", rulesOf(t, environ, "import", shopRules, "--replace", "--dry-run"))
	require.Equal(t, 2, count("true"))
	golden(t, "rules/import_asks", rulesOf(t, environ, "import", shopRules, "--replace"))
	require.Equal(t, 2, count("true"))
	golden(t, "rules/import", rulesOf(t, environ, "import", shopRules, "--by", "anna"))
	require.Equal(t, 5, count("true"))
	require.Equal(t, 4, count("updated_by = 'anna'"))
	require.Equal(t, 1, count("name = 'prices' AND version = 2 AND response_text = '18 each.'"), "the rule of that name is another version now")
	require.Contains(t, rulesOf(t, environ, "import", shopRules), "0 created, 0 changed, 0 removed, 4 as they were, 1 not in the file and kept: done")
	require.Contains(t, rulesOf(t, environ, "import", shopRules, "--replace", "--yes"), `- remove "mine"`)
	require.Equal(t, 4, count("true"))

	file := filepath.Join(t.TempDir(), "rules.yaml")
	require.Contains(t, rulesOf(t, environ, "export", file), "4 rule(s) written to "+file)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(text), rulesOf(t, environ, "export"))
	require.Contains(t, rulesOf(t, environ, "import", file, "--replace"), "4 as they were", "what was exported is what is there")

	_, err = pool.Exec(t.Context(), `UPDATE response_rules SET conditions = '{"moon": 1}' WHERE name = 'sale'`)
	require.NoError(t, err)
	code, _, stderr := execute(t, environ, "rules", "export", file)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, `rule "sale"`)
	require.Contains(t, stderr, `unknown field "moon"`)
	after, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, text, after)
}

func TestRulesAreValidated(t *testing.T) {
	t.Parallel()
	golden(t, "rules/validate", rulesOf(t, nil, "validate", shopRules))
	golden(t, "rules/never", rulesOf(t, nil, "validate", "testdata/rules/never.yaml"))
	code, _, _ := execute(t, nil, "rules", "validate", "--strict", "testdata/rules/never.yaml")
	require.Equal(t, 1, code)
	for _, args := range [][]string{{"validate"}, {"import"}, {"try"}} {
		code, out, stderr := execute(t, []string{"DATABASE_URL=postgres://u:p@127.0.0.1:1/x"}, append(append([]string{"rules"}, args...), "testdata/rules/bad.yaml")...)
		require.Equal(t, 2, code)
		require.Empty(t, out)
		golden(t, "rules/bad", stderr)
	}
	code, _, stderr := execute(t, nil, "rules", "validate", "testdata/none.yaml")
	require.Equal(t, 2, code)
	require.Contains(t, stderr, "testdata/none.yaml")
}

func TestConflictsOfTheDatabase(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	environ := []string{"DATABASE_URL=" + db.URL.Reveal()}
	rulesOf(t, environ, "import", "testdata/rules/never.yaml")
	_, err := pgtest.Open(t, db).Exec(t.Context(), `INSERT INTO response_rules (name, keywords, match_type, response_text) VALUES ('broken', '{"(a"}', 'regex', 'y')`)
	require.NoError(t, err)
	golden(t, "rules/conflicts", rulesOf(t, environ, "conflicts"))
	code, _, _ := execute(t, environ, "rules", "conflicts", "--strict")
	require.Equal(t, 1, code)
}

func TestRulesAreTestedByCases(t *testing.T) {
	t.Parallel()
	require.Equal(t, "4 case(s), 4 as expected, 0 not\n", rulesOf(t, nil, "test", shopRules, "testdata/rules/cases.yaml"))
	code, out, stderr := execute(t, nil, "rules", "test", shopRules, "testdata/rules/cases_wrong.yaml")
	require.Equal(t, 1, code)
	require.Empty(t, stderr, "all is said in the table")
	golden(t, "rules/cases_wrong", out)
	for text, want := range map[string]string{
		"cases: []":                             "cases: got none",
		"":                                      "cases: got none",
		"cases: [{message: a, rule: sail}]":     `cases[0].rule: got "sail"`,
		"cases: [{message: a, rule: sale}]":     "an active rule",
		"cases: [{message: a}, {mesage: b}]":    "mesage",
		"cases: [{message: a, returning: why}]": "[1:33]",
	} {
		file := filepath.Join(t.TempDir(), "cases.yaml")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		code, _, stderr := execute(t, nil, "rules", "test", shopRules, file)
		require.Equal(t, 2, code, text)
		require.Contains(t, stderr, want)
		require.Contains(t, stderr, file)
	}
}

// tried has messages of three customers, with what answered them.
func tried(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	n := 0
	say := func(customer, text string, origin dm.Origin, rule, answer string) {
		n++
		m := repositorytest.Message(dm.Conversation{Channel: dm.ChannelInstagram, Account: page, Customer: customer}, n)
		m.Text = text
		repositorytest.Insert(t, pool, m)
		if origin == "" {
			return
		}
		event := m.Metadata.EventID
		n++
		r := repositorytest.Reply(m.Conversation, n, 0, event)
		r.Metadata.Intent.Origin, r.Metadata.Intent.RuleName, r.Metadata.Intent.Message, r.Text = origin, rule, nil, answer
		repositorytest.Insert(t, pool, r)
	}
	say("7001", "the price?", dm.OriginRule, "prices", "18 each.")
	say("7001", "and the price of that?", dm.OriginRule, "prices", "17 each.")
	say("7001", "shipping?", dm.OriginFallback, "", "Thanks!")
	say("7001", "shipping??", dm.OriginFallback, "", "Thanks!")
	say("7002", "good morning", dm.OriginFallback, "", "Thanks!")
	say("7002", "good evening", dm.OriginFallback, "", "Thanks!")
	say("7002", "a sale?", dm.OriginRule, "sale", "None today.")
	say("7002", "how much?", dm.OriginOperator, "", "Anna here.")
	say("7003", "how much?", "", "", "")
	say("7003", "how much is the sale?", dm.OriginRule, "sale", "None today.")
}

func TestRulesAreTriedOnTheArchive(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	pool := pgtest.Open(t, db)
	environ := []string{"DATABASE_URL=" + db.URL.Reveal()}
	tried(t, pool)
	out := rulesOf(t, environ, "try", shopRules, "--since", "2026-11-20")
	golden(t, "rules/try", out)
	require.NotContains(t, out, "good morning")
	golden(t, "rules/try_with_text", rulesOf(t, environ, "try", shopRules, "--since", "2026-11-20", "--show-text", "--examples", "1"))
	require.Contains(t, rulesOf(t, environ, "try", shopRules, "--since", "2026-11-20", "--account", "1"), "0 message(s)")
	require.Contains(t, rulesOf(t, environ, "try", shopRules, "--since", "2026-11-21"), "0 message(s)")
	code, _, stderr := execute(t, environ, "rules", "try", shopRules, "--since", "lately")
	require.Equal(t, 2, code)
	require.Contains(t, stderr, "--since")

	// Who wrote before the time that is looked at is no new customer.
	at := repositorytest.Message(dm.Conversation{}, 12).At.Format(time.RFC3339Nano)
	require.NotContains(t, rulesOf(t, environ, "try", shopRules, "--since", at), "welcome")
	var messages int
	require.NoError(t, pool.QueryRow(t.Context(), `SELECT count(*) FROM messages WHERE direction = $1`, string(repository.Inbound)).Scan(&messages))
	require.Equal(t, 10, messages, "nothing was written")
}
