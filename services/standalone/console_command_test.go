package standalone_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/postgres/pgtest"
	"github.com/parley-dm/parley/services/standalone"
)

func TestSomebodyIsLetIntoTheConsole(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	environ := []string{"DATABASE_URL=" + db.URL.Reveal(), "CONSOLE_URL=https://console.example.com"}
	run := func(stdin string, args ...string) (code int, out, err string) {
		var stdout, stderr bytes.Buffer
		code = standalone.Execute(t.Context(), standalone.Invocation{
			Args: append([]string{"console", "add-user"}, args...), Environ: environ, Stdin: strings.NewReader(stdin), Stdout: &stdout, Stderr: &stderr,
		})
		return code, stdout.String(), stderr.String()
	}
	code, out, err := run("", "Ann@example.com")
	require.Equal(t, 0, code, err)
	require.Contains(t, out, "https://console.example.com/welcome?next=%2Fme&token=")
	code, again, err := run("", "ann@example.com")
	require.Equal(t, 0, code, err)
	require.NotEqual(t, out, again, "who is there already gets another link")

	code, out, err = run("a long enough one\n", "bob@example.com", "--role", "agent", "--account", "178", "--password")
	require.Equal(t, 0, code, err)
	require.NotContains(t, out, "token=")
	require.NotContains(t, out, "long enough")
	pool := pgtest.Open(t, db)
	var users, audited int
	require.NoError(t, pool.QueryRow(t.Context(), `SELECT count(*) FROM users
		WHERE email = 'bob@example.com' AND role = 'agent' AND accounts = '{178}' AND password_hash LIKE '$argon2id$%'`).Scan(&users))
	require.NoError(t, pool.QueryRow(t.Context(), `SELECT count(*) FROM audit_log WHERE action = 'user.added' AND via = 'command'`).Scan(&audited))
	require.Equal(t, 1, users)
	require.Equal(t, 2, audited)

	for want, c := range map[string]struct {
		stdin string
		args  []string
	}{
		"expected such as ann@example.com": {"", []string{"ann"}},
		"got 5 characters":                 {"short\n", []string{"eve@example.com", "--password"}},
		"an owner sees all":                {"", []string{"eve@example.com", "--account", "178"}},
		"with the role owner":              {"", []string{"ann@example.com", "--role", "viewer"}},
		"exists":                           {"a long enough one", []string{"ann@example.com", "--password"}},
	} {
		code, _, err := run(c.stdin, c.args...)
		require.Equal(t, 1, code)
		require.Contains(t, err, want)
	}
	code, _, err = run("", "eve@example.com", "--role", "emperor")
	require.Equal(t, 2, code)
	require.Contains(t, err, "emperor")
}
