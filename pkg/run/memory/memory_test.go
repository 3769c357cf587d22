package memory

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLimit(t *testing.T) {
	t.Parallel()
	require.EqualValues(t, highest, limit(0), "unknown")
	require.EqualValues(t, lowest, limit(100<<20), "a small container")
	require.EqualValues(t, 256<<20, limit(512<<20))
	require.EqualValues(t, highest, limit(64<<30))
}

func TestHeadroom(t *testing.T) {
	t.Parallel()
	require.EqualValues(t, leastHeadroom, headroom(0), "unknown")
	require.EqualValues(t, leastHeadroom, headroom(512<<20))
	require.EqualValues(t, 64<<20, headroom(2<<30))
	require.EqualValues(t, mostHeadroom, headroom(64<<30))
}

func TestAvailableIsTheLesserBound(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	meminfo := write("meminfo", "MemTotal:        2048000 kB\nMemFree:  1 kB\n")
	require.EqualValues(t, 2048000<<10, available(meminfo, write("none", "max\n")))
	require.EqualValues(t, 512<<20, available(meminfo, write("bound", "536870912\n")))
	require.EqualValues(t, 0, available(filepath.Join(dir, "missing"), filepath.Join(dir, "missing")))
}

func TestTheOperatorsWordCounts(t *testing.T) {
	t.Parallel()
	require.True(t, has([]string{"A=b", "GOGC=100"}, "GOGC"))
	require.False(t, has([]string{"GOGC=", "GOGCX=1"}, "GOGC"))
}
