package bus_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/bus"
)

// batched makes a subscriber that hands out up to ten messages as one.
func (f *fixture) batched(change func(*bus.SubscriberConfig)) *bus.Subscriber {
	f.t.Helper()
	return f.subscriber(func(c *bus.SubscriberConfig) {
		c.Key, c.Batch, c.BatchWait, c.MaxInFlight = nil, 10, 50*time.Millisecond, 20
		if change != nil {
			change(c)
		}
	})
}

// settled waits until everything in the stream has been acknowledged.
func (f *fixture) settled() {
	f.t.Helper()
	require.Eventually(f.t, func() bool {
		c := f.consumer()
		return c.NumAckPending == 0 && c.NumPending == 0
	}, 20*time.Second, 10*time.Millisecond)
}

func TestABatchIsHandledAsOneAndAcknowledgedAsMany(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.publish("l", ids("m", 25)...)
	var seen, sizes calls
	f.route(bus.RouterConfig{}, f.batched(nil), func(m *message.Message) error {
		batch := bus.Batch(m.Context())
		sizes.add(fmt.Sprint(len(batch)))
		for i := range batch {
			r := &batch[i]
			require.Equal(t, "payload of "+r.ID, string(r.Payload))
			require.Equal(t, []string{"jobs.a", "l", ""}, []string{r.Subject, r.Header("lane"), r.Header("none")})
			seen.add(r.ID)
		}
		return nil
	})
	f.settled()
	require.ElementsMatch(t, ids("m", 25), seen.all())
	require.ElementsMatch(t, []string{"10", "10", "5"}, sizes.all())

	// One that comes alone comes as any other message.
	alone := make(chan *message.Message, 1)
	g := setup(t)
	g.publish("l", "alone")
	g.route(bus.RouterConfig{}, g.batched(nil), func(m *message.Message) error {
		require.Nil(t, bus.Batch(m.Context()))
		alone <- m
		return nil
	})
	m := receive(t, alone)
	require.Equal(t, []string{"alone", "payload of alone", "l"}, []string{m.UUID, string(m.Payload), m.Metadata["lane"]})
	g.settled()
}

// Whatever is wrong with one message of a batch, in the end it is wrong with that one alone.
func TestABatchThatFailsIsHandledOneByOne(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func() error{
		"an error":          func() error { return errBad },
		"a permanent error": func() error { return bus.Permanent(errBad) },
		"a panic":           func() error { panic("oh no") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			f.publish("l", ids("m", 7)...)
			f.publish("l", "bad")
			var seen calls
			f.route(bus.RouterConfig{}, f.batched(nil), func(m *message.Message) error {
				for _, r := range bus.Batch(m.Context()) {
					if r.ID == "bad" {
						return fail()
					}
				}
				if m.UUID == "bad" {
					return fail()
				}
				seen.add(m.UUID)
				return nil
			})
			require.Equal(t, "payload of bad", string(f.deadLetter(1).Data))
			f.settled()
			require.ElementsMatch(t, ids("m", 7), seen.all(), "each once, and none of the batch that failed")
			require.Equal(t, uint64(1), f.state("DEAD").Msgs)
		})
	}
}

func TestAStopFinishesTheBatchThatRunsAndGivesTheRestBack(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.publish("l", ids("m", 30)...)
	started, release := make(chan struct{}), make(chan struct{})
	var seen calls
	stop := f.route(bus.RouterConfig{}, f.batched(func(c *bus.SubscriberConfig) { c.MaxInFlight = 10 }), func(m *message.Message) error {
		close(started)
		<-release
		for _, r := range bus.Batch(m.Context()) {
			seen.add(r.ID)
		}
		return m.Context().Err()
	})
	<-started
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	select {
	case <-stopped:
		require.Fail(t, "the stop did not wait for the batch")
	case <-time.After(100 * time.Millisecond):
	}
	close(release)
	<-stopped
	require.Equal(t, ids("m", 10), seen.all())

	// The rest comes at once, and not after AckWait.
	begin := time.Now()
	f.route(bus.RouterConfig{}, f.batched(nil), func(m *message.Message) error {
		for _, r := range bus.Batch(m.Context()) {
			seen.add(r.ID)
		}
		return nil
	})
	f.settled()
	require.Less(t, time.Since(begin), 5*time.Second)
	require.ElementsMatch(t, ids("m", 30), seen.all())
}

func TestABatchWithAKeyIsRefused(t *testing.T) {
	t.Parallel()
	f := setup(t)
	_, err := bus.NewSubscriber(f.conn, bus.SubscriberConfig{
		Group: "g", Stream: func(context.Context, string) (string, error) { return "JOBS", nil }, Batch: 2, Key: func(string, *message.Message) string { return "" },
	})
	require.ErrorContains(t, err, "batch: got 2 with a key")
}
