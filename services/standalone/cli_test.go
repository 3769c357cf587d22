package standalone_test

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/postgres"
	"github.com/parley-dm/parley/pkg/postgres/pgtest"
	"github.com/parley-dm/parley/pkg/topology"
	"github.com/parley-dm/parley/services/standalone"
)

// complete is a configuration of serve in which nothing is missing.
func complete(more ...string) []string {
	return append([]string{
		"DATABASE_URL=postgres://u:p@127.0.0.1:1/x", "FACEBOOK_APP_SECRET=app-secret", "FACEBOOK_VERIFY_TOKEN=verify",
		"INSTAGRAM_PAGE_ID=17841400000000001", "INSTAGRAM_PAGE_ACCESS_TOKEN=token",
	}, more...)
}

func TestHelpListsEverySetting(t *testing.T) {
	t.Parallel()
	code, out, _ := execute(t, nil, "--help")
	require.Equal(t, 0, code)
	for _, command := range []string{"demo", "serve", "migrate", "topology", "version"} {
		require.Regexp(t, `(?m)^  `+command+` `, out)
	}
	code, out, _ = execute(t, nil, "serve", "--help")
	require.Equal(t, 0, code)
	for _, variable := range []string{
		"DATABASE_URL +\\(required\\)", "FACEBOOK_APP_SECRET +\\(required\\)", "PORT +8000", "DATA_DIR +./data", "NATS_URL +-", "NATS_SYNC_INTERVAL +1s",
		"FALLBACK_RESPONSE +Thank you", "SEND_RATE_PER_ACCOUNT +100", "ARCHIVE_BATCH +1000",
	} {
		require.Regexp(t, `(?m)^  `+variable, out)
	}
	require.Equal(t, 1, lines(out, "  ADMIN_ADDR "), "a variable that all services read is listed once")
	require.NotContains(t, out, "SIMULATOR_ADDR")

	code, out, _ = execute(t, nil, "demo", "--help")
	require.Equal(t, 0, code)
	for _, variable := range []string{"DATABASE_URL +a private PostgreSQL", "SIMULATOR_ADDR +127.0.0.1:8082", "FACEBOOK_APP_SECRET +demo-secret", "DATA_DIR +a temporary folder"} {
		require.Regexp(t, `(?m)^  `+variable, out)
	}
	require.NotContains(t, out, "(required)")
}

func TestUsage(t *testing.T) {
	t.Parallel()
	code, out, _ := execute(t, nil)
	require.Equal(t, 2, code)
	require.Contains(t, out, "Commands:")
	code, _, err := execute(t, nil, "sing")
	require.Equal(t, 2, code)
	require.Contains(t, err, "sing")
	code, _, err = execute(t, nil, "serve", "--probe=dead")
	require.Equal(t, 2, code)
	require.Contains(t, err, "expected ready or live")
	code, out, _ = execute(t, nil, "version")
	require.Equal(t, 0, code)
	require.Contains(t, out, "schema version")
}

func TestBadSettingsAreAllNamedAtOnce(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"serve"}, {"serve", "--check-config"}, {"--check-config"}} {
		code, _, err := execute(t, complete("PORT=many", "LOG_LEVEL=loud", "NATS_SYNC_INTERVAL=never", "SEND_TIMEOUT=1ns"), args...)
		require.Equal(t, 2, code)
		require.Contains(t, err, "4 problem(s)")
		for _, name := range []string{"PORT", "LOG_LEVEL", "NATS_SYNC_INTERVAL", "SEND_TIMEOUT"} {
			require.Equal(t, 1, lines(err, "- "+name+":"), err)
		}
	}
	code, _, err := execute(t, nil, "serve")
	require.Equal(t, 2, code)
	for _, name := range []string{"DATABASE_URL", "FACEBOOK_APP_SECRET", "FACEBOOK_VERIFY_TOKEN", "INSTAGRAM_PAGE_ID", "INSTAGRAM_PAGE_ACCESS_TOKEN"} {
		require.Equal(t, 1, lines(err, "- "+name+": required"), err)
	}
	code, _, err = execute(t, []string{"PORT=many", "SIMULATOR_ADDR=nowhere", "SHUTDOWN_TIMEOUT=soon"}, "demo")
	require.Equal(t, 2, code)
	require.Contains(t, err, "3 problem(s)")
	code, _, err = execute(t, complete("NATS_URL=nats://127.0.0.1:4222", "NATS_LISTEN=:4222"), "serve", "--check-config")
	require.Equal(t, 2, code)
	require.Contains(t, err, "NATS_LISTEN: set together with NATS_URL")
	for _, args := range [][]string{{"serve"}, {"demo"}} {
		code, _, err = execute(t, []string{"DATABASE_URL=postgres://h/d", "FACEBOOK_APP_SECRET_FILE=/none", "FACEBOOK_VERIFY_TOKEN=v", "INSTAGRAM_PAGE_ID=" + page,
			"INSTAGRAM_PAGE_ACCESS_TOKEN=t", "PORT=many", "LOG_LEVEL=loud"}, args...)
		require.Equal(t, 2, code)
		require.Contains(t, err, "3 problem(s)", "a file that cannot be read does not hide the others, and counts once")
		require.Contains(t, err, "FACEBOOK_APP_SECRET: FACEBOOK_APP_SECRET_FILE: open /none")
	}
	code, _, err = execute(t, nil, "migrate")
	require.Equal(t, 2, code)
	require.Contains(t, err, "DATABASE_URL")
}

