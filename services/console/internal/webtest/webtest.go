// Package webtest runs a console inside a test: real PostgreSQL, a real embedded NATS server, a free port, people who are
// signed in, and a browser (Debian's Chromium, by chromedp) where a test wants to see a page as a person does.
//
// A package that uses it has
//
//	func TestMain(m *testing.M) { webtest.Main(m) }
package webtest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/bus/bustest"
	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/pkg/postgres/pgtest"
	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/services/console"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/web"
)

// Main runs a package's tests, and fails when they leave goroutines behind.
func Main(m *testing.M) {
	// The browser's own, which ends a moment after its context.
	pgtest.Main(m, goleak.IgnoreTopFunction("github.com/chromedp/chromedp.(*ExecAllocator).Allocate.func2"))
}

// Site is a console that runs until the test ends.
type Site struct {
	// URL is where it is, without a slash at the end.
	URL string
	// DB is its database, for rows that a test wants to be there.
	DB *pgxpool.Pool
	// Database is how other services of the test open it.
	Database config.Database
	// Pipeline publishes as another stage would.
	Pipeline *pipeline.Pipeline
	// Host is lent to other services of the test.
	Host  *pipeline.Host
	Store *store.Store

	t      *testing.T
	people atomic.Int64
}

// Start runs a console. change, if not nil, changes its settings.
func Start(t *testing.T, change func(*console.Config)) *Site {
	t.Helper()
	db := pgtest.Database(t)
	conn, err := bus.Connect(t.Context(), bus.ConnConfig{URL: bustest.Start(t).URL()})
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	common := config.Common{ShutdownTimeout: 10 * time.Second, LogLevel: "WARNING"}
	tel, err := telemetry.Start(t.Context(), telemetry.Options{Service: "test", Common: common, LogTo: t.Output(), NoAdmin: true})
	require.NoError(t, err)
	s := &Site{DB: pgtest.Open(t, db), Database: db, Host: &pipeline.Host{Telemetry: tel, Conn: conn}, t: t}
	s.Store = store.New(s.DB, time.Now)
	s.Pipeline, err = pipeline.Open(t.Context(), pipeline.Options{Service: "test", Common: common, NATS: config.NATS{Replicas: 1}, Host: s.Host})
	require.NoError(t, err)
	s.Pipeline.Started()
	t.Cleanup(func() { require.NoError(t, s.Pipeline.Close()) })

	listening := make(chan string, 1)
	cfg, err := config.Load[console.Config]([]string{"DATABASE_URL=" + db.URL.Reveal(), "CONSOLE_ADDR=127.0.0.1:0"})
	require.NoError(t, err)
	cfg.Common, cfg.Host, cfg.Listening = common, s.Host, func(addr string) { listening <- addr }
	if change != nil {
		change(&cfg)
	}
	// Not the test's own, which ends before its cleanups: a browser that is still open would see the console go.
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- console.Run(ctx, cfg) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done, "the console stops cleanly")
	})
	select {
	case addr := <-listening:
		s.URL = "http://" + addr
	case err := <-done:
		done <- err
		require.NoError(t, err, "the console starts")
	}
	return s
}

// Person is a user who is signed in.
type Person struct {
	*http.Client
	User store.User
	// Cookie is the session's.
	Cookie *http.Cookie
	site   *Site
}

// As signs in a new user with a role who sees some accounts, or all.
func (s *Site) As(role store.Role, accounts ...string) *Person {
	s.t.Helper()
	user, err := s.Store.AddUser(s.t.Context(), store.User{
		Email: fmt.Sprintf("%s%d@example.com", role, s.people.Add(1)), Name: "Some " + string(role), Role: role, Accounts: accounts,
	})
	require.NoError(s.t, err)
	token, hash := web.NewToken()
	require.NoError(s.t, s.Store.AddSession(s.t.Context(), hash, store.Session{User: user, Method: "link", ExpiresAt: time.Now().Add(time.Hour)}))
	p := &Person{Client: s.Anonymous(), User: user, site: s, Cookie: &http.Cookie{Name: "parley", Value: token, Path: "/"}}
	at, err := url.Parse(s.URL)
	require.NoError(s.t, err)
	p.Jar.SetCookies(at, []*http.Cookie{p.Cookie})
	return p
}

// Anonymous is a client of who is not signed in. It follows no redirects.
func (s *Site) Anonymous() *http.Client {
	jar, err := cookiejar.New(nil)
	require.NoError(s.t, err)
	transport := &http.Transport{}
	s.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Jar: jar, Transport: transport, Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// Get asks for a page and returns its status and text.
func (p *Person) Get(path string) (status int, body string) {
	p.site.t.Helper()
	return p.site.Do(p.Client, http.MethodGet, path, nil)
}

// Post sends a form and returns the answer's status and where it redirects to.
func (p *Person) Post(path string, form url.Values) (status int, location string) {
	p.site.t.Helper()
	req, err := http.NewRequestWithContext(p.site.t.Context(), http.MethodPost, p.site.URL+path, strings.NewReader(form.Encode()))
	require.NoError(p.site.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	resp, err := p.Do(req)
	require.NoError(p.site.t, err)
	require.NoError(p.site.t, resp.Body.Close())
	return resp.StatusCode, resp.Header.Get("Location")
}

// Do sends any request and returns the answer's status and text.
func (s *Site) Do(c *http.Client, method, path string, header http.Header) (status int, body string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.URL+path, http.NoBody)
	require.NoError(s.t, err)
	for k, v := range header {
		req.Header[k] = v
	}
	resp, err := c.Do(req)
	require.NoError(s.t, err)
	text, err := io.ReadAll(resp.Body)
	require.NoError(s.t, err)
	require.NoError(s.t, resp.Body.Close())
	return resp.StatusCode, string(text)
}
