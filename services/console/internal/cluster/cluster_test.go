package cluster_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/services/console/internal/cluster"
)

func TestMessagesThatSayNearlyTheSameAreTogether(t *testing.T) {
	t.Parallel()
	got := cluster.Of([]string{
		"Is there parking nearby?", "parking nearby", "Do you sell vases?", "PARKING nearby??", "do you sell red vases", "hello there my dear friend", "!!!", "",
		"هل يوجد موقف سيارات", "هل يوجد موقف سيارات قريب",
	}, 10)
	require.Len(t, got, 3)
	require.Equal(t, 3, got[0].Count)
	require.Equal(t, "Is there parking nearby?", got[0].Example)
	require.Equal(t, []string{"parking", "nearby"}, got[0].Words)
	require.Contains(t, got[1].Words, "vases")
	require.Equal(t, "هل يوجد موقف سيارات", got[2].Example)
	require.Len(t, cluster.Of([]string{"a a", "aa", "aa", "bb cc", "bb cc"}, 1), 1)
}
