package datadir_test

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/parley-dm/parley/services/standalone/internal/datadir"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestOnlyOneAtATime(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "not", "there", "yet")
	first, err := datadir.Open(path)
	require.NoError(t, err)
	_, err = datadir.Open(path)
	require.ErrorContains(t, err, path)
	require.ErrorContains(t, err, "in use by another parley (process "+strconv.Itoa(os.Getpid())+")")
	require.NoError(t, first.Close())
	second, err := datadir.Open(path)
	require.NoError(t, err)
	require.NoError(t, second.Close())
	require.DirExists(t, path)
}

func TestAMemberKeepsItsName(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	names := map[string]bool{}
	for range 3 {
		d, err := datadir.Open(path)
		require.NoError(t, err)
		name, err := d.Member()
		require.NoError(t, err)
		names[name] = true
		require.NoError(t, d.Close())
	}
	require.Len(t, names, 1)

	require.NoError(t, os.WriteFile(filepath.Join(path, "member"), []byte("not.a *name"), 0o600))
	d, err := datadir.Open(path)
	require.NoError(t, err)
	name, err := d.Member()
	require.NoError(t, err)
	require.Regexp(t, `^parley-[a-z0-9]+$`, name)
	require.NoError(t, d.Close())
}

func TestATemporaryFolderIsRemoved(t *testing.T) {
	t.Parallel()
	d, err := datadir.Temporary()
	require.NoError(t, err)
	require.True(t, d.IsTemporary())
	require.NoError(t, os.WriteFile(d.Join("a"), nil, 0o600))
	require.NoError(t, d.Close())
	require.NoDirExists(t, d.Path())
}

func TestAPathThatIsNoFolder(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := datadir.Open(file)
	require.ErrorContains(t, err, "DATA_DIR")
}
