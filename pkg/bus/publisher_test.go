package bus_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/bus"
)

func slice(prefix string, n int) []*message.Message {
	out := make([]*message.Message, n)
	for i, id := range ids(prefix, n) {
		out[i] = job("l", id)
	}
	return out
}

func TestASliceIsStoredInItsOrderInOneFlight(t *testing.T) {
	t.Parallel()
	f := setup(t)
	require.NoError(t, f.pub.Publish("jobs.a", slice("m", 1000)...))
	require.Equal(t, uint64(1000), f.state("JOBS").Msgs)
	stream, err := f.conn.JetStream().Stream(t.Context(), "JOBS")
	require.NoError(t, err)
	for _, n := range []uint64{1, 2, 500, 1000} {
		m, err := stream.GetMsg(t.Context(), n)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("m%d", n-1), m.Header.Get(jetstream.MsgIDHeader))
	}
	require.NoError(t, f.pub.Publish("jobs.a"), "nothing is nothing")
}

func TestManySlicesLargerThanTheWindowTogether(t *testing.T) {
	t.Parallel()
	f := setup(t)
	// A flight's time-out far away: slices that wait for each other until then would be seen on the slowest machine.
	pub := bus.NewPublisher(f.conn, bus.PublisherConfig{MaxPending: 100, TryTimeout: time.Minute, AckTimeout: 2 * time.Minute})
	var wg sync.WaitGroup
	begin := time.Now()
	for i := range 6 {
		wg.Go(func() {
			if err := pub.Publish("jobs.a", slice(fmt.Sprintf("s%d.", i), 50*(i+1))...); err != nil {
				panic(err)
			}
		})
	}
	wg.Wait()
	require.Equal(t, uint64(50*21), f.state("JOBS").Msgs)
	require.Less(t, time.Since(begin), 50*time.Second, "they do not wait for each other until a flight times out")
}

func TestPublishingWhileTheServerIsAwayFailsWithinItsDeadline(t *testing.T) {
	t.Parallel()
	f := setup(t)
	pub := bus.NewPublisher(f.conn, bus.PublisherConfig{AckTimeout: 300 * time.Millisecond})
	f.server.Down()
	begin := time.Now()
	err := pub.Publish("jobs.a", slice("m", 10)...)
	require.ErrorIs(t, err, bus.ErrUnavailable)
	require.Less(t, time.Since(begin), 4*time.Second, "the default would be 5 s")

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, f.pub.PublishAll(ctx, bus.Addressed{Subject: "jobs.a", Message: job("l", "x")}), bus.ErrUnavailable, "the caller's deadline wins")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, f.pub.PublishAll(gone, bus.Addressed{Subject: "jobs.a", Message: job("l", "x")}), context.Canceled)
}

func TestPublishingOverAReconnectStoresEachOnce(t *testing.T) {
	t.Parallel()
	f := setup(t)
	proxy := f.server.Proxy(t)
	conn, err := bus.Connect(t.Context(), bus.ConnConfig{URL: proxy.URL()})
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	pub := bus.NewPublisher(conn, bus.PublisherConfig{AckTimeout: 30 * time.Second})
	done := make(chan error, 1)
	go func() {
		for i := range 40 {
			if err := pub.Publish("jobs.a", slice(fmt.Sprintf("s%d.", i), 25)...); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for stored := uint64(100); stored < 900; stored += 150 {
		require.Eventually(t, func() bool { return f.state("JOBS").Msgs >= stored }, 20*time.Second, time.Millisecond)
		proxy.Cut()
	}
	require.NoError(t, <-done)
	require.Equal(t, uint64(1000), f.state("JOBS").Msgs)
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	f := setup(t)
	pub := bus.NewPublisher(f.conn, bus.PublisherConfig{AckTimeout: time.Second})
	err := pub.Publish("nobody.listens", job("l", "x"))
	require.ErrorIs(t, err, bus.ErrNoStream)
	require.ErrorIs(t, err, bus.ErrUnavailable)
	require.ErrorIs(t, pub.Publish("jobs.a", job("l", "")), bus.ErrRefused)
	require.ErrorIs(t, pub.Publish("jobs.*", job("l", "x")), bus.ErrRefused)
	require.ErrorIs(t, pub.Publish("jobs.a b", job("l", "x")), bus.ErrRefused)
	huge := job("l", "x")
	huge.Payload = make([]byte, 2<<20)
	require.ErrorIs(t, pub.Publish("jobs.a", huge), bus.ErrRefused)
	wrong := job("l", "x")
	wrong.Metadata[jetstream.ExpectedStreamHeader] = "DEAD"
	require.ErrorIs(t, pub.Publish("jobs.a", wrong), bus.ErrRefused)
	require.Zero(t, f.state("JOBS").Msgs)
}

func TestAStreamAtItsBoundIsAwayUntilThereIsRoom(t *testing.T) {
	t.Parallel()
	f := setup(t)
	js := f.conn.JetStream()
	stream, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "SMALL", Subjects: []string{"small.>"}, MaxMsgs: 3, Discard: jetstream.DiscardNew})
	require.NoError(t, err)
	require.NoError(t, f.pub.Publish("small.a", slice("m", 3)...))
	hasty := bus.NewPublisher(f.conn, bus.PublisherConfig{AckTimeout: 200 * time.Millisecond})
	err = hasty.Publish("small.a", job("l", "one more"))
	require.ErrorIs(t, err, bus.ErrUnavailable)
	class, _ := bus.Classify(err)
	require.Equal(t, bus.Deferred, class, "the message is not at fault")

	patient := make(chan error, 1)
	go func() { patient <- f.pub.Publish("small.a", job("l", "one more")) }()
	require.NoError(t, stream.Purge(t.Context()))
	require.NoError(t, <-patient)
	info, err := stream.Info(t.Context())
	require.NoError(t, err)
	require.Equal(t, uint64(1), info.State.Msgs)
}
