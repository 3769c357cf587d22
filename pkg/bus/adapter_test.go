package bus_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/bus"
)

// What watermill-nats v2.1.3 does not do, each as a test.

func TestManyMessagesAreInFlightAtOnce(t *testing.T) {
	t.Parallel()
	f := setup(t)
	out := f.subscribe(f.subscriber(func(c *bus.SubscriberConfig) { c.MaxInFlight = 8 }))
	for _, id := range ids("m", 12) {
		f.publish("lane of "+id, id)
	}
	held := make([]*message.Message, 8)
	for i := range held {
		held[i] = receive(t, out) // and settles none
	}
	select {
	case m := <-out:
		require.Failf(t, "more than MaxInFlight", "%s came too", m.UUID)
	case <-time.After(100 * time.Millisecond):
	}
	for _, m := range held {
		m.Ack()
	}
	for range 4 {
		receive(t, out).Ack()
	}
}

func TestTheSameUUIDIsStoredOnce(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.publish("l", "same", "same", "other")
	require.NoError(t, f.pub.Publish("jobs.b", job("l", "same"), job("l", "same")))
	require.Equal(t, uint64(2), f.state("JOBS").Msgs)
}

func TestAStopLetsARunningHandlerFinishAndItsAcknowledgementCount(t *testing.T) {
	t.Parallel()
	f := setup(t)
	started, release := make(chan struct{}), make(chan struct{})
	var seen calls
	stop := f.route(bus.RouterConfig{}, f.subscriber(nil), func(m *message.Message) error {
		close(started)
		<-release
		seen.add(m.UUID)
		return m.Context().Err()
	})
	f.publish("l", "running", "queued")
	<-started
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	select {
	case <-stopped:
		require.Fail(t, "the stop did not wait for the handler")
	case <-time.After(100 * time.Millisecond):
	}
	close(release)
	<-stopped
	require.Equal(t, []string{"running"}, seen.all(), "its context was alive to the end, and nothing new was begun")

	// It was acknowledged; what was queued behind it comes at once, and not after AckWait.
	begin := time.Now()
	m := receive(t, f.subscribe(f.subscriber(nil)))
	require.Equal(t, "queued", m.UUID)
	require.Less(t, time.Since(begin), 3*time.Second)
	m.Ack()
	require.Eventually(t, func() bool { c := f.consumer(); return c.NumAckPending == 0 && c.NumPending == 0 }, 10*time.Second, 10*time.Millisecond)
}

func TestAHandlerThatOutlivesTheStopIsCancelledAndItsMessageComesAgain(t *testing.T) {
	t.Parallel()
	f := setup(t)
	started := make(chan struct{})
	s := f.subscriber(func(c *bus.SubscriberConfig) { c.CloseTimeout = 50 * time.Millisecond })
	stop := f.route(bus.RouterConfig{}, s, func(m *message.Message) error {
		close(started)
		<-m.Context().Done()
		require.ErrorIs(t, context.Cause(m.Context()), bus.ErrDrainTimeout)
		return m.Context().Err()
	})
	f.publish("l", "slow")
	<-started
	stop()
	require.Zero(t, f.state("DEAD").Msgs)
	m := receive(t, f.subscribe(f.subscriber(nil)))
	require.Equal(t, "slow", m.UUID)
	m.Ack()
}

func TestClosingLeavesTheConnectionOpen(t *testing.T) {
	t.Parallel()
	f := setup(t)
	s := f.subscriber(nil)
	f.subscribe(s)
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
	require.NoError(t, f.pub.Close())
	require.ErrorIs(t, f.pub.Publish("jobs.a", job("l", "late")), bus.ErrClosed)
	_, err := s.Subscribe(t.Context(), "jobs.>")
	require.ErrorIs(t, err, bus.ErrClosed)
	require.NoError(t, f.conn.Ready(t.Context()))
}

func TestRepeatedHeadersAndMissingOnes(t *testing.T) {
	t.Parallel()
	f := setup(t)
	out := f.subscribe(f.subscriber(nil))
	_, err := f.conn.JetStream().PublishMsg(t.Context(), &nats.Msg{Subject: "jobs.a", Data: []byte("x"), Header: nats.Header{"Twice": {"one", "two"}, "Empty": {""}}})
	require.NoError(t, err)
	m := receive(t, out)
	require.Equal(t, "one", m.Metadata["Twice"])
	require.Empty(t, m.UUID)
	m.Ack()
	_, err = f.conn.JetStream().Publish(t.Context(), "jobs.a", nil) // no header, no payload
	require.NoError(t, err)
	receive(t, out).Ack()
}

func TestShutdownsUnderLoadLoseNothing(t *testing.T) {
	t.Parallel()
	f := setup(t)
	const total = 3000
	var publishing sync.WaitGroup
	publishing.Go(func() {
		for _, id := range ids("m", total) {
			if err := f.pub.Publish("jobs.a", job("lane of "+id[:2], id)); err != nil {
				panic(err)
			}
		}
	})
	var mu sync.Mutex
	seen := map[string]bool{}
	count := func() int { mu.Lock(); defer mu.Unlock(); return len(seen) }
	for round := 1; count() < total; round++ {
		stop := f.route(bus.RouterConfig{}, f.subscriber(nil), func(m *message.Message) error {
			mu.Lock()
			defer mu.Unlock()
			seen[m.UUID] = true
			return nil
		})
		require.Eventually(t, func() bool { return count() >= min(total, 300*round) }, 30*time.Second, time.Millisecond)
		stop()
	}
	publishing.Wait()
	require.Equal(t, total, count())
}

