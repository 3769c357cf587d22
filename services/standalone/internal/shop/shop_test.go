package shop_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/postgres/pgtest"
	"github.com/parley-dm/parley/pkg/rules"
	"github.com/parley-dm/parley/services/standalone/internal/shop"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// asked is what the rules are asked in these tests: on a Wednesday in Berlin, at an hour.
func asked(set *rules.Set, on rules.Occasion, text string, hour int) string {
	v := set.Decide(rules.Turn{Occasions: []rules.Occasion{on}, Texts: []string{text}, Now: time.Date(2026, 11, 25, hour, 0, 0, 0, time.UTC)})
	return v.Rule.Name
}

func TestRulesCanBeUsed(t *testing.T) {
	t.Parallel()
	all, err := shop.Rules()
	require.NoError(t, err)
	set, problems := rules.Compile(all)
	require.Empty(t, problems)
	require.Empty(t, set.Conflicts())
	for want, texts := range map[string][]string{
		"order status": {"Where is order A-10423?", "my parcel number 10423", "order #10423", "tracking AB12345 please", "where's my package"},
		"":             {"I want to order two candles", "do you have candles?"},
		"returns":      {"can I return it?", "I'd like a refund and the price"},
		"shipping":     {"How long does it take?", "delivery price"},
		"price":        {"price?", "Price?", "ما هو سعر", "¿precio?"},
		"hours":        {"What time do you close", "are you open?"},
		"open now":     {"are you open now?"},
		"thanks":       {"Gracias!"},
		"hello":        {"Hello!", "👋"},
		"person":       {"may I talk to someone please"},
	} {
		for _, text := range texts {
			require.Equal(t, want, asked(set, rules.OnText, text, 12), text)
		}
	}
	require.Equal(t, "closed now", asked(set, rules.OnText, "are you open now?", 20))
	require.Equal(t, "story mention", asked(set, rules.OnStoryMention, "", 12))
	for _, r := range all {
		for _, p := range r.Then.Reply {
			for _, q := range p.QuickReplies {
				require.NotEmpty(t, asked(set, rules.OnQuickReply, q.Title, 12), "what can be tapped is answered: %s", q.Title)
			}
		}
	}
}

func TestOnlyAnEmptyTableIsFurnished(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	all, err := shop.Rules()
	require.NoError(t, err)
	n, err := shop.Furnish(t.Context(), db)
	require.NoError(t, err)
	require.Equal(t, len(all), n)
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
