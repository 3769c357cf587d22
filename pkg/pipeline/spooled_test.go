package pipeline

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/topology"
)

func TestWhatASpoolMayHold(t *testing.T) {
	t.Parallel()
	nothing, lanes := make([]byte, topology.SpoolHeader), make([]byte, topology.SpoolHeader+2)
	for _, c := range []struct {
		name   string
		told   []byte
		silent time.Duration
		may    bool
	}{
		{"it says that it holds nothing", nothing, 10 * time.Second, false},
		{"it holds something", lanes, time.Second, true},
		{"it held something when it was heard last", lanes, 30 * time.Minute, true},
		{"it is cut off", nothing, 30 * time.Second, true},
		{"it is gone", nothing, 10 * time.Minute, false},
	} {
		require.Equal(t, c.may, mayHold(c.told, c.silent), c.name)
	}
}
