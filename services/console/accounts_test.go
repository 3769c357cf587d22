package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/topology"
	"github.com/parley-dm/parley/services/console"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/webtest"
)

const tokenKey = "abababababababababababababababababababababababababababababababab"

// tell keeps how an account stands, as a sender does.
func tell(t *testing.T, site *webtest.Site, s accounts.State) {
	t.Helper()
	bucket, err := site.Pipeline.Bucket(t.Context(), topology.Accounts)
	require.NoError(t, err)
	value, err := s.Encode()
	require.NoError(t, err)
	_, err = bucket.Put(t.Context(), s.Key(), value)
	require.NoError(t, err)
}

func paused(account string) accounts.State {
	now := time.Now().UTC()
	return accounts.State{
		Channel: "instagram", Account: account, Parked: 1234, Updated: now,
		Pause: &accounts.Pause{
			Since: now.Add(-time.Hour), Until: now.Add(time.Minute), Class: "token_dead", Code: 190, Subcode: 463,
			Reason: "<script>alert('dead')</script>", WhatToDo: "set a new token <b>now</b>",
		},
		Token: &accounts.TokenState{Fingerprint: "f1", Checked: now, Expires: now.Add(-time.Hour)},
	}
}

// audited is how often something was done, by the audit log.
func audited(t *testing.T, site *webtest.Site, action, target string) (n int) {
	t.Helper()
	require.NoError(t, site.DB.QueryRow(t.Context(), `SELECT count(*) FROM audit_log WHERE action = $1 AND target = $2`, action, target).Scan(&n))
	return n
}

func TestAccountsAreResumed(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, nil)
	tell(t, site, paused("171"))
	_, err := site.DB.Exec(t.Context(), `INSERT INTO conversations (page_id, instagram_user_id) SELECT a, c::text FROM unnest(ARRAY['171', '172', '173']) a, generate_series(1, 20) c`)
	require.NoError(t, err)

	viewer := site.As(store.Viewer)
	status, body := viewer.Get("/accounts")
	require.Equal(t, http.StatusOK, status)
	for _, want := range []string{"&lt;script&gt;alert(", "set a new token &lt;b&gt;now", "1,234", "190 / 463", "172", "173"} {
		require.Contains(t, body, want)
	}
	require.NotContains(t, body, "<script>alert(")
	require.NotContains(t, body, "/resume", "who looks only is offered nothing")
	_, body = site.As(store.Viewer, "173").Get("/accounts")
	require.NotContains(t, body, "172")

	const resume, target = "/accounts/instagram.171/resume", "account:instagram.171"
	status, _ = viewer.Post(resume, nil)
	require.Equal(t, http.StatusForbidden, status)
	status, _ = site.As(store.Agent, "172").Post(resume, nil)
	require.Equal(t, http.StatusNotFound, status, "another's account is not there")
	require.Zero(t, audited(t, site, "account.resumed", target))

	agent := site.As(store.Agent)
	status, to := agent.Post(resume, nil)
	require.Equal(t, http.StatusSeeOther, status)
	require.Equal(t, "/accounts", to)
	require.Equal(t, 1, audited(t, site, "account.resumed", target))
	bucket, err := site.Pipeline.Bucket(t.Context(), topology.Accounts)
	require.NoError(t, err)
	entry, err := bucket.Get(t.Context(), "instagram.171")
	require.NoError(t, err)
	now, err := accounts.ParseState(entry.Value)
	require.NoError(t, err)
	require.Nil(t, now.Pause)
	status, _ = agent.Post(resume, nil)
	require.Equal(t, http.StatusSeeOther, status, "twice is no error")
	require.Equal(t, 1, audited(t, site, "account.resumed", target))
	_, body = agent.Get("/accounts")
	require.Contains(t, body, "not paused any more")

	tell(t, site, accounts.State{App: "instagram", Pause: paused("").Pause, Updated: time.Now()})
	status, _ = site.As(store.Agent, "171").Post("/accounts/app.instagram/resume", nil)
	require.Equal(t, http.StatusForbidden, status, "an app's pause is about accounts that they do not see")
	status, _ = agent.Post("/accounts/app.instagram/resume", nil)
	require.Equal(t, http.StatusSeeOther, status)
}

