package standalone_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/bus/bustest"
	"github.com/parley-dm/parley/services/standalone"
)

// get asks a page of the process; status 0 when nobody answers.
func (w *world) get(url string) (status int, body string) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
	require.NoError(w.t, err)
	return w.do(req)
}

// Nothing but the process is there when it starts: it takes webhooks at once, says what it waits for, and answers them, in
// order, when NATS and PostgreSQL come.
func TestItStartsWhileNATSAndPostgreSQLAreAway(t *testing.T) {
	t.Parallel()
	nats := bustest.Start(t)
	nats.Down()
	admin := "127.0.0.1:" + freePort(t)
	w := newWorld(t, "NATS_URL="+nats.URL(), "ADMIN_ADDR="+admin, "LEASE_TTL=1s")
	w.rule("price?", "18 each.")
	_, open := w.closeDatabase()

	cfg, err := standalone.LoadServe(w.environ)
	require.NoError(t, err)
	ready, ended := make(chan struct{}), make(chan error, 1)
	cfg.Ready = func(standalone.Running) { close(ready) }
	ctx, cancel := context.WithCancel(context.Background())
	go func() { ended <- standalone.Serve(ctx, cfg) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	w.eventually(func() bool {
		status, _ := w.get(strings.TrimSuffix(w.webhook, "/webhooks/instagram") + "/health")
		return status == http.StatusOK
	}, "it serves")
	require.Equal(t, http.StatusOK, w.post("7001", "m_1", "Price?"))
	require.Equal(t, http.StatusOK, w.post("7001", "m_2", "What else?"))
	status, body := w.get("http://" + admin + "/readyz")
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Contains(t, body, `{"name":"responder.nats","ok":false,"error":"NATS: not reached yet; see NATS_URL"}`)
	require.Contains(t, body, `{"name":"ingress.spool","ok":true,"detail":"2 webhooks wait`)

	nats.Up()
	w.eventually(func() bool {
		_, body = w.get("http://" + admin + "/readyz")
		return strings.Contains(body, `{"name":"ingress.spool","ok":true,"detail":"empty"}`) && strings.Contains(body, `{"name":"archiver.postgres","ok":false`)
	}, "the spool is emptied, and PostgreSQL is missed")
	open()
	<-ready
	w.eventually(func() bool { return len(w.replies("7001")) == 2 }, "both are answered")
	require.Equal(t, "18 each.", w.replies("7001")[0], "in their order")
}

// A stop ends it while it waits for everything.
func TestItStopsWhileNATSAndPostgreSQLAreAway(t *testing.T) {
	t.Parallel()
	nats := bustest.Start(t)
	nats.Down()
	w := newWorld(t, "NATS_URL="+nats.URL())
	w.closeDatabase()
	cfg, err := standalone.LoadServe(w.environ)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- standalone.Serve(ctx, cfg) }()
	w.eventually(func() bool {
		status, _ := w.get(strings.TrimSuffix(w.webhook, "/webhooks/instagram") + "/health")
		return status == http.StatusOK
	}, "it serves")
	cancel()
	require.NoError(t, <-ended)
}

func TestAWrongDatabaseIsToldAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	target, err := url.Parse(strings.TrimPrefix(w.environ[0], "DATABASE_URL="))
	require.NoError(t, err)
	target.Path = "/no_such_database"
	cfg, err := standalone.LoadServe(append(w.environ[1:], "DATABASE_URL="+target.String()))
	require.NoError(t, err)
	err = standalone.Serve(t.Context(), cfg)
	require.ErrorContains(t, err, "DATABASE_URL")
	require.ErrorContains(t, err, "does not exist")
}
