package standalone_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/postgres/pgtest"
)

// child is parley as a process.
type child struct {
	t      *testing.T
	cmd    *exec.Cmd
	ended  chan struct{}
	mu     sync.Mutex
	said   []string
	stderr strings.Builder
}

func startChild(t *testing.T, environ []string, args ...string) *child {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	c := &child{t: t, cmd: exec.CommandContext(context.Background(), self, args...), ended: make(chan struct{})}
	c.cmd.Env = append([]string{childEnv + "=1", "PATH=" + os.Getenv("PATH")}, environ...)
	c.cmd.Stderr = &c.stderr
	stdout, err := c.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.cmd.Start())
	go func() {
		for s := bufio.NewScanner(stdout); s.Scan(); {
			c.mu.Lock()
			c.said = append(c.said, s.Text())
			c.mu.Unlock()
		}
		_, _ = io.Copy(io.Discard, stdout)
		_ = c.cmd.Wait() // ProcessState says how it ended
		close(c.ended)
	}()
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill() // it has ended, but for a test that failed
		<-c.ended
	})
	return c
}

// saw says whether it printed a line with a text.
func (c *child) saw(text string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return lines(strings.Join(c.said, "\n"), text) > 0
}

// end sends a signal and waits for the exit code.
func (c *child) end(signal os.Signal) int {
	c.t.Helper()
	require.NoError(c.t, c.cmd.Process.Signal(signal))
	<-c.ended
	return c.cmd.ProcessState.ExitCode()
}

func TestDemoAnswersAndLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	temp := t.TempDir()
	// Root's private PostgreSQL runs as another user, who must get there.
	require.NoError(t, os.Chmod(filepath.Dir(temp), 0o711))
	port, simulator, admin, console := freePort(t), "127.0.0.1:"+freePort(t), "127.0.0.1:"+freePort(t), "127.0.0.1:"+freePort(t)
	c := startChild(t, []string{"TMPDIR=" + temp, "PORT=" + port, "SIMULATOR_ADDR=" + simulator, "ADMIN_ADDR=" + admin, "CONSOLE_ADDR=" + console, "NATS_LISTEN=127.0.0.1:" + freePort(t)}, "demo")
	w := &world{t: t, webhook: "http://127.0.0.1:" + port + "/webhooks/instagram", client: &http.Client{Transport: &http.Transport{}}}
	t.Cleanup(w.client.CloseIdleConnections)
	w.eventually(func() bool { return c.saw("Ctrl-C ends it") }, "it is ready")
	require.True(t, c.saw("http://"+simulator+"/"))
	require.True(t, c.saw("http://"+console+"/welcome?token="))
	require.True(t, c.saw(w.webhook))
	require.True(t, c.saw("psql 'postgres://"))

	require.Equal(t, http.StatusOK, w.post("7001", "m_1", "price?"))
	require.Equal(t, http.StatusOK, w.post("7002", "m_2", "\x1b]0;something else"))
	w.eventually(func() bool { return c.saw("out   7001        sent") && c.saw("out   7002        sent") }, "both are answered")
	require.True(t, c.saw("in    7001        “price?”"))
	require.True(t, c.saw("rule  7001        “price” → “Our candles"))
	require.True(t, c.saw("rule  7002        fallback"))
	require.False(t, c.saw("\x1b"))

	require.Equal(t, 0, c.end(syscall.SIGTERM), c.stderr.String())
	left, err := os.ReadDir(temp)
	require.NoError(t, err)
	require.Empty(t, left)
	require.NotContains(t, c.stderr.String(), "price", "no text is logged")
}

func TestServeAsAProcess(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	db := pgtest.EmptyDatabase(t) // it migrates by itself
	w.pool = pgtest.Open(t, db)
	admin := "127.0.0.1:" + freePort(t)
	environ := slices.Concat(w.environ, []string{"DATABASE_URL=" + db.URL.Reveal(), "ADMIN_ADDR=" + admin})
	c := startChild(t, environ, "serve")
	w.eventually(func() bool { code, _, _ := execute(t, environ, "serve", "--probe"); return code == 0 }, "it is ready")
	w.eventually(func() bool { return w.count(`SELECT count(*) FROM messages`) == 0 }, "the schema is there")
	require.Equal(t, http.StatusOK, w.post("7001", "m_1", "hello"))
	w.eventually(func() bool { return len(w.replies("7001")) == 1 }, "it answers")
	require.Equal(t, 0, c.end(syscall.SIGINT), c.stderr.String())
	code, _, err := execute(t, environ, "--probe=live")
	require.Equal(t, 1, code)
	require.Contains(t, err, admin)
}

// A call that the kill cut off may have been heard or not. It is found out, and what was not heard is said.
func TestAKillInTheMiddleSendsEverythingOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "SEND_TIMEOUT=1s")
	w.rules()
	c := startChild(t, w.environ, "serve")
	w.say() // Meta goes on trying until somebody listens
	w.eventually(func() bool { return w.meta.Totals().Replies >= customers*each/5 }, "some are answered")
	require.Equal(t, -1, c.end(syscall.SIGKILL))
	between := w.meta.Totals().Replies
	again := startChild(t, w.environ, "serve")
	w.eventually(func() bool { return w.meta.Verdict().Missing == 0 }, "every message is answered")
	w.archived(`direction = 'outbound' AND status IN ('sent', 'read') AND metadata ? 'delivery'`)
	// What the archiver had in hand when it was killed comes again when the bus gives up waiting for it.
	w.archived(`direction = 'inbound'`)
	require.Equal(t, 0, again.end(syscall.SIGTERM), again.stderr.String())

	v := w.meta.Verdict()
	require.Zero(t, v.Doubled+v.Swapped+v.Wrong, "%+v", v.Faults)
	require.Equal(t, customers*each, w.count(`SELECT count(*) FROM messages WHERE direction = 'inbound'`))
	require.Equal(t, customers*each, w.count(`SELECT count(*) FROM messages WHERE direction = 'outbound'`), "no echo has a row of its own")
	t.Logf("%d of %d were answered before the kill", between, customers*each)
}