func TestGoodSettings(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"serve", "--check-config"}, {"--check-config"}} {
		code, out, err := execute(t, complete(), args...)
		require.Equal(t, 0, code, err)
		require.Contains(t, out, "configuration is valid")
	}
	code, _, err := execute(t, nil, "demo", "--check-config")
	require.Equal(t, 0, code, err)
}

func TestSecretsComeFromFilesOnceForAllServices(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(file, []byte("from-a-file\n"), 0o600))
	environ := slices.DeleteFunc(complete("FACEBOOK_APP_SECRET_FILE="+file), func(v string) bool { return strings.HasPrefix(v, "FACEBOOK_APP_SECRET=") })
	cfg, err := standalone.LoadServe(environ)
	require.NoError(t, err)
	require.Equal(t, "from-a-file", cfg.Ingress.AppSecrets.Reveal())
	require.Equal(t, "from-a-file", cfg.Sender.AppSecret.Reveal())
	require.Equal(t, cfg.Responder.Database, cfg.Archiver.Database)
	_, err = standalone.LoadServe(complete("FACEBOOK_APP_SECRET_FILE=" + file))
	require.ErrorContains(t, err, "set both directly and by FACEBOOK_APP_SECRET_FILE")
}

func TestPortsThatAreTaken(t *testing.T) {
	t.Parallel()
	listen := func() (addr, port string) {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, l.Close()) })
		_, port, err = net.SplitHostPort(l.Addr().String())
		require.NoError(t, err)
		return l.Addr().String(), port
	}
	_, port := listen()
	admin, _ := listen()
	simulator, _ := listen()
	console, _ := listen()
	data := filepath.Join(t.TempDir(), "data")
	taken := []string{"HOST=127.0.0.1", "PORT=" + port, "ADMIN_ADDR=" + admin, "CONSOLE_ADDR=" + console, "SIMULATOR_ADDR=" + simulator, "DATA_DIR=" + data}
	code, out, err := execute(t, taken, "demo")
	require.Equal(t, 1, code)
	require.Contains(t, err, "port "+port+", for webhooks")
	for _, variable := range []string{"PORT=", "ADMIN_ADDR=", "CONSOLE_ADDR=", "SIMULATOR_ADDR="} {
		require.Contains(t, err, "as in "+variable)
	}
	require.Empty(t, out, "nothing was started")
	require.NoDirExists(t, data)

	code, _, err = execute(t, complete(taken...), "serve")
	require.Equal(t, 1, code)
	require.Contains(t, err, "as in PORT=")
	require.NotContains(t, err, "SIMULATOR_ADDR")
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	db := pgtest.EmptyDatabase(t)
	environ := []string{"DATABASE_URL=" + db.URL.Reveal()}
	code, out, err := execute(t, environ, "migrate")
	require.Equal(t, 0, code, err)
	require.Contains(t, out, "from version 0 to")
	require.NoError(t, postgres.CheckSchema(t.Context(), pgtest.Open(t, db)))
	code, out, _ = execute(t, environ, "migrate")
	require.Equal(t, 0, code)
	require.Contains(t, out, "current")

	code, _, err = execute(t, []string{"DATABASE_URL=postgres://u:sesame@127.0.0.1:1/x"}, "migrate")
	require.Equal(t, 1, code)
	require.NotContains(t, err, "sesame")
}

func TestTopologyIsPrintedFromTheData(t *testing.T) {
	t.Parallel()
	code, out, _ := execute(t, nil, "topology")
	require.Equal(t, 0, code)
	for _, s := range topology.Streams() {
		require.Contains(t, out, "| `"+s.Name+"` | `"+s.Subjects+"` |")
	}
	for _, b := range topology.Buckets() {
		require.Contains(t, out, "`"+b.Name+"`")
	}
	require.Contains(t, out, "`dm.event.<partition>.>`")
}