func TestASubscriptionEndsWithItsContext(t *testing.T) {
	t.Parallel()
	f := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	out, err := f.subscriber(nil).Subscribe(ctx, "jobs.>")
	require.NoError(t, err)
	f.publish("l", "one")
	m := receive(t, out)
	cancel()
	require.NoError(t, m.Context().Err(), "what is being handled may finish")
	m.Ack()
	_, ok := <-out
	require.False(t, ok)
	require.Zero(t, f.consumer().NumAckPending)
}

func TestASharedConsumerThatIsDeletedIsMadeAgain(t *testing.T) {
	t.Parallel()
	f := setup(t)
	out := f.subscribe(f.subscriber(nil))
	f.publish("l", "before")
	receive(t, out).Ack()
	require.NoError(t, f.conn.JetStream().DeleteConsumer(t.Context(), "JOBS", "g_jobs_all"))
	f.publish("l", "after")
	for m := receive(t, out); ; m = receive(t, out) {
		m.Ack()
		if m.UUID == "after" {
			break
		}
	}
}

func TestAMessageThatIsHeldForLongerThanAckWaitDoesNotComeAgain(t *testing.T) {
	t.Parallel()
	f := setup(t)
	out := f.subscribe(f.subscriber(func(c *bus.SubscriberConfig) { c.AckWait = 600 * time.Millisecond }))
	f.publish("l", "long", "behind it")
	m := receive(t, out)
	select {
	case again := <-out:
		require.Failf(t, "came although one is being handled", "%s", again.UUID)
	case <-time.After(2 * time.Second):
	}
	m.Ack()
	next := receive(t, out)
	require.Equal(t, "behind it", next.UUID)
	next.Ack()
	require.Eventually(t, func() bool { return f.consumer().AckFloor.Stream == 2 }, 10*time.Second, 10*time.Millisecond)
	require.Zero(t, f.consumer().NumRedelivered)
	require.Equal(t, uint64(2), f.consumer().Delivered.Consumer, "each was delivered once")
}

func TestBytesInFlightAreBounded(t *testing.T) {
	t.Parallel()
	f := setup(t)
	out := f.subscribe(f.subscriber(func(c *bus.SubscriberConfig) { c.MaxHeldBytes = 10_000 }))
	all := make([]bus.Addressed, 20)
	for i := range all {
		m := job(ids("lane", 20)[i], ids("m", 20)[i])
		m.Payload = make([]byte, 3000)
		if i == 10 {
			m.Payload = make([]byte, 50_000) // more than the bound: it comes alone
		}
		all[i] = bus.Addressed{Subject: "jobs.a", Message: m}
	}
	require.NoError(t, f.pub.PublishAll(t.Context(), all...))
	for got := 0; got < len(all); {
		var batch []*message.Message
		for waiting := true; waiting; {
			select {
			case m := <-out:
				batch = append(batch, m)
			case <-time.After(200 * time.Millisecond):
				waiting = false
			}
		}
		bytes := 0
		for _, m := range batch {
			bytes += len(m.Payload)
		}
		require.NotEmpty(t, batch)
		require.True(t, bytes <= 10_000 || len(batch) == 1, "%d messages with %d bytes at once", len(batch), bytes)
		got += len(batch)
		for _, m := range batch {
			m.Ack()
		}
	}
}

func TestAServerThatComesBackBringsTheRestToASharedSubscriber(t *testing.T) {
	t.Parallel()
	f := setup(t)
	out := f.subscribe(f.subscriber(func(c *bus.SubscriberConfig) { c.AckWait = time.Second }))
	f.publish("l", "before")
	receive(t, out).Ack()
	f.server.Down()
	f.server.Up()
	pub := bus.NewPublisher(f.conn, bus.PublisherConfig{AckTimeout: 20 * time.Second})
	require.NoError(t, pub.Publish("jobs.a", job("l", "after")))
	for m := receive(t, out); ; m = receive(t, out) {
		m.Ack()
		if m.UUID == "after" {
			break
		}
	}
}

func TestAGroupMayBeginNow(t *testing.T) {
	t.Parallel()
	f := setup(t)
	now := func(c *bus.SubscriberConfig) { c.FromNow = true }
	f.publish("l", "before")
	s := f.subscriber(now)
	out := f.subscribe(s)
	f.publish("l", "first")
	m := receive(t, out)
	require.Equal(t, "first", m.UUID)
	m.Ack()
	require.NoError(t, s.Close())

	// It was there before: what came meanwhile comes.
	f.publish("l", "second")
	m = receive(t, f.subscribe(f.subscriber(now)))
	require.Equal(t, "second", m.UUID)
	m.Ack()
}

func TestAGroupThatBeganNowLosesNothingWithItsConsumer(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.publish("l", "before")
	out := f.subscribe(f.subscriber(func(c *bus.SubscriberConfig) { c.FromNow = true }))
	require.NoError(t, f.conn.JetStream().DeleteConsumer(t.Context(), "JOBS", "g_jobs_all"))
	f.publish("l", "after")
	m := receive(t, out)
	require.Equal(t, "after", m.UUID)
	m.Ack()
}
