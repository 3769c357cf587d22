package verdict_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/services/simulator/internal/verdict"
)

// Whose webhook came out of its order may be answered anywhere, but once.
func TestUnorderedMessages(t *testing.T) {
	t.Parallel()
	abc := []string{"a", "b", "c"}
	for name, tt := range map[string]struct {
		got                                 []string
		answered, missing, doubled, swapped int
	}{
		"in its place":               {got: []string{"a", "b", "c"}, answered: 3},
		"last":                       {got: []string{"b", "c", "a"}, answered: 3},
		"missing":                    {got: []string{"b", "c"}, answered: 2, missing: 1},
		"doubled":                    {got: []string{"b", "a", "c", "a"}, answered: 3, doubled: 1},
		"the others are still wrong": {got: []string{"c", "a", "b"}, answered: 2, swapped: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := conversation(abc, tt.got...)
			c.Sent[0].Unordered = true
			v := verdict.Judge([]verdict.Conversation{c})
			require.Equal(t, tt.answered, v.Answered)
			require.Equal(t, tt.missing, v.Missing)
			require.Equal(t, tt.doubled, v.Doubled)
			require.Equal(t, tt.swapped, v.Swapped)
			require.Equal(t, 2, v.Ordered)
		})
	}
}
