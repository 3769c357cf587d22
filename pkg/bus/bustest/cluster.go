package bustest

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/porttest"
)

// copies is how many servers a Cluster has, one for each copy of a stream.
const copies = 3

// Cluster is three nats-servers that keep copies for each other.
type Cluster struct {
	t       testing.TB
	urls    []string
	servers []*server.Server
}

// StartCluster runs a cluster on free loopback ports until the test ends, and returns when streams can be made with a copy
// on each of them.
func StartCluster(t testing.TB) *Cluster {
	t.Helper()
	c := &Cluster{t: t}
	var ports []int
	var routes []*url.URL
	for range copies {
		port := porttest.Free(t)
		ports = append(ports, port)
		routes = append(routes, &url.URL{Scheme: "nats", Host: "127.0.0.1:" + strconv.Itoa(port)})
	}
	for n := range copies {
		port := porttest.Free(t)
		srv, err := server.NewServer(&server.Options{
			ServerName: fmt.Sprint("node-", n+1), Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: filepath.Join(t.TempDir(), "jetstream"), NoSigs: true, NoLog: true,
			Cluster: server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: ports[n]}, Routes: routes, JetStreamMaxStore: 1 << 30, JetStreamMaxMemory: 1 << 30,
		})
		require.NoError(t, err)
		srv.Start()
		t.Cleanup(func() {
			srv.Shutdown()
			srv.WaitForShutdown()
		})
		c.servers = append(c.servers, srv)
		c.urls = append(c.urls, "nats://127.0.0.1:"+strconv.Itoa(port))
	}
	for n, srv := range c.servers {
		require.True(t, srv.ReadyForConnections(30*time.Second), "server %d is not ready after 30 s", n+1)
	}
	require.Eventually(t, c.whole, 30*time.Second, 10*time.Millisecond, "no leader that knows all servers after 30 s")
	return c
}

// whole is whether every server follows one leader who has heard what each of them has room for: until then it refuses a stream with
// copies for want of suitable peers.
func (c *Cluster) whole() bool {
	leaders := 0
	for _, srv := range c.servers {
		if !srv.JetStreamIsCurrent() {
			return false
		}
		if !srv.JetStreamIsLeader() {
			continue
		}
		if leaders++; len(srv.JetStreamClusterPeers()) < copies {
			return false
		}
	}
	return leaders == 1
}

// Connect opens a connection to any of the servers that closes when the test ends.
func (c *Cluster) Connect() *bus.Conn {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := bus.Connect(ctx, bus.ConnConfig{URL: strings.Join(c.urls, ","), Name: c.t.Name()})
	require.NoError(c.t, err)
	c.t.Cleanup(conn.Close)
	return conn
}
