package lock_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/run/lock"
)

func TestOneAtATime(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "lock")
	first, err := lock.Take(name)
	require.NoError(t, err)
	_, err = lock.Take(name)
	require.ErrorIs(t, err, lock.ErrHeld)
	require.NoError(t, first.Close())
	second, err := lock.Take(name)
	require.NoError(t, err, "given back")
	require.NoError(t, second.Close())
}
