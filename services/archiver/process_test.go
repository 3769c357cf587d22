package archiver_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/bus/bustest"
	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/pkg/postgres"
	"github.com/parley-dm/parley/pkg/postgres/pglocal"
	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/services/archiver"
)

// childEnv makes the test binary be the archiver: what is tested is then a process, with memory and an exit code of its own.
const childEnv = "ARCHIVER_TEST_CHILD"

func beArchiver() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	cfg, err := config.Load[archiver.Config](os.Environ())
	if err == nil {
		err = archiver.Run(ctx, cfg)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// server is a PostgreSQL that can be stopped and started again at one address.
type server struct {
	t       *testing.T
	dir     string
	link    string
	running *pglocal.Server
}

func newServer(t *testing.T) *server {
	t.Helper()
	dir, err := os.MkdirTemp("", "archiver-") //nolint:usetesting // a socket's path may have about 100 bytes only
	require.NoError(t, err)
	s := &server{t: t, dir: filepath.Join(dir, "pg"), link: filepath.Join(dir, "s")}
	t.Cleanup(func() {
		s.down()
		require.NoError(t, os.RemoveAll(dir))
	})
	s.up()
	return s
}

func (s *server) up() {
	s.t.Helper()
	var err error
	s.running, err = pglocal.Start(s.t.Context(), pglocal.Options{Dir: s.dir, Unsafe: true})
	require.NoError(s.t, err)
	u, err := url.Parse(s.running.URL())
	require.NoError(s.t, err)
	_ = os.Remove(s.link)
	require.NoError(s.t, os.Symlink(u.Query().Get("host"), s.link))
}

func (s *server) down() {
	s.t.Helper()
	if s.running != nil {
		require.NoError(s.t, s.running.Stop())
		s.running = nil
	}
}

func (s *server) database() config.Database {
	u, err := url.Parse(s.running.URL())
	require.NoError(s.t, err)
	q := u.Query()
	q.Set("host", s.link)
	u.RawQuery = q.Encode()
	return config.Database{URL: config.Secret(u.String())}
}

// process is an archiver in a process of its own.
type process struct {
	cmd     *exec.Cmd
	metrics string
}

func startProcess(t *testing.T, nats *bustest.Server, db config.Database) *process {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	admin := l.Addr().String()
	require.NoError(t, l.Close())
	p := &process{cmd: exec.CommandContext(context.Background(), os.Args[0]), metrics: "http://" + admin + "/metrics"}
	p.cmd.Env = append(os.Environ(), childEnv+"=1", "NATS_URL="+nats.URL(), "DATABASE_URL="+db.URL.Reveal(), "ADMIN_ADDR="+admin,
		"LOG_LEVEL=ERROR", "SHUTDOWN_TIMEOUT=20s", "ARCHIVE_MAX_IN_FLIGHT=300")
	p.cmd.Stderr = os.Stderr
	require.NoError(t, p.cmd.Start())
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			_ = p.cmd.Process.Kill()
			_ = p.cmd.Wait()
		}
	})
	return p
}

// metric reads one; -1 while the process does not tell.
func (p *process) metric(t *testing.T, name string) float64 {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.metrics, nil)
	require.NoError(t, err)
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return -1
	}
	defer func() { _ = res.Body.Close() }()
	sum, found := 0.0, false
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), name); ok && strings.ContainsAny(rest[:1], " {") {
			v, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
			require.NoError(t, err)
			sum, found = sum+v, true
		}
	}
	if !found {
		return -1
	}
	return sum
}

func TestPostgreSQLStoppedAndStartedLosesNothingAndFillsNoMemory(t *testing.T) {
	t.Parallel()
	nats, pg := bustest.Start(t), newServer(t)
	db := pg.database()
	_, _, err := postgres.Migrate(t.Context(), db)
	require.NoError(t, err)
	conn, err := bus.Connect(t.Context(), bus.ConnConfig{URL: nats.URL()})
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	publisher, err := pipeline.Open(t.Context(), pipeline.Options{
		Service: "test", Common: config.Common{ShutdownTimeout: 20 * time.Second}, NATS: config.NATS{Replicas: 1},
		Host: &pipeline.Host{Telemetry: telemetry.Discard(), Conn: conn},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, publisher.Close()) })
	b := &bundle{publisher: publisher}

	p := startProcess(t, nats, db)
	b.publish(t, 100)
	awaitCounts(t, db, "inbound received 100, outbound sent 100")
	before := p.metric(t, "process_resident_memory_bytes")

	pg.down()
	b.publish(t, 4000)
	require.Eventually(t, func() bool { return p.metric(t, "parley_archive_away") == 1 }, 30*time.Second, 50*time.Millisecond)
	require.Eventually(t, func() bool { return p.metric(t, "parley_archive_waiting") > 0 }, 30*time.Second, 50*time.Millisecond)
	require.Less(t, p.metric(t, "go_goroutines"), 3000.0, "only as many handlers as there may be wait")
	require.Less(t, p.metric(t, "process_resident_memory_bytes")-before, float64(200<<20), "4,000 messages wait in the stream; with the race detector memory counts several times")
	require.Zero(t, p.metric(t, "parley_archive_halvings_total"), "nobody is suspected")
	pg.up()
	awaitCounts(t, db, "inbound received 4000, outbound sent 4000")
	require.Zero(t, p.metric(t, "parley_archive_away"))

	// A stop in the middle of it takes no longer than another, and leaves the rest to the next process.
	pg.down()
	b.publish(t, 4200)
	require.Eventually(t, func() bool { return p.metric(t, "parley_archive_away") == 1 }, 30*time.Second, 50*time.Millisecond)
	begin := time.Now()
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, p.cmd.Wait(), "it exits with 0")
	require.Less(t, time.Since(begin), 15*time.Second)
	pg.up()
	startProcess(t, nats, db)
	awaitCounts(t, db, "inbound received 4200, outbound sent 4200")
}
