package ingress_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/bus/bustest"
	"github.com/parley-dm/parley/pkg/topology"
)

// Two replicas take the messages of the same customers in turn, before, during and after an outage: each customer's leave in the
// order in which they were accepted, whichever spool they waited in.
func TestReplicasDoNotOvertakeEachOther(t *testing.T) {
	t.Parallel()
	server := bustest.Start(t)
	replicas := []*testBundle{start(t, server, server.Connect()), start(t, server, server.Connect())}
	want := map[string][]string{}
	n := 0
	round := func() {
		for c := range 10 {
			customer := fmt.Sprint(7000 + c)
			mid := fmt.Sprintf("m-%d-%d", c, n)
			replicas[(c+n)%2].postInTime(t, from(t, customer, mid))
			want[customer] = append(want[customer], mid)
		}
		n++
	}
	round()
	for range 2 {
		server.Down()
		for range 10 {
			round()
		}
		server.Up()
		for end := time.Now().Add(time.Second); time.Now().Before(end); {
			round()
		}
	}
	for _, r := range replicas {
		r.awaitEmpty(t)
	}
	require.Equal(t, want, mids(t, server))
}

// A replica whose connection alone is gone for a moment is waited for by the one that has the bus.
func TestAReplicaThatIsCutOffForAMomentIsNotOvertaken(t *testing.T) {
	t.Parallel()
	server := bustest.Start(t)
	proxy := server.Proxy(t)
	conn, err := bus.Connect(t.Context(), bus.ConnConfig{URL: proxy.URL(), Name: t.Name()})
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	cut, well := start(t, server, conn), start(t, server, server.Connect())
	cut.postInTime(t, from(t, "7001", "m-0"))
	proxy.Cut()
	for n := 1; n < 40; n++ {
		r := well
		if n%2 == 1 {
			r = cut
		}
		r.postInTime(t, from(t, "7001", fmt.Sprint("m-", n)))
	}
	cut.awaitEmpty(t)
	well.awaitEmpty(t)
	got := mids(t, server)["7001"]
	require.Len(t, got, 40)
	for n := range got {
		require.Equal(t, fmt.Sprint("m-", n), got[n])
	}
}

// A cluster that has lost a server finds the leaders of its streams one after another. A replica that starts just then publishes, and
// tells of its spool, as soon as it can, and not when the last of them is there.
func TestAReplicaDoesNotWaitForStreamsThatItDoesNotNeed(t *testing.T) {
	t.Parallel()
	server := bustest.Start(t)
	js := server.Connect().JetStream()
	_, err := topology.Ensure(t.Context(), js, topology.Options{})
	require.NoError(t, err)
	require.NoError(t, js.DeleteKeyValue(t.Context(), topology.Profiles.Name))
	_, err = js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: topology.Profiles.Name, Storage: jetstream.MemoryStorage}) // which nobody can mend
	require.NoError(t, err)
	_, err = topology.Ensure(t.Context(), js, topology.Options{})
	require.Error(t, err)

	a, b := start(t, server, server.Connect()), start(t, server, server.Connect())
	want := []string{}
	for n := range 10 {
		mid := fmt.Sprint("m-", n)
		[]*testBundle{a, b}[n%2].postInTime(t, from(t, "7001", mid))
		want = append(want, mid)
	}
	require.Equal(t, want, mids(t, server)["7001"], "they are on the bus, and not in a spool")
}
