package bus

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func loads(owners []string) map[string]int {
	n := map[string]int{}
	for _, o := range owners {
		n[o]++
	}
	return n
}

func moved(before, after []string) int {
	n := 0
	for i := range before {
		if before[i] != after[i] {
			n++
		}
	}
	return n
}

func TestAssignIsEvenDeterministicAndMovesLittle(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		partitions := rapid.IntRange(1, 64).Draw(t, "partitions")
		members := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z0-9]{4,12}`), 1, 12, rapid.ID[string]).Draw(t, "members")
		slices.Sort(members)
		owners := assign(partitions, members)
		require.Len(t, owners, partitions)
		share := loads(owners)
		for _, m := range members {
			require.GreaterOrEqual(t, share[m], partitions/len(members))
			require.LessOrEqual(t, share[m], (partitions+len(members)-1)/len(members))
		}
		require.Equal(t, owners, assign(partitions, slices.Clone(members)))
		shuffled := rapid.Permutation(members).Draw(t, "shuffled")
		require.Equal(t, owners, assign(partitions, shuffled), "the order of the members does not matter")
	})

	// How much moves depends on the hashes: on average little more than the share of the member who joins or leaves.
	total, least := 0.0, 0.0
	for run := range 200 {
		members := make([]string, 2+run%6)
		for i := range members {
			members[i] = fmt.Sprintf("member-%d-%d", run, i)
		}
		with := assign(64, members)
		without := assign(64, members[:len(members)-1])
		total += float64(moved(with, without))
		least += float64(loads(with)[members[len(members)-1]])
	}
	require.Less(t, total, 2*least, "moved %.0f partitions, %.0f had to move", total, least)
	require.Empty(t, slices.Collect(maps.Keys(loads(assign(0, []string{"a"})))))
	require.Equal(t, []string{"", ""}, assign(2, nil))
}
