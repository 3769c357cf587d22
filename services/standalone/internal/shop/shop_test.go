package shop_test

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/postgres/pgtest"
	"github.com/parley-dm/parley/services/standalone/internal/shop"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestRulesCanBeUsed(t *testing.T) {
	t.Parallel()
	rules, err := shop.Rules()
	require.NoError(t, err)
	order := regexp.MustCompile("(?i)" + rules[0].Keywords[0])
	for _, text := range []string{"Where is order A-10423?", "my parcel number 10423", "order #10423", "tracking AB12345 please"} {
		require.Regexp(t, order, text)
	}
	require.NotRegexp(t, order, "I want to order two candles")
	for _, r := range rules {
		if r.MatchType == "regex" {
			for _, k := range r.Keywords {
				_, err := regexp.Compile(k)
				require.NoError(t, err, r.Name)
			}
		}
	}
}

func TestOnlyAnEmptyTableIsFurnished(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	rules, err := shop.Rules()
	require.NoError(t, err)
	n, err := shop.Furnish(t.Context(), db)
	require.NoError(t, err)
	require.Equal(t, len(rules), n)
	n, err = shop.Furnish(t.Context(), db)
	require.NoError(t, err)
	require.Zero(t, n)

	own := pgtest.Database(t)
	_, err = pgtest.Open(t, own).Exec(t.Context(), `INSERT INTO response_rules (name, keywords, response_text) VALUES ('mine', '{x}', 'y')`)
	require.NoError(t, err)
	n, err = shop.Furnish(t.Context(), own)
	require.NoError(t, err)
	require.Zero(t, n)
}
