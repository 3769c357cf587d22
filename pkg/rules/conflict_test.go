package rules_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/rules"
)

func TestConflicts(t *testing.T) {
	t.Parallel()
	type pair = [2]rules.Rule
	with := func(r rules.Rule, w rules.When) rules.Rule { r.When = w; return r }
	price := rule("a", rules.MatchContains, "price")
	limited := price
	limited.Limits.OncePerCustomer = true
	for name, c := range map[string]struct {
		rules pair
		// keyword is the one that never wins; "-" for none, "" for all.
		keyword string
	}{
		"the same keyword":                      {pair{price, rule("b", rules.MatchContains, "PRICE")}, ""},
		"a wider keyword":                       {pair{price, rule("b", rules.MatchContains, "price list")}, ""},
		"a narrower keyword":                    {pair{rule("a", rules.MatchContains, "price list"), rule("b", rules.MatchContains, "price")}, "-"},
		"one of two":                            {pair{price, rule("b", rules.MatchContains, "cost", "prices")}, "prices"},
		"contains over word":                    {pair{price, rule("b", rules.MatchWord, "prices")}, ""},
		"word over contains":                    {pair{rule("a", rules.MatchWord, "price"), rule("b", rules.MatchContains, "price")}, "-"},
		"word over words":                       {pair{rule("a", rules.MatchWord, "price"), rule("b", rules.MatchWord, "best price")}, ""},
		"word over exact":                       {pair{rule("a", rules.MatchWord, "price"), rule("b", rules.MatchExact, "the price")}, ""},
		"exact over exact":                      {pair{rule("a", rules.MatchExact, "price"), rule("b", rules.MatchExact, "Price ")}, ""},
		"starts over starts":                    {pair{rule("a", rules.MatchStarts, "pri"), rule("b", rules.MatchStarts, "price")}, ""},
		"starts over word":                      {pair{rule("a", rules.MatchStarts, "pri"), rule("b", rules.MatchWord, "price")}, "-"},
		"all of, one covered":                   {pair{price, rule("b", rules.MatchAll, "price", "shirt")}, ""},
		"all of over all of":                    {pair{rule("a", rules.MatchAll, "price", "shirt"), rule("b", rules.MatchAll, "shirt", "price", "red")}, ""},
		"the same expression":                   {pair{rule("a", rules.MatchRegex, "pri(ce|ze)"), rule("b", rules.MatchRegex, "pri(ce|ze)")}, ""},
		"a limit":                               {pair{limited, rule("b", rules.MatchContains, "price")}, "-"},
		"a narrower condition":                  {pair{with(price, rules.When{Languages: []string{"de"}}), rule("b", rules.MatchContains, "price")}, "-"},
		"a wider condition":                     {pair{price, with(rule("b", rules.MatchContains, "price"), rules.When{Languages: []string{"de"}})}, ""},
		"other occasions":                       {pair{price, with(rule("b", rules.MatchContains, "price"), rules.When{On: []rules.Occasion{rules.OnReferral}})}, "-"},
		"accents that only one of them wants":   {pair{rule("a", rules.MatchContains, "café"), with(rule("b", rules.MatchContains, "café"), rules.When{IgnoreAccents: true})}, "-"},
		"accents that only the later one wants": {pair{with(rule("a", rules.MatchContains, "cafe"), rules.When{IgnoreAccents: true}), rule("b", rules.MatchContains, "café")}, ""},
		"an earlier rule without keywords":      {pair{with(rule("a", ""), rules.When{On: []rules.Occasion{rules.OnText}}), with(rule("b", rules.MatchWord, "x"), rules.When{On: []rules.Occasion{rules.OnText}})}, ""},
		"otherwise after the same":              {pair{price, with(rule("b", rules.MatchContains, "price"), rules.When{Otherwise: true})}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := compile(t, c.rules[0], c.rules[1]).Conflicts()
			if c.keyword == "-" {
				require.Empty(t, got)
				return
			}
			require.Len(t, got, 1)
			require.Equal(t, "b", got[0].Rule.Name)
			require.Equal(t, "a", got[0].By.Name)
			require.Equal(t, c.keyword, got[0].Keyword)
		})
	}
}
