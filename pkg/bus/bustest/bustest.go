// Package bustest runs a real NATS server inside a test.
package bustest

import (
	"context"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/porttest"
)

// Server is an embedded nats-server with JetStream on a folder of the test's. It can be stopped and started again on the
// same port and folder.
type Server struct {
	t      testing.TB
	port   int
	dir    string
	token  string
	server *server.Server
}

// Start runs a server on a free loopback port until the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	return StartWithToken(t, "")
}

// StartWithToken is Start with a server that lets in who knows the token.
func StartWithToken(t testing.TB, token string) *Server {
	t.Helper()
	s := &Server{t: t, port: porttest.Free(t), dir: filepath.Join(t.TempDir(), "jetstream"), token: token}
	s.Up()
	t.Cleanup(s.Down)
	return s
}

// Up starts the server, if it is down.
func (s *Server) Up() {
	s.t.Helper()
	if s.server != nil {
		return
	}
	srv, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: s.port, JetStream: true, StoreDir: s.dir, NoSigs: true, NoLog: true,
		Authorization: s.token, JetStreamMaxStore: 100 << 30, JetStreamMaxMemory: 1 << 30,
	})
	require.NoError(s.t, err)
	srv.Start()
	require.True(s.t, srv.ReadyForConnections(10*time.Second), "nats-server is not ready after 10 s")
	s.server = srv
}

// Down stops the server; its clients lose their connections.
func (s *Server) Down() {
	if s.server == nil {
		return
	}
	s.server.Shutdown()
	s.server.WaitForShutdown()
	s.server = nil
}

// URL is where clients connect.
func (s *Server) URL() string { return "nats://127.0.0.1:" + strconv.Itoa(s.port) }

// Connect opens a connection that closes when the test ends.
func (s *Server) Connect() *bus.Conn {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := bus.Connect(ctx, bus.ConnConfig{URL: s.URL(), Name: s.t.Name()})
	require.NoError(s.t, err)
	s.t.Cleanup(conn.Close)
	return conn
}
