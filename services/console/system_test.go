package console_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/bus/bustest"
	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/pkg/pipeline/roster"
	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/pkg/topology"
	"github.com/parley-dm/parley/services/console"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/webtest"
)

// report writes a service's report, as the service would.
func report(t *testing.T, site *webtest.Site, r roster.Report) {
	t.Helper()
	bucket, err := site.Pipeline.Bucket(t.Context(), topology.Roster)
	require.NoError(t, err)
	value, err := json.Marshal(r)
	require.NoError(t, err)
	_, err = bucket.Put(t.Context(), r.Key(), value)
	require.NoError(t, err)
}

func spooling() roster.Report {
	now := time.Now().UTC()
	return roster.Report{
		Service: "ingress", Instance: "ingress-1", Host: "web-1", Version: "0123456789ab", Started: now.Add(-time.Hour), At: now, Ready: false,
		Checks: []telemetry.Result{
			{Name: "ingress.nats", Error: "<script>alert('bus')</script>"}, {Name: "ingress.spool", OK: true, Detail: "12 messages, 34 KiB"},
		},
		Troubles: []telemetry.Trouble{
			{Service: "ingress", Message: "spool.filling", Error: "<img src=x onerror=alert(1)>", First: now.Add(-time.Minute), Last: now, Count: 7},
			{Service: "ingress", Message: "account.odd", Account: "171", First: now, Last: now, Count: 1},
			{Service: "ingress", Message: "account.other", Account: "172", First: now, Last: now, Count: 1},
		},
	}
}

func TestSystemShowsWhatRunsAndWhatDoesNot(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, nil)
	report(t, site, spooling())
	agent := site.As(store.Agent)
	status, body := agent.Get("/system")
	require.Equal(t, http.StatusOK, status)
	for _, want := range []string{"not ready", "12 messages, 34 KiB", "&lt;script&gt;alert(", "spool.filling", "&lt;img src=x", topology.Dead.Name, "account.other"} {
		require.Contains(t, body, want)
	}
	require.NotContains(t, body, "<script>alert(")
	require.NotContains(t, body, "<img src=x")

	status, body = agent.Get("/system/now")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, "12 messages, 34 KiB")
	require.NotContains(t, body, "<html", "the fragment is the part that changes")

	_, body = site.As(store.Agent, "171").Get("/system")
	require.Contains(t, body, "account.odd")
	require.NotContains(t, body, "account.other", "who sees one account is not shown errors of others")
	require.NotContains(t, body, "spool.filling")

	status, _ = site.As(store.Viewer).Get("/system")
	require.Equal(t, http.StatusForbidden, status)
	status, _ = site.As(store.Viewer).Get("/system/now")
	require.Equal(t, http.StatusForbidden, status)
}

func TestSystemSaysThatTheBusIsAway(t *testing.T) {
	t.Parallel()
	server := bustest.Start(t)
	conn, err := bus.Connect(t.Context(), bus.ConnConfig{URL: server.URL()})
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	site := webtest.Start(t, func(cfg *console.Config) {
		cfg.Host = &pipeline.Host{Telemetry: cfg.Host.Telemetry, Conn: conn}
		cfg.NATS = config.NATS{Replicas: 1}
	})
	owner := site.As(store.Owner)
	server.Down()
	require.Eventually(t, func() bool { return !conn.Connected() }, 10*time.Second, 5*time.Millisecond)
	for _, path := range []string{"/system", "/system/now"} {
		status, body := owner.Get(path)
		require.Equal(t, http.StatusServiceUnavailable, status)
		require.Contains(t, body, "The bus is away")
	}
}

func TestSystemInABrowser(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, nil)
	for _, c := range []struct {
		name  string
		width int64
		dark  bool
	}{{"system-light", webtest.Desktop, false}, {"system-dark", webtest.Desktop, true}, {"system-phone", webtest.Phone, true}} {
		b := site.As(store.Owner).Open(c.width, c.dark)
		report(t, site, spooling()) // just before: it is gone when it is not renewed
		b.Go("/system")
		require.Contains(t, b.Text("#services ~ .badge"), "not ready")
		require.False(t, b.Overflows(), c.name)
		b.Screenshot(c.name)
	}
	b := site.As(store.Agent).Open(webtest.Phone, false)
	b.Go("/system")
	mended := spooling()
	mended.Ready, mended.Checks = true, []telemetry.Result{{Name: "ingress.spool", OK: true, Detail: "empty again"}}
	report(t, site, mended)
	b.Until(`document.querySelector("#system").textContent.includes("empty again")`)
}
