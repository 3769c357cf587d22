package child_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/run/child"
)

const patience = 20 * time.Second

// setup prepares a child that plays a role, and ends it with the test.
func setup(t *testing.T, role string) *child.Child {
	t.Helper()
	admin, err := child.FreeAddr(t.Context())
	require.NoError(t, err)
	self, err := os.Executable()
	require.NoError(t, err)
	c := child.New(child.Spec{
		Name: role, Path: self, Env: append(child.Environ(), envPlay+"="+role, "CHILD_TEST_ADMIN="+admin),
		Log: filepath.Join(t.TempDir(), "log"), Admin: admin,
	})
	t.Cleanup(func() { require.NoError(t, c.Kill()) })
	return c
}

func TestStartStopAndStartAgain(t *testing.T) {
	t.Parallel()
	c := setup(t, "well")
	require.False(t, c.Running())
	require.Zero(t, c.PID())
	require.ErrorIs(t, c.Signal(os.Interrupt), child.ErrNotRunning)
	require.ErrorIs(t, c.Ready(t.Context()), child.ErrNotRunning)
	for range 2 {
		require.NoError(t, c.Start())
		require.NoError(t, c.Ready(t.Context()))
		require.True(t, c.Running())
		require.ErrorContains(t, c.Start(), "it is running")
		_, err := c.Terminate(patience)
		require.NoError(t, err)
		require.False(t, c.Running())
		require.Zero(t, c.ExitCode())
	}
	require.NoError(t, c.Start())
	require.NoError(t, c.Kill())
	require.NoError(t, c.Kill(), "it is gone")
	require.Equal(t, -1, c.ExitCode(), "a signal ended it")
	log, err := os.ReadFile(c.Log)
	require.NoError(t, err)
	require.Contains(t, string(log), "playing well with \nplaying well", "both starts are in one log")
}

func TestTheEnvironmentIsNotHandedOn(t *testing.T) {
	t.Setenv("CHILD_TEST_SECRET", "ours")
	c := setup(t, "well")
	require.NoError(t, c.Start())
	require.NoError(t, c.Ready(t.Context()))
	log, err := os.ReadFile(c.Log)
	require.NoError(t, err)
	require.NotContains(t, string(log), "ours")
}

func TestFailures(t *testing.T) {
	t.Parallel()
	c := setup(t, "fails")
	require.NoError(t, c.Start())
	require.ErrorContains(t, c.Ready(t.Context()), "playing fails", "the log says why")
	require.Equal(t, 3, c.ExitCode())

	nowhere := child.New(child.Spec{Name: "nowhere", Path: filepath.Join(t.TempDir(), "nothing")})
	require.ErrorContains(t, nowhere.Start(), "start nowhere")
	require.False(t, nowhere.Running())
}

func TestTheDeafAreKilled(t *testing.T) {
	t.Parallel()
	c := setup(t, "deaf")
	require.NoError(t, c.Start())
	require.NoError(t, c.Ready(t.Context()))
	_, err := c.Terminate(50 * time.Millisecond)
	require.ErrorContains(t, err, "deaf did not stop within 50ms")
	require.False(t, c.Running())
}

func TestRepository(t *testing.T) {
	t.Parallel()
	root, err := child.Repository(".")
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(root, "go.work"))
	_, err = child.Repository(t.TempDir())
	require.ErrorContains(t, err, "inside the repository")
}

func TestBuild(t *testing.T) {
	t.Parallel()
	root, err := child.Repository(".")
	require.NoError(t, err)
	err = child.Build(t.Context(), root, t.TempDir(), "./pkg/nothing")
	require.ErrorContains(t, err, "build ./pkg/nothing")
}
