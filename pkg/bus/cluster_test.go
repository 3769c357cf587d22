package bus_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/bus/bustest"
)

const testPartitions = 8

// cluster is a stream whose partitions a few members own, and a record of the effects that handlers had.
type cluster struct {
	t         testing.TB
	server    *bustest.Server
	publisher *bus.Publisher
	conn      *bus.Conn
	ttl       time.Duration

	mu      sync.Mutex
	effects map[string][]int // by key, in the order in which they happened for the first time
	seen    map[string]int   // how often each was tried
	changed chan struct{}

	// tend, when set, is what members that join have beside their handlers.
	tend func(ctx context.Context, member string, partition int) (func(), error)
}

func newCluster(t testing.TB, ttl time.Duration) *cluster {
	t.Helper()
	server := bustest.Start(t)
	conn := server.Connect()
	ctx := t.Context()
	_, err := conn.JetStream().CreateStream(ctx, jetstream.StreamConfig{Name: "WORK", Subjects: []string{"work.>"}, Duplicates: time.Minute})
	require.NoError(t, err)
	_, err = conn.JetStream().CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "leases"})
	require.NoError(t, err)
	return &cluster{
		t: t, server: server, conn: conn, publisher: bus.NewPublisher(conn, bus.PublisherConfig{}), ttl: ttl,
		effects: map[string][]int{}, seen: map[string]int{}, changed: make(chan struct{}, 1),
	}
}

// stream makes the stream that the cluster reads.
func (c *cluster) stream() {
	c.t.Helper()
	_, err := c.conn.JetStream().CreateStream(c.t.Context(), jetstream.StreamConfig{Name: "WORK", Subjects: []string{"work.>"}, Duplicates: time.Minute})
	require.NoError(c.t, err)
}

// publish sends numbers [from, to) of each of some keys, as one flight for each number.
func (c *cluster) publish(keys, from, to int) {
	c.t.Helper()
	for n := from; n < to; n++ {
		out := make([]bus.Addressed, keys)
		for k := range keys {
			key := fmt.Sprintf("k%d", k)
			m := message.NewMessage(fmt.Sprintf("%s.%d", key, n), []byte(strconv.Itoa(n)))
			m.Metadata["key"] = key
			out[k] = bus.Addressed{Subject: fmt.Sprintf("work.%d.%s", k%testPartitions, key), Message: m}
		}
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		require.NoError(c.t, c.publisher.PublishAll(ctx, out...))
		cancel()
	}
}

// effect records what a handler did; doing it again changes nothing, as with every effect of ours.
func (c *cluster) effect(id string) {
	key, number, _ := strings.Cut(id, ".")
	n, err := strconv.Atoi(number)
	if err != nil {
		panic(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[id]++
	if c.seen[id] > 1 {
		return
	}
	c.effects[key] = append(c.effects[key], n)
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

func (c *cluster) total() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	total := 0
	for _, e := range c.effects {
		total += len(e)
	}
	return total
}

// requireAll waits for every effect, and demands that each key's came in order.
func (c *cluster) requireAll(keys, numbers int, within time.Duration) {
	c.t.Helper()
	require.Eventually(c.t, func() bool { return c.total() >= keys*numbers }, within, 10*time.Millisecond, "effects are missing")
	c.requireOrder()
	require.Equal(c.t, keys*numbers, c.total())
}

func (c *cluster) requireOrder() {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, numbers := range c.effects {
		for i, n := range numbers {
			require.Equal(c.t, i, n, "key %s: out of order: %v", key, numbers)
		}
	}
}

// member is one process of the group, with a connection of its own through a proxy.
type member struct {
	c     *cluster
	name  string
	proxy *bustest.Proxy
	conn  *bus.Conn
	sub   *bus.Subscriber
	wg    sync.WaitGroup
}

// join starts a member whose handler calls work, if any, and then has its effect, unless work failed or the partition is
// lost by then.
func (c *cluster) join(name string, work func(ctx context.Context, id string) error) *member {
	c.t.Helper()
	m := &member{c: c, name: name, proxy: c.server.Proxy(c.t)}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	log := slog.New(slog.DiscardHandler)
	if os.Getenv("BUS_TEST_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, nil)).With("member", name)
	}
	var tend func(context.Context, int) (func(), error)
	if c.tend != nil {
		tend = func(ctx context.Context, p int) (func(), error) { return c.tend(ctx, name, p) }
	}
	var err error
	m.conn, err = bus.Connect(ctx, bus.ConnConfig{URL: m.proxy.URL(), Name: name, Logger: log})
	require.NoError(c.t, err)
	leases, err := bus.OpenBucket(ctx, m.conn, "leases")
	require.NoError(c.t, err)
	m.sub, err = bus.NewSubscriber(m.conn, bus.SubscriberConfig{
		Group: "workers", Stream: func(context.Context, string) (string, error) { return "WORK", nil },
		Key: func(_ string, m *message.Message) string { return m.Metadata["key"] }, MaxInFlight: 32, CloseTimeout: 5 * time.Second, Logger: log,
		Ownership: &bus.Ownership{
			Bucket: leases, Partitions: testPartitions, Filter: func(p int) string { return fmt.Sprintf("work.%d.>", p) }, TTL: c.ttl, Member: name, Tend: tend,
		},
	})
	require.NoError(c.t, err)
	out, err := m.sub.Subscribe(context.Background(), "work.>")
	require.NoError(c.t, err)
	m.wg.Go(func() {
		for msg := range out {
			m.wg.Go(func() {
				if work != nil && work(msg.Context(), msg.UUID) != nil || msg.Context().Err() != nil || bus.Owned(msg.Context()) != nil {
					msg.Nack()
					return
				}
				c.effect(msg.UUID)
				msg.Ack()
			})
		}
	})
	c.t.Cleanup(m.leave)
	return m
}

// leave stops the member gracefully. It may be called more than once.
func (m *member) leave() {
	m.proxy.Resume()
	_ = m.sub.Close()
	m.wg.Wait()
	m.conn.Close()
}

// requireShares waits until the members own all partitions, evenly.
func (c *cluster) requireShares(within time.Duration, members ...*member) {
	c.t.Helper()
	require.Eventually(c.t, func() bool {
		owned := map[int]int{}
		for _, m := range members {
			mine := m.sub.Partitions()
			if len(mine) < testPartitions/len(members) || len(mine) > (testPartitions+len(members)-1)/len(members) {
				return false
			}
			for _, p := range mine {
				owned[p]++
			}
		}
		for p := range testPartitions {
			if owned[p] != 1 {
				return false
			}
		}
		return true
	}, within, 10*time.Millisecond, "the partitions are not shared evenly among the members")
}
