package measure

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestQuarters(t *testing.T) {
	require.Equal(t, means{1, 2, 3, 4}, quarters([]float64{1, 2, 3, 4}))
	require.Equal(t, means{2, 5, 8, 12}, quarters([]float64{1, 3, 4, 6, 7, 9, 10, 12, 14}), "what is over falls to the later ones")
	require.Equal(t, "2, 5, 8, 12", means{2, 5, 8, 12}.String())
}
