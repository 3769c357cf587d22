package fence_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/bus/bustest"
	"github.com/parley-dm/parley/pkg/topology"
	"github.com/parley-dm/parley/services/ingress/internal/fence"
	"github.com/parley-dm/parley/services/ingress/internal/spool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

// replica is a fence and the spool that it speaks for.
type replica struct {
	*fence.Fence
	stop func()

	mu   sync.Mutex
	held spool.Held
}

func (r *replica) holds(at time.Time, lanes ...uint16) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held = spool.Held{Oldest: at, Lanes: map[uint16]time.Time{}}
	for _, l := range lanes {
		r.held.Lanes[l] = at
	}
}

func (r *replica) spool() spool.Held {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.held
}

func topologyOn(t *testing.T, server *bustest.Server) {
	t.Helper()
	_, err := topology.Ensure(t.Context(), server.Connect().JetStream(), topology.Options{Partitions: topology.DefaultPartitions, Replicas: 1})
	require.NoError(t, err)
}

func start(t *testing.T, name string, conn *bus.Conn) *replica {
	t.Helper()
	return startWith(t, name, conn, func(*fence.Options) {})
}

// startWith changes the fence's options.
func startWith(t *testing.T, name string, conn *bus.Conn, change func(*fence.Options)) *replica {
	t.Helper()
	r := &replica{}
	o := fence.Options{
		Name: name, Held: r.spool, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(), Settle: 300 * time.Millisecond, DeadAfter: 3 * time.Second,
		Open: func(ctx context.Context) (fence.Bucket, error) {
			b, err := bus.OpenBucket(ctx, conn, topology.Spools.Name)
			return b, err
		},
		Ping: conn.Flush,
		Connected: func() (uint64, bool) {
			losses := conn.Losses()
			return losses, conn.Connected()
		},
	}
	change(&o)
	r.Fence = fence.New(o)
	require.False(t, r.Open(nil), "it does not know yet")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-done)
	})
	t.Cleanup(r.stop)
	return r
}

// pair is two replicas on one server.
func pair(t *testing.T) (server *bustest.Server, a, b *replica) {
	t.Helper()
	server = bustest.Start(t)
	topologyOn(t, server)
	return server, start(t, "a", server.Connect()), start(t, "b", server.Connect())
}

func (r *replica) opens(t *testing.T, lanes ...uint16) {
	t.Helper()
	require.Eventually(t, func() bool { return r.Open(lanes) }, patience, time.Millisecond)
}

func (r *replica) shuts(t *testing.T, lanes ...uint16) {
	t.Helper()
	require.Eventually(t, func() bool { return !r.Open(lanes) }, patience, time.Millisecond)
}

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func record(seconds int, lanes ...uint16) spool.Record {
	return spool.Record{At: time.Now().Add(time.Duration(seconds-5) * time.Second), Lanes: lanes}
}

func TestWhatOneHoldsTheOtherDoesNotOvertake(t *testing.T) {
	t.Parallel()
	_, a, b := pair(t)
	b.opens(t, 1, 2)
	a.opens(t)

	a.holds(record(3).At, 1, 65535)
	a.Tell(t.Context())
	b.shuts(t, 1)
	require.False(t, b.Open([]uint16{7, 65535}))
	require.True(t, b.Open([]uint16{0, 2, 64}))
	require.True(t, a.Open([]uint16{1}), "its own it knows by itself")

	mine := []spool.Record{record(1, 1), record(2, 65535), record(4, 2), record(4, 1), record(4, 2)}
	n, changed := b.May(mine)
	require.Equal(t, 3, n, "what is older there goes first")
	a.holds(record(6).At, 1)
	a.Note()
	select {
	case <-changed:
	case <-time.After(patience):
		require.FailNow(t, "it is not told")
	}
	n, _ = b.May(mine)
	require.Equal(t, 5, n)

	a.holds(time.Time{})
	a.Note()
	b.opens(t, 1)
}

// However long something waits: two messages of a customer may come within a moment, one to each replica.
func TestEachLaneIsInOrderByItself(t *testing.T) {
	t.Parallel()
	_, a, b := pair(t)
	b.opens(t)
	old := time.Now().Add(-1000 * time.Second).Truncate(time.Millisecond)
	at := func(ms int) time.Time { return old.Add(time.Duration(ms) * time.Millisecond) }
	a.mu.Lock()
	a.held = spool.Held{Oldest: old, Lanes: map[uint16]time.Time{1: old, 2: at(900), 3: at(-1500)}} // one was written down late
	a.mu.Unlock()
	a.Tell(t.Context())
	b.shuts(t, 1)
	for _, c := range []struct {
		ms    int
		lanes []uint16
		may   int
	}{
		{0, []uint16{1, 2}, 1},
		{1, []uint16{1}, 0},
		{900, []uint16{2}, 1},
		{901, []uint16{2}, 0},
		{50, []uint16{2, 1}, 0},
		{5000, []uint16{4}, 1},
		{1, []uint16{3}, 0},
		{-1, []uint16{3}, 1}, // the oldest of all goes, or nobody would
	} {
		n, _ := b.May([]spool.Record{{At: at(c.ms), Lanes: c.lanes}})
		require.Equal(t, c.may, n, "%v", c)
	}
	n, _ := b.May([]spool.Record{{At: at(10), Lanes: []uint16{2}}, {At: at(20), Lanes: []uint16{1}}, {At: at(30), Lanes: []uint16{2}}})
	require.Equal(t, 1, n, "nothing leaves before its turn in its own spool")
}