func TestAccountsSayHowMuchOfWhatMetaAllowsTheyUse(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, nil)
	now := time.Now().UTC()
	busy := accounts.State{
		Channel: "instagram", Account: "171", Name: "Shop <b>one</b>", Updated: now,
		Usage: &accounts.UsageState{Percent: 91, Rate: 0.2025, At: now.Add(-time.Minute)},
		Token: &accounts.TokenState{Fingerprint: "f1", Valid: true, Checked: now, Expires: now.Add(80 * time.Hour)},
	}
	tell(t, site, busy)
	tell(t, site, accounts.State{Channel: "instagram", Account: "172", Updated: now, Token: &accounts.TokenState{Fingerprint: "f2", Valid: true, Checked: now}})
	_, body := site.As(store.Viewer).Get("/accounts")
	for _, want := range []string{"Shop &lt;b&gt;one", "<dd>171</dd>", `value="91" class="warn"`, "<strong>91 %</strong>", "sends at 20.2 % of its rate", ">soon<", "Meta has told nothing yet"} {
		require.Contains(t, body, want)
	}
	require.Less(t, strings.Index(body, "Shop"), strings.Index(body, "172"), "whose token dies soon is first")
	var list struct {
		Accounts []struct {
			Name  string
			Usage *struct{ Percent int }
		}
	}
	newScript(t, site, store.Viewer, []string{"accounts:read"}).call(http.MethodGet, "/api/v1/accounts", "", nil, &list) //nolint:bodyclose // it is closed there
	require.Len(t, list.Accounts, 2)
	require.Equal(t, busy.Name, list.Accounts[0].Name)
	require.Equal(t, 91, list.Accounts[0].Usage.Percent)
	require.Nil(t, list.Accounts[1].Usage)
}

func TestAccountsGetNewTokens(t *testing.T) {
	t.Parallel()
	const secret = "IGAAsecretsecretsecretsecret"
	site := webtest.Start(t, func(c *console.Config) { c.TokenKey = tokenKey })
	tell(t, site, paused("171"))
	_, err := site.Pipeline.Bucket(t.Context(), topology.Tokens)
	require.NoError(t, err)
	form := url.Values{"token": {secret}}
	status, _ := site.As(store.Agent).Post("/accounts/instagram.171/token", form)
	require.Equal(t, http.StatusForbidden, status)
	owner := site.As(store.Owner)
	status, _ = owner.Post("/accounts/instagram.171/token", url.Values{"token": {"short"}})
	require.Equal(t, http.StatusUnprocessableEntity, status)
	status, _ = owner.Post("/accounts/instagram.172/token", form)
	require.Equal(t, http.StatusNotFound, status)
	status, _ = owner.Post("/accounts/instagram.171/token", form)
	require.Equal(t, http.StatusSeeOther, status)

	bucket, err := site.Pipeline.Bucket(t.Context(), topology.Tokens)
	require.NoError(t, err)
	entry, err := bucket.Get(t.Context(), "instagram.171")
	require.NoError(t, err)
	kept, err := accounts.ParseKeptToken(entry.Value)
	require.NoError(t, err)
	require.Equal(t, "f1", kept.For)
	vault, err := accounts.NewVault(tokenKey)
	require.NoError(t, err)
	opened, err := vault.Open("instagram.171", kept.Sealed)
	require.NoError(t, err)
	require.Equal(t, config.Secret(secret), opened)

	require.Equal(t, 1, audited(t, site, "account.token_set", "account:instagram.171"))
	var log string
	require.NoError(t, site.DB.QueryRow(t.Context(), `SELECT string_agg(a::text, ' ') FROM audit_log a`).Scan(&log))
	require.NotContains(t, log, secret)
	_, body := owner.Get("/accounts")
	require.NotContains(t, body, secret)
}

func TestAccountsWithoutAKeyTakeNoTokens(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, nil)
	tell(t, site, paused("171"))
	owner := site.As(store.Owner)
	_, body := owner.Get("/accounts")
	require.Contains(t, body, "TOKEN_KEY")
	require.NotContains(t, body, `action="/accounts/instagram.171/token"`)
	status, _ := owner.Post("/accounts/instagram.171/token", url.Values{"token": {strings.Repeat("x", 40)}})
	require.Equal(t, http.StatusUnprocessableEntity, status)

	_, err := config.Load[console.Config]([]string{"DATABASE_URL=postgres://x@127.0.0.1/x", "TOKEN_KEY=short-and-secret"})
	require.ErrorContains(t, err, "TOKEN_KEY: expected 32 random bytes")
	require.NotContains(t, err.Error(), "short-and-secret")
}

func TestAccountsInABrowser(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, func(c *console.Config) { c.TokenKey = tokenKey })
	tell(t, site, paused("17841400000000001"))
	fine := accounts.State{Channel: "instagram", Account: "17841400000000002", Updated: time.Now(), Token: &accounts.TokenState{Fingerprint: "f2", Valid: true, Checked: time.Now(), Expires: time.Now().Add(1000 * time.Hour)}}
	fine.Name, fine.Usage = "Bakery at the harbour", &accounts.UsageState{Percent: 37, Rate: 1, At: time.Now()}
	tell(t, site, fine)
	for _, c := range []struct {
		name  string
		width int64
		dark  bool
	}{{"accounts-light", webtest.Desktop, false}, {"accounts-phone", webtest.Phone, true}} {
		b := site.As(store.Owner).Open(c.width, c.dark)
		b.Go("/accounts")
		require.Contains(t, b.Text(".paused"), "What to do")
		require.False(t, b.Overflows(), c.name)
		b.Screenshot(c.name)
	}
}
