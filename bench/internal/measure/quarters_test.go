package measure

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestQuarters(t *testing.T) {
	seen := []float64{3, 1, 4, 6, 7, 9, 14, 12, 10}
	require.Equal(t, four{1, 2, 3, 4}, quarters([]float64{1, 2, 3, 4}, mean))
	require.Equal(t, four{2, 5, 8, 12}, quarters(seen, mean), "what is over falls to the later ones")
	require.Equal(t, four{1, 4, 7, 10}, quarters(seen, least))
	require.Equal(t, "2, 5, 8, 12", four{2, 5, 8, 12}.String())
	require.InDelta(t, 1.5, four{2, 5, 8, 12}.grown(), 1e-9)
}
