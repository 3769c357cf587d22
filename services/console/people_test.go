package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/services/console"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/webtest"
)

// invite makes a one-time link as the command does.
func invite(t *testing.T, site *webtest.Site, n console.NewUser) string {
	t.Helper()
	public, err := url.Parse(site.URL)
	require.NoError(t, err)
	link, err := console.AddUser(t.Context(), site.Database, public, n)
	require.NoError(t, err)
	return link
}

// answer is what came of a form.
type answer struct {
	StatusCode int
	Header     http.Header
	cookies    []*http.Cookie
}

// submit sends a form with headers of the browser's.
func submit(t *testing.T, c *http.Client, to string, form url.Values, header http.Header) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, to, strings.NewReader(form.Encode()))
	require.NoError(t, err)
	for k, v := range header {
		req.Header[k] = v
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := c.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return answer{resp.StatusCode, resp.Header, resp.Cookies()}
}

func count(t *testing.T, site *webtest.Site, query string, args ...any) (n int) {
	t.Helper()
	require.NoError(t, site.DB.QueryRow(t.Context(), query, args...).Scan(&n))
	return n
}

func TestALinkSignsInOnce(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, nil)
	link := invite(t, site, console.NewUser{Email: "Ann@Example.com", Role: "owner", By: "test", Next: "/me"})
	at, err := url.Parse(link)
	require.NoError(t, err)
	token := at.Query().Get("token")

	client := site.Anonymous()
	for range 2 { // a program that looks into mail may open it first
		status, body := site.Do(client, http.MethodGet, at.RequestURI(), nil)
		require.Equal(t, http.StatusOK, status)
		require.Contains(t, body, "ann@example.com")
	}
	resp := submit(t, client, site.URL+"/welcome", url.Values{"token": {token}, "next": {"/me"}}, nil)
	require.Equal(t, http.StatusSeeOther, resp.StatusCode)
	require.Equal(t, "/me", resp.Header.Get("Location"))
	status, _ := site.Do(client, http.MethodGet, "/people", nil)
	require.Equal(t, http.StatusOK, status)

	resp = submit(t, site.Anonymous(), site.URL+"/welcome", url.Values{"token": {token}}, nil)
	require.Equal(t, http.StatusNotFound, resp.StatusCode, "it works once")
	first := invite(t, site, console.NewUser{Email: "ann@example.com", Role: "owner", By: "test"})
	invite(t, site, console.NewUser{Email: "ann@example.com", Role: "owner", By: "test"})
	replaced, err := url.Parse(first)
	require.NoError(t, err)
	resp = submit(t, site.Anonymous(), site.URL+"/welcome", url.Values{"token": {replaced.Query().Get("token")}}, nil)
	require.Equal(t, http.StatusNotFound, resp.StatusCode, "another took its place")
	require.Zero(t, count(t, site, `SELECT count(*) FROM sign_in_links WHERE token_hash::text LIKE '%' || $1 || '%'`, token), "only its hash is kept")
	require.Equal(t, 1, count(t, site, `SELECT count(*) FROM audit_log WHERE action = 'session.started' AND detail->>'method' = 'link' AND remote_addr <> ''`))
}

func TestSigningInGivesANewSessionWhateverWasPlanted(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, nil)
	attacker := site.As(store.Viewer)
	link := invite(t, site, console.NewUser{Email: "ann@example.com", Role: "owner", By: "test"})
	at, err := url.Parse(link)
	require.NoError(t, err)

	victim := site.Anonymous() // whose browser has the attacker's session
	home, err := url.Parse(site.URL)
	require.NoError(t, err)
	victim.Jar.SetCookies(home, []*http.Cookie{attacker.Cookie})
	resp := submit(t, victim, site.URL+"/welcome", at.Query(), nil)
	require.Equal(t, http.StatusSeeOther, resp.StatusCode)
	cookies := victim.Jar.Cookies(home)
	require.Len(t, cookies, 1)
	require.NotEqual(t, attacker.Cookie.Value, cookies[0].Value)
	set := resp.cookies[0]
	require.True(t, set.HttpOnly)
	require.Equal(t, http.SameSiteLaxMode, set.SameSite)
	status, _ := attacker.Get("/")
	require.Equal(t, http.StatusSeeOther, status, "the planted session is over")
	require.Equal(t, 0, count(t, site, `SELECT count(*) FROM sessions WHERE encode(token_hash, 'escape') LIKE '%' || $1 || '%'`, cookies[0].Value))
}

