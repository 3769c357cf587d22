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
	"github.com/parley-dm/parley/pkg/bus/bustest"
)

// fixture is a server with the streams JOBS and DEAD.
type fixture struct {
	t      *testing.T
	server *bustest.Server
	conn   *bus.Conn
	pub    *bus.Publisher
}

func setup(t *testing.T) *fixture {
	t.Helper()
	server := bustest.Start(t)
	f := &fixture{t: t, server: server, conn: server.Connect()}
	f.pub = bus.NewPublisher(f.conn, bus.PublisherConfig{})
	for name, subject := range map[string]string{"JOBS": "jobs.>", "DEAD": "dead.>"} {
		_, err := f.conn.JetStream().CreateStream(t.Context(), jetstream.StreamConfig{Name: name, Subjects: []string{subject}, Duplicates: time.Minute, Metadata: map[string]string{}})
		require.NoError(t, err)
	}
	return f
}

// subscriber makes one of group "g"; its lanes are metadata "lane".
func (f *fixture) subscriber(change func(*bus.SubscriberConfig)) *bus.Subscriber {
	f.t.Helper()
	cfg := bus.SubscriberConfig{
		Group: "g", Stream: func(context.Context, string) (string, error) { return "JOBS", nil },
		Key: func(_ string, m *message.Message) string { return m.Metadata["lane"] }, CloseTimeout: 5 * time.Second,
	}
	if change != nil {
		change(&cfg)
	}
	s, err := bus.NewSubscriber(f.conn, cfg)
	require.NoError(f.t, err)
	f.t.Cleanup(func() { require.NoError(f.t, s.Close()) })
	return s
}

func (f *fixture) subscribe(s *bus.Subscriber) <-chan *message.Message {
	f.t.Helper()
	out, err := s.Subscribe(context.Background(), "jobs.>")
	require.NoError(f.t, err)
	return out
}

// publish publishes one message for each id into a lane.
func (f *fixture) publish(lane string, ids ...string) {
	f.t.Helper()
	for _, id := range ids {
		require.NoError(f.t, f.pub.Publish("jobs.a", job(lane, id)))
	}
}

func job(lane, id string) *message.Message {
	m := message.NewMessage(id, []byte("payload of "+id))
	m.Metadata["lane"] = lane
	return m
}

func (f *fixture) state(stream string) jetstream.StreamState {
	f.t.Helper()
	s, err := f.conn.JetStream().Stream(f.t.Context(), stream)
	require.NoError(f.t, err)
	return s.CachedInfo().State
}

// consumer is the state of group "g"'s consumer.
func (f *fixture) consumer() *jetstream.ConsumerInfo {
	f.t.Helper()
	c, err := f.conn.JetStream().Consumer(f.t.Context(), "JOBS", "g_jobs_all")
	require.NoError(f.t, err)
	return c.CachedInfo()
}

// receive waits for one message.
func receive(t *testing.T, from <-chan *message.Message) *message.Message {
	t.Helper()
	select {
	case m, ok := <-from:
		require.True(t, ok, "the subscription has ended")
		return m
	case <-time.After(20 * time.Second):
		require.FailNow(t, "no message came")
		return nil
	}
}

// log records what handlers were called with.
type calls struct {
	mu  sync.Mutex
	ids []string
}

func (c *calls) add(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ids = append(c.ids, id)
}

func (c *calls) all() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.ids...)
}

func (c *calls) count(id string) int {
	n := 0
	for _, other := range c.all() {
		if other == id {
			n++
		}
	}
	return n
}

func (c *calls) wait(t *testing.T, id string, times int) {
	t.Helper()
	require.Eventually(t, func() bool { return c.count(id) >= times }, 20*time.Second, 2*time.Millisecond, "%s was not handled %d time(s)", id, times)
}

// route runs a router with one handler; stop closes it and waits.
func (f *fixture) route(cfg bus.RouterConfig, s *bus.Subscriber, h message.NoPublishHandlerFunc) (stop func()) {
	f.t.Helper()
	cfg.Stage = "work"
	if cfg.DeadLetters == nil {
		cfg.DeadLetters = f.pub
	}
	if cfg.DeadSubject == nil {
		cfg.DeadSubject = func(m *message.Message) string { return "dead.work." + m.Metadata["lane"] }
	}
	if cfg.Retry.MinDelay == 0 {
		cfg.Retry = bus.RetryConfig{MaxAttempts: 3, MinDelay: 5 * time.Millisecond, MaxDelay: 20 * time.Millisecond}
	}
	r, err := bus.NewRouter(cfg)
	require.NoError(f.t, err)
	r.AddConsumerHandler("handle", "jobs.>", s, h)
	done := make(chan error, 1)
	go func() { done <- r.Run(context.Background()) }()
	select {
	case <-r.Running():
	case err := <-done:
		require.NoError(f.t, err, "the router has ended")
	}
	stop = sync.OnceFunc(func() {
		require.NoError(f.t, r.Close())
		require.NoError(f.t, <-done)
	})
	f.t.Cleanup(stop)
	return stop
}

// deadLetter waits for the n-th dead letter.
func (f *fixture) deadLetter(n uint64) *jetstream.RawStreamMsg {
	f.t.Helper()
	s, err := f.conn.JetStream().Stream(context.Background(), "DEAD")
	require.NoError(f.t, err)
	var m *jetstream.RawStreamMsg
	require.Eventually(f.t, func() bool {
		m, err = s.GetMsg(context.Background(), n)
		return err == nil
	}, 20*time.Second, 5*time.Millisecond, "no dead letter came")
	return m
}

func ids(prefix string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("%s%d", prefix, i)
	}
	return out
}
