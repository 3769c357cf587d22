package dm_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/dm"
)

func TestATraceIsBoundedAndKeepsTheWinner(t *testing.T) {
	t.Parallel()
	var trace dm.Trace
	for range 10_000 {
		trace.Try(dm.TraceRule{ID: strings.Repeat("i", 36), Name: strings.Repeat("ä", 1000), Skipped: "hours", Keyword: strings.Repeat("价", 1000)})
		trace.Ask(dm.TraceEngine{Name: "rules", Outcome: "passed", Detail: strings.Repeat("x", 1000)})
	}
	trace.Try(dm.TraceRule{ID: "winner", Won: true})
	require.Equal(t, "winner", trace.Tried[len(trace.Tried)-1].ID)
	require.Equal(t, 10_001, len(trace.Tried)+trace.MoreTried)
	b, err := json.Marshal(trace)
	require.NoError(t, err)
	require.Less(t, len(b), 16<<10)
	require.NotContains(t, string(b), `\ufffd`, "nothing is cut inside a letter")
}

func TestAnEmptyTraceIsEmptyJSON(t *testing.T) {
	t.Parallel()
	b, err := json.Marshal(dm.Trace{})
	require.NoError(t, err)
	require.JSONEq(t, `{}`, string(b))
}

func TestWhatTheIntentSaysIsNotSaidTwice(t *testing.T) {
	t.Parallel()
	whole := dm.Trace{Tried: []dm.TraceRule{{ID: "1", Name: "away", Skipped: "hours"}, {ID: "2", Name: "prices", Won: true, Keyword: "price", Words: "price"}}}
	trace := dm.Trace{Tried: append([]dm.TraceRule(nil), whole.Tried...)}
	trace.Compact(&dm.ReplyIntent{RuleID: "2", RuleName: "prices", MatchedOn: "price"})
	require.Equal(t, dm.TraceRule{ID: "2", Won: true, Words: "price"}, trace.Tried[1])
	trace.Expand("2", "prices", "price")
	require.Equal(t, whole, trace)
}
