package pglocal

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// childEnv makes the test binary start a server and then wait to be killed.
const childEnv = "PGLOCAL_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		s, err := Start(context.Background(), Options{Unsafe: true})
		if err != nil {
			_, _ = fmt.Fprintln(os.Stdout, "error:", err)
			os.Exit(1)
		}
		_, _ = fmt.Fprintln(os.Stdout, s.process.cmd.Process.Pid, strings.Join(s.temp, " "))
		select {}
	}
	goleak.VerifyTestMain(m)
}

func query(t *testing.T, url, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(context.WithoutCancel(t.Context()))) }()
	var out string
	require.NoError(t, conn.QueryRow(t.Context(), sql).Scan(&out))
	return out
}

func TestTemporaryServerLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	s, err := Start(t.Context(), Options{Unsafe: true, Settings: map[string]string{"work_mem": "5MB"}})
	require.NoError(t, err)
	require.Equal(t, "parley", query(t, s.URL(), "SELECT current_database()"))
	require.Equal(t, "5MB", query(t, s.URL(), "SHOW work_mem"))
	require.Empty(t, query(t, s.URL(), "SHOW listen_addresses"))
	require.Equal(t, "off", query(t, s.URL(), "SHOW fsync"))
	require.Empty(t, s.TCPURL())
	require.NoError(t, s.Stop())
	require.NoError(t, s.Stop(), "stopping again changes nothing")
	for _, dir := range s.temp {
		require.NoDirExists(t, dir)
	}
	select {
	case <-s.Done():
	default:
		t.Fatal("the server still runs")
	}
}

func TestGivenFolderIsReusedAndPortNeedsThePassword(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	require.NoError(t, os.Chmod(parent, 0o700)) // closed to the server's user, when root runs the test
	dir := filepath.Join(parent, "deep", "er")

	s, err := Start(t.Context(), Options{Dir: dir, Database: "shop", Port: AnyPort})
	require.NoError(t, err)
	require.Equal(t, "on", query(t, s.URL(), "SHOW fsync"))
	require.Equal(t, "127.0.0.1", query(t, s.TCPURL(), "SHOW listen_addresses"))
	conn, err := pgx.Connect(t.Context(), s.URL())
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "CREATE TABLE kept AS SELECT 'yes' AS answer")
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
	wrong := strings.Replace(s.TCPURL(), s.password, "wrong", 1)
	_, err = pgx.Connect(t.Context(), wrong)
	require.ErrorContains(t, err, "password")
	require.NoError(t, s.Stop())

	s, err = Start(t.Context(), Options{Dir: dir, Database: "shop"})
	require.NoError(t, err)
	require.Equal(t, "yes", query(t, s.URL(), "SELECT answer FROM kept"))
	require.NoError(t, s.Stop())
	require.DirExists(t, filepath.Join(dir, "data"))
}

func TestStartSaysWhyItFailed(t *testing.T) {
	t.Parallel()
	s, err := Start(t.Context(), Options{Unsafe: true, Settings: map[string]string{"shared_buffers": "nonsense"}})
	require.Nil(t, s)
	require.ErrorContains(t, err, "shared_buffers")

	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "data"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "data", "PG_VERSION"), []byte("9\n"), 0o600))
	_, err = Start(t.Context(), Options{Dir: dir})
	require.ErrorContains(t, err, "written by PostgreSQL 9")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = Start(ctx, Options{Unsafe: true})
	require.ErrorIs(t, err, context.Canceled)
}

// A process that is killed takes its server with it, and the temporary folders.
func TestKilledParentLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), childEnv+"=1")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	fields := strings.Fields(line)
	require.Len(t, fields, 3, line)
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	require.Eventually(t, func() bool {
		for _, dir := range fields[1:] {
			if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
				return false
			}
		}
		_, err := os.Stat("/proc/" + fields[0])
		return errors.Is(err, os.ErrNotExist)
	}, 20*time.Second, 50*time.Millisecond, "the server and its folders are still there")
}
