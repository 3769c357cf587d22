package store_test

import (
	"context"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/postgres"
	"github.com/parley-dm/parley/pkg/postgres/pglocal"
	"github.com/parley-dm/parley/pkg/postgres/pgtest"
)

func TestRulesSurvivePostgreSQL(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	address := newAddress(t)
	rules, log := keep(t, pgtest.Open(t, config.Database{URL: config.Secret(address.url())}))
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "rules.unavailable") }, patience, probe)
	require.Nil(t, rules.Current(), "no answer from an empty set while nothing is known")
	require.ErrorContains(t, rules.Check(t.Context()), "no rules could be read yet")

	server := start(t, dir)
	db := config.Database{URL: config.Secret(server.URL())}
	_, _, err := postgres.Migrate(t.Context(), db)
	require.NoError(t, err)
	pool, err := postgres.Open(t.Context(), db, postgres.Options{Name: "test"})
	require.NoError(t, err)
	exec(t, pool, `INSERT INTO response_rules (name, keywords, response_text) VALUES ('prices', '{price}', '5')`)
	address.leadTo(server)
	loaded(t, rules)
	require.Eventually(t, func() bool { return winner(rules, "price") == "prices" }, patience, probe)

	pool.Close()
	require.NoError(t, server.Stop())
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "rules.not_listening") }, patience, probe)
	require.Equal(t, "prices", winner(rules, "price"), "the last known rules stay in use")
	require.NoError(t, rules.Check(t.Context()))

	server = start(t, dir)
	address.leadTo(server)
	pool = pgtest.Open(t, config.Database{URL: config.Secret(server.URL())})
	exec(t, pool, `UPDATE response_rules SET name = 'new prices'`)
	require.Eventually(t, func() bool { return winner(rules, "price") == "new prices" }, patience, probe, "it finds back by itself")
}

func start(t *testing.T, dir string) *pglocal.Server {
	t.Helper()
	server, err := pglocal.Start(t.Context(), pglocal.Options{Dir: dir, Unsafe: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Stop()) })
	return server
}

// address is a TCP address that outlives the servers behind it, each of which has a socket of its own.
type address struct {
	listener net.Listener
	wg       sync.WaitGroup
	mu       sync.Mutex
	target   string
}

func newAddress(t *testing.T) *address {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	a := &address{listener: l}
	a.wg.Go(a.serve)
	t.Cleanup(func() {
		require.NoError(t, l.Close())
		a.wg.Wait()
	})
	return a
}

func (a *address) url() string {
	return "postgres://parley@" + a.listener.Addr().String() + "/parley?sslmode=disable"
}

func (a *address) leadTo(s *pglocal.Server) {
	u, err := url.Parse(s.URL())
	if err != nil {
		panic(err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.target = u.Query().Get("host") + "/.s.PGSQL." + u.Query().Get("port")
}

func (a *address) serve() {
	for {
		conn, err := a.listener.Accept()
		if err != nil {
			return
		}
		a.mu.Lock()
		target := a.target
		a.mu.Unlock()
		a.wg.Go(func() { relay(conn, target) })
	}
}

// relay carries bytes both ways until either side ends.
func relay(client net.Conn, target string) {
	defer func() { _ = client.Close() }()
	server, err := (&net.Dialer{}).DialContext(context.Background(), "unix", target)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
	})
	_, _ = io.Copy(client, server)
	_ = client.Close()
	wg.Wait()
}
