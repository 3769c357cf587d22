package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/services/console"
	"github.com/parley-dm/parley/services/console/internal/password"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/webtest"
)

func TestMain(m *testing.M) { webtest.Main(m) }

func TestWhoIsNotSignedInIsSentToSignInAndBack(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, nil)
	hash, err := password.Hash(t.Context(), "correct horse battery")
	require.NoError(t, err)
	_, err = site.Store.AddUser(t.Context(), store.User{Email: "Ann@example.com", Role: store.Owner, PasswordHash: hash})
	require.NoError(t, err)

	client := site.Anonymous()
	resp, err := client.Get(site.URL + "/?tab=1") //nolint:noctx // a test
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusSeeOther, resp.StatusCode)
	require.Equal(t, "/sign-in?next=%2F%3Ftab%3D1", resp.Header.Get("Location"))
	require.Equal(t, "no-store", resp.Header.Get("Cache-Control"))

	form := url.Values{"email": {"ann@EXAMPLE.com"}, "password": {"wrong"}, "next": {"/?tab=1"}}
	resp, err = client.PostForm(site.URL+"/sign-in", form) //nolint:noctx // a test
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusUnprocessableEntity, resp.StatusCode)
	form.Set("password", "correct horse battery")
	resp, err = client.PostForm(site.URL+"/sign-in", form) //nolint:noctx // a test
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusSeeOther, resp.StatusCode)
	require.Equal(t, "/?tab=1", resp.Header.Get("Location"))

	status, body := site.Do(client, http.MethodGet, "/", nil)
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, "ann@example.com")
	require.Less(t, len(body), 100<<10)
}

func TestABrowserShowsThePageWithoutComplaint(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, nil)
	for name, b := range map[string]*webtest.Browser{
		"home-light": site.As(store.Owner).Open(webtest.Desktop, false),
		"home-phone": site.As(store.Viewer).Open(webtest.Phone, true),
	} {
		b.Go("/")
		require.Contains(t, b.Text("h1"), "Good to see you")
		require.False(t, b.Overflows())
		b.Wait(".live.on")
		b.Screenshot(name)
		b.Run(chromedp.KeyEvent("?"))
		b.Wait("#keys")
	}
}

func TestBadSettingsAreAllNamed(t *testing.T) {
	t.Parallel()
	_, err := config.Load[console.Config](strings.Fields("DATABASE_URL=mysql://x CONSOLE_ADDR=x CONSOLE_URL=http://shop.example CONSOLE_SESSION_IDLE=1s CONSOLE_SESSION_MAX=0s CONSOLE_MEDIA_HOSTS=x CONSOLE_TRUSTED_PROXIES=x"))
	for _, name := range []string{"DATABASE_URL", "CONSOLE_ADDR", "CONSOLE_URL", "CONSOLE_SESSION_IDLE", "CONSOLE_SESSION_MAX", "CONSOLE_MEDIA_HOSTS", "CONSOLE_TRUSTED_PROXIES"} {
		require.ErrorContains(t, err, name)
	}
}

func TestWhatIsOverIsDeletedWhileTheConsoleRuns(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, func(c *console.Config) { c.SweepEvery = 20 * time.Millisecond })
	user := site.As(store.Owner).User
	exec := func(sql string, args ...any) {
		_, err := site.DB.Exec(t.Context(), sql, args...)
		require.NoError(t, err)
	}
	exec(`INSERT INTO sessions (token_hash, user_id, method, expires_at) VALUES ('\x01', $1, 'link', now() - interval '1 second')`, user.ID)
	exec(`INSERT INTO sign_in_links (token_hash, user_id, expires_at) VALUES ('\x01', $1, now() - interval '1 second'), ('\x02', $1, now() + interval '1 hour')`, user.ID)
	exec(`INSERT INTO idempotency_keys (user_id, key, request_hash, created_at) VALUES ($1, 'old', '\x01', now() - interval '49 hours'), ($1, 'new', '\x01', now())`, user.ID)
	exec(`INSERT INTO outgoing_webhooks (url, secret, events) VALUES ('https://example.com', 's', '{reply.sent}')`)
	exec(`INSERT INTO webhook_deliveries (webhook_id, event, event_id, account, state, created_at)
		SELECT w.id, 'reply.sent', d.state || d.age, '171', d.state, now() - make_interval(days => d.age)
		FROM outgoing_webhooks w, (VALUES ('delivered', 31), ('failed', 31), ('failed', 1)) AS d (state, age)`)
	left := func() [4]int {
		return [4]int{
			count(t, site, `SELECT count(*) FROM sessions`), count(t, site, `SELECT count(*) FROM sign_in_links`),
			count(t, site, `SELECT count(*) FROM idempotency_keys`), count(t, site, `SELECT count(*) FROM webhook_deliveries`),
		}
	}
	require.Eventually(t, func() bool { return left() == [4]int{1, 1, 1, 1} }, 20*time.Second, 10*time.Millisecond)
}