func TestBehindTLSTheCookieIsSecureAndOfThisHostOnly(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, func(c *console.Config) { c.URL = "https://console.example.com" })
	at, err := url.Parse(invite(t, site, console.NewUser{Email: "ann@example.com", Role: "viewer", By: "test"}))
	require.NoError(t, err)
	resp := submit(t, site.Anonymous(), site.URL+"/welcome", at.Query(), http.Header{"Origin": {"https://console.example.com"}})
	require.Equal(t, http.StatusSeeOther, resp.StatusCode)
	cookie := resp.cookies[0]
	require.Equal(t, "__Host-parley", cookie.Name)
	require.True(t, cookie.Secure)
	require.Equal(t, "/", cookie.Path)
	require.Empty(t, cookie.Domain)
	require.NotEmpty(t, resp.Header.Get("Strict-Transport-Security"))
}

func TestWritesThatAnotherSiteMadeABrowserSendAreRefused(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, nil)
	owner := site.As(store.Owner)
	form := url.Values{"email": {"evil@example.com"}, "role": {"owner"}}
	for name, header := range map[string]http.Header{
		"cross-site":   {"Sec-Fetch-Site": {"cross-site"}},
		"same-site":    {"Sec-Fetch-Site": {"same-site"}},
		"other origin": {"Origin": {"https://evil.example"}},
		"null origin":  {"Origin": {"null"}},
	} {
		require.Equal(t, http.StatusForbidden, submit(t, owner.Client, site.URL+"/people", form, header).StatusCode, name)
	}
	require.Zero(t, count(t, site, `SELECT count(*) FROM users WHERE email = 'evil@example.com'`))
	require.Equal(t, http.StatusOK, submit(t, owner.Client, site.URL+"/people", form, http.Header{"Origin": {site.URL}}).StatusCode)
}

func TestRolesAreRefusedWhatTheyMayNot(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, nil)
	for _, role := range []store.Role{store.Viewer, store.Agent} {
		p := site.As(role)
		for _, path := range []string{"/people", "/people/" + p.User.ID, "/audit"} {
			status, _ := p.Get(path)
			require.Equal(t, http.StatusForbidden, status, "%s %s", role, path)
		}
		for _, path := range []string{"/people", "/people/" + p.User.ID, "/people/" + p.User.ID + "/link", "/people/" + p.User.ID + "/sign-out"} {
			status, _ := p.Post(path, url.Values{"role": {"owner"}, "enabled": {"1"}})
			require.Equal(t, http.StatusForbidden, status, "%s %s", role, path)
		}
		status, body := p.Get("/")
		require.Equal(t, http.StatusOK, status)
		require.NotContains(t, body, `href="/people"`)
	}
	require.Zero(t, count(t, site, `SELECT count(*) FROM users WHERE role = 'owner'`))
}

func TestARoleThatIsTakenHoldsAtOnceAndTheLastOwnerStays(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, nil)
	ann, bob := site.As(store.Owner), site.As(store.Owner)
	status, _ := ann.Post("/people/"+bob.User.ID, url.Values{"role": {"viewer"}, "enabled": {"1"}})
	require.Equal(t, http.StatusSeeOther, status)
	status, _ = bob.Get("/people")
	require.Equal(t, http.StatusForbidden, status)
	for _, form := range []url.Values{{"role": {"agent"}, "enabled": {"1"}}, {"role": {"owner"}}} {
		status, _ = ann.Post("/people/"+ann.User.ID, form)
		require.Equal(t, http.StatusUnprocessableEntity, status)
	}
	status, _ = ann.Post("/people/"+bob.User.ID, url.Values{"role": {"viewer"}})
	require.Equal(t, http.StatusSeeOther, status)
	status, location := bob.Post("/theme", url.Values{"theme": {"dark"}})
	require.Equal(t, http.StatusSeeOther, status)
	require.Equal(t, "/", location)
	status, _ = bob.Get("/")
	require.Equal(t, http.StatusSeeOther, status, "who may not sign in is signed out")
	require.Equal(t, 2, count(t, site, `SELECT count(*) FROM audit_log WHERE action = 'user.changed' AND user_id = $1 AND target = 'user:' || $2`, ann.User.ID, bob.User.ID))
}

