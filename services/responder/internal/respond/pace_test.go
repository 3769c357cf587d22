package respond

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/parley-dm/parley/pkg/dm"
)

func TestPaceForgetsWhatIsQuietAndIsBounded(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	p := newPace(20, func() time.Time { return now })
	for i := range paceConversations + 1000 {
		p.take(dm.Conversation{Customer: fmt.Sprint(i)}, "e", now)
	}
	require.Len(t, p.conversations, paceConversations)
	require.Equal(t, paceConversations, p.recent.Len())
	now = now.Add(paceIdle)
	p.take(dm.Conversation{Customer: "new"}, "e", now)
	require.Len(t, p.conversations, 1)

	c := dm.Conversation{Customer: "new"}
	for i := range 1000 {
		p.take(c, fmt.Sprint(i), now)
	}
	require.LessOrEqual(t, len(of(p.conversations[c]).events), 40, "a loop fills no memory")
}

// TestPaceProperty draws times and redeliveries and compares with what was promised.
func TestPaceProperty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		maximum := rapid.IntRange(1, 5).Draw(t, "max")
		start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		p := newPace(maximum, func() time.Time { return start })
		at := start
		var answered []time.Time
		for i := range rapid.IntRange(1, 60).Draw(t, "events") {
			at = at.Add(time.Duration(rapid.IntRange(0, 40).Draw(t, "gap")) * time.Second)
			event := fmt.Sprint(i)
			first := p.take(dm.Conversation{}, event, at)
			again := p.take(dm.Conversation{}, event, at)
			require.Equal(t, first, again)
			if !first {
				answered = append(answered, at)
			}
			if n := len(answered); n > maximum {
				require.GreaterOrEqual(t, answered[n-1].Sub(answered[n-1-maximum]), paceWindow)
			}
		}
		require.GreaterOrEqual(t, len(answered), min(maximum, 1))
	})
}
