package bus_test

import (
	"fmt"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/bus"
)

// threeServers is a cluster of NATS servers in the test, with a stream of three copies.
func threeServers(t *testing.T) *bus.Conn {
	t.Helper()
	addrs, routes := make([]*net.TCPAddr, 3), make([]*url.URL, 3)
	for i := range addrs {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		require.NoError(t, err)
		var ok bool
		addrs[i], ok = l.Addr().(*net.TCPAddr)
		require.True(t, ok)
		routes[i] = &url.URL{Scheme: "nats", Host: l.Addr().String()}
		require.NoError(t, l.Close())
	}
	var first *server.Server
	for i, addr := range addrs {
		s, err := server.NewServer(&server.Options{
			ServerName: fmt.Sprintf("n%d", i), Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true,
			Cluster: server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: addr.Port}, Routes: routes,
		})
		require.NoError(t, err)
		s.Start()
		t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
		if first == nil {
			first = s
		}
	}
	require.True(t, first.ReadyForConnections(20*time.Second))
	conn, err := bus.Connect(t.Context(), bus.ConnConfig{URL: first.ClientURL()})
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	require.Eventually(t, func() bool { // once the servers have a leader
		_, err := conn.JetStream().CreateStream(t.Context(), jetstream.StreamConfig{Name: "WORK", Subjects: []string{"work.>"}, Replicas: 3, Duplicates: time.Minute})
		return err == nil
	}, 30*time.Second, 50*time.Millisecond)
	return conn
}

// A message whose first try is still being stored, on a stream with several copies, is not refused: it is there in a moment.
func TestAMessageThatIsBeingStoredIsNotRefused(t *testing.T) {
	t.Parallel()
	conn := threeServers(t)
	const ids, tries = 20, 8
	errs := make(chan error, 2*tries)
	var all sync.WaitGroup
	for id := range ids {
		for range tries {
			all.Go(func() {
				p := bus.NewPublisher(conn, bus.PublisherConfig{})
				errs <- p.PublishAll(t.Context(), bus.Addressed{Subject: "work.1", Message: message.NewMessage(fmt.Sprint(id), []byte("x"))})
				errs <- p.Close()
			})
		}
		all.Wait()
		for range 2 * tries {
			require.NoError(t, <-errs)
		}
	}
	stream, err := conn.JetStream().Stream(t.Context(), "WORK")
	require.NoError(t, err)
	require.EqualValues(t, ids, stream.CachedInfo().State.Msgs)
}