func TestOneThatDiedIsNotWaitedForLong(t *testing.T) {
	t.Parallel()
	server, a, b := pair(t)
	b.opens(t)
	a.holds(noon, 1)
	a.Tell(t.Context())
	b.shuts(t, 1)
	a.stop()
	require.False(t, b.Open([]uint16{1}))
	b.opens(t, 1)

	again := start(t, "c", server.Connect())
	again.holds(noon, 1)
	b.shuts(t, 1)
}

func TestAfterAnOutageItOpensWhenOthersAreBackToo(t *testing.T) {
	t.Parallel()
	server, a, b := pair(t)
	a.opens(t)
	b.opens(t)
	server.Down()
	a.shuts(t)
	b.shuts(t)
	n, _ := a.May([]spool.Record{record(1, 1)})
	require.Zero(t, n)
	a.Tell(t.Context()) // does not wait for a bus that is away
	a.holds(record(1).At, 1)
	server.Up()
	b.opens(t, 2)
	require.False(t, b.Open([]uint16{1}), "what the other holds is known before it opens")
	a.holds(time.Time{})
	b.opens(t, 1)
}

func TestATellingHasAnEnd(t *testing.T) {
	t.Parallel()
	server := bustest.Start(t)
	topologyOn(t, server)
	a := start(t, "a", server.Connect())
	a.opens(t)
	a.stop()
	begin := time.Now()
	a.Tell(t.Context()) // nobody does it any more
	require.Less(t, time.Since(begin), patience)
}

func TestOthersMayTellNonsense(t *testing.T) {
	t.Parallel()
	server := bustest.Start(t)
	topologyOn(t, server)
	conn := server.Connect()
	bucket, err := bus.OpenBucket(t.Context(), conn, topology.Spools.Name)
	require.NoError(t, err)
	for key, value := range map[string]string{"x": "", "y": "\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00", "z": "\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"} {
		_, err = bucket.Put(t.Context(), key, []byte(value))
		require.NoError(t, err)
	}
	start(t, "a", conn).opens(t, 1)
}

// A bus that stands still with its connections open is as good as away.
func TestAStallIsAnOutage(t *testing.T) {
	t.Parallel()
	server := bustest.Start(t)
	topologyOn(t, server)
	proxy := server.Proxy(t)
	conn, err := bus.Connect(t.Context(), bus.ConnConfig{URL: proxy.URL(), Name: t.Name()})
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	a, b := start(t, "a", conn), start(t, "b", server.Connect())
	a.opens(t, 1)
	b.opens(t, 1)
	proxy.Stall()
	a.shuts(t, 1)
	require.True(t, conn.Connected())
	require.True(t, b.Live())
	a.Tell(t.Context())
	b.holds(record(1).At, 1)
	b.Tell(t.Context())
	proxy.Resume()
	a.opens(t, 2)
	require.False(t, a.Open([]uint16{1}))
}

// Nobody knows what one holds that died while the bus was away: it is waited for, until it is back or for some seconds.
func TestOneThatDiedInAnOutageIsWaitedFor(t *testing.T) {
	t.Parallel()
	server := bustest.Start(t)
	topologyOn(t, server)
	a, b, c := start(t, "a", server.Connect()), start(t, "b", server.Connect()), start(t, "c", server.Connect())
	for _, r := range []*replica{a, b, c} {
		r.opens(t)
	}
	server.Down()
	b.shuts(t)
	c.shuts(t)
	a.stop()
	server.Up()
	again := start(t, "a", server.Connect())
	again.holds(record(1).At, 1)
	b.opens(t, 2)
	require.False(t, b.Open([]uint16{1}), "it opens when the other has told")

	server.Down()
	b.shuts(t)
	c.shuts(t)
	again.stop()
	server.Up()
	b.opens(t, 1) // it does not come back
	c.opens(t, 1)
}

// One that starts does not go by what the others told long ago.
func TestOneThatStartsAsksTheOthers(t *testing.T) {
	t.Parallel()
	server := bustest.Start(t)
	topologyOn(t, server)
	a := start(t, "a", server.Connect())
	a.opens(t)
	a.holds(record(1).At, 1) // and has not told
	b := start(t, "b", server.Connect())
	b.opens(t, 2)
	require.False(t, b.Open([]uint16{1}))
}

// One that leaves with nothing in its spool is not waited for.
func TestOneThatLeftIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	server, a, b := pair(t)
	a.opens(t)
	b.opens(t)
	a.stop()
	bucket, err := bus.OpenBucket(t.Context(), server.Connect(), topology.Spools.Name)
	require.NoError(t, err)
	_, err = bucket.Get(t.Context(), "a")
	require.ErrorIs(t, err, bus.ErrKeyNotFound)
}