func TestAPasswordThatIsSetEndsTheOtherSessions(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, nil)
	p := site.As(store.Agent)
	link, err := url.Parse(invite(t, site, console.NewUser{Email: p.User.Email, Role: "agent", By: "test"}))
	require.NoError(t, err)
	elsewhere := site.Anonymous()
	submit(t, elsewhere, site.URL+"/welcome", link.Query(), nil)
	status, _ := site.Do(elsewhere, http.MethodGet, "/me", nil)
	require.Equal(t, http.StatusOK, status)

	status, _ = p.Post("/me/password", url.Values{"new": {"short"}})
	require.Equal(t, http.StatusUnprocessableEntity, status)
	status, _ = p.Post("/me/password", url.Values{"new": {"a long enough one"}})
	require.Equal(t, http.StatusSeeOther, status)
	status, _ = site.Do(elsewhere, http.MethodGet, "/me", nil)
	require.Equal(t, http.StatusSeeOther, status)
	status, _ = p.Get("/me")
	require.Equal(t, http.StatusOK, status)
	status, _ = p.Post("/me/password", url.Values{"new": {"another long one"}, "old": {"guessed"}})
	require.Equal(t, http.StatusUnprocessableEntity, status, "who has a password must know it")
}

func TestGuessingIsSlowedForAnAccountAndForAnAddress(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, nil)
	client := site.Anonymous()
	last := 0
	for range 12 {
		last = submit(t, client, site.URL+"/sign-in", url.Values{"email": {"ann@example.com"}, "password": {"guess"}}, nil).StatusCode
	}
	require.Equal(t, http.StatusTooManyRequests, last)
	require.Equal(t, http.StatusUnprocessableEntity,
		submit(t, client, site.URL+"/sign-in", url.Values{"email": {"bob@example.com"}, "password": {"guess"}}, nil).StatusCode, "others may")
}

func TestNobodyIsLedElsewhere(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, nil)
	p := site.As(store.Viewer)
	for _, next := range []string{"https://evil.example/", "//evil.example", `/\evil.example`, "javascript:alert(1)", "/\t/evil.example", "evil.example", "/%2F/evil"} {
		resp, err := p.Client.Get(site.URL + "/sign-in?next=" + url.QueryEscape(next)) //nolint:noctx // a test
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		to, err := url.Parse(resp.Header.Get("Location"))
		require.NoError(t, err)
		require.Empty(t, to.Host, next)
		require.True(t, strings.HasPrefix(to.Path, "/") && !strings.HasPrefix(to.Path, "//"), "%s leads to %s", next, to)
	}
}

func TestNamesAreWordsWhateverIsInThem(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, nil)
	const name = `<script>alert(1)</script>"'><img src=x onerror=alert(2)>`
	_, err := site.Store.AddUser(t.Context(), store.User{Email: "x@example.com", Name: name, Role: store.Viewer})
	require.NoError(t, err)
	owner := site.As(store.Owner)
	status, body := owner.Get("/people")
	require.Equal(t, http.StatusOK, status)
	require.NotContains(t, body, "<script>alert")
	require.NotContains(t, body, "<img src=x")
	require.Contains(t, body, "&lt;script&gt;")
}

func TestEveryAnswerHasItsHeaders(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, nil)
	owner := site.As(store.Owner)
	nonces := map[string]bool{}
	for _, path := range []string{"/", "/me", "/people", "/audit", "/sign-in", "/nowhere"} {
		resp, err := owner.Client.Get(site.URL + path) //nolint:noctx // a test
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		policy := resp.Header.Get("Content-Security-Policy")
		require.Contains(t, policy, "default-src 'none'")
		require.NotContains(t, policy, "unsafe")
		_, nonce, _ := strings.Cut(policy, "'nonce-")
		nonces[nonce] = true
		require.Equal(t, "no-store", resp.Header.Get("Cache-Control"), path)
		require.Equal(t, "nosniff", resp.Header.Get("X-Content-Type-Options"))
		require.Equal(t, "DENY", resp.Header.Get("X-Frame-Options"))
	}
	require.Len(t, nonces, 6, "a nonce is used once")
}
