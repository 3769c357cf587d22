package rules_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/rules"
	"github.com/parley-dm/parley/pkg/rules/rulefile"
)

// TestRealLookingMessagesGetTheRuleThatAPersonWouldPick asks the rules of the example file.
func TestRealLookingMessagesGetTheRuleThatAPersonWouldPick(t *testing.T) {
	t.Parallel()
	all, err := rulefile.Parse("example.yaml", rulefile.Example)
	require.NoError(t, err)
	set, problems := rules.Compile(all)
	require.Empty(t, problems)
	table, err := os.ReadFile("testdata/messages.tsv")
	require.NoError(t, err)
	n, languages := 0, map[string]bool{}
	for i, line := range strings.Split(strings.TrimSuffix(string(table), "\n"), "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Split(line, "\t")
		require.Len(t, fields, 3, "line %d", i+1)
		language, want, text := fields[0], fields[1], fields[2]
		n, languages[language] = n+1, true
		v := set.Decide(rules.Turn{
			Occasions: []rules.Occasion{rules.OnText}, Texts: []string{text}, Now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC),
			Language: func() string { return language },
		})
		got := "-"
		if v.Matched {
			got = v.Rule.Name
			require.Equal(t, strings.TrimSpace(text[v.From:v.To]), v.Words, "line %d", i+1)
			require.NotEmpty(t, v.Words, "line %d", i+1)
		}
		if got != want {
			t.Errorf("line %d: %s: got %q on %q (%q), expected %q", i+1, text, got, v.Keyword, v.Words, want)
		}
	}
	require.GreaterOrEqual(t, n, 200)
	require.GreaterOrEqual(t, len(languages), 10)
}
