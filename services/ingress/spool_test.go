package ingress_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/bus/bustest"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/envelope"
	"github.com/parley-dm/parley/pkg/meta/webhook"
	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/pkg/topology"
	"github.com/parley-dm/parley/services/ingress"
)

// from is a webhook with one message of a customer for each mid.
func from(t *testing.T, customer string, mids ...string) []byte {
	t.Helper()
	return bytes.ReplaceAll(texts(t, account, mids...), []byte(`"7001"`), []byte(`"`+customer+`"`))
}

// metaWaits is how long Meta waits for an answer.
const metaWaits = 5 * time.Second

// postInTime sends a webhook, which must be answered 200 before Meta gives up.
func (b *testBundle) postInTime(t *testing.T, body []byte) {
	t.Helper()
	begin := time.Now()
	require.Equal(t, http.StatusOK, b.post(t, body, secret))
	require.Less(t, time.Since(begin), metaWaits)
}

// result is what /readyz says of a dependency.
func (b *testBundle) result(t *testing.T, name string) (r telemetry.Result, ready bool) {
	t.Helper()
	results, ready := b.tel.Health.Run(t.Context())
	i := slices.IndexFunc(results, func(r telemetry.Result) bool { return r.Name == "ingress."+name })
	require.GreaterOrEqual(t, i, 0, name)
	return results[i], ready
}

// awaitEmpty waits until everything that waited in the spool is published.
func (b *testBundle) awaitEmpty(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		r, _ := b.result(t, "spool")
		return r.OK && r.Detail == "empty"
	}, 30*time.Second, 10*time.Millisecond)
}

// mids reads the message ids in the stream, in its order, by customer.
func mids(t *testing.T, server *bustest.Server) map[string][]string {
	t.Helper()
	stream, err := server.Connect().JetStream().Stream(t.Context(), topology.Events.Name)
	require.NoError(t, err)
	out := map[string][]string{}
	for seq := uint64(1); seq <= stream.CachedInfo().State.LastSeq; seq++ {
		m, err := stream.GetMsg(t.Context(), seq)
		require.NoError(t, err)
		e, err := envelope.Decode[dm.Event](m.Data)
		require.NoError(t, err)
		out[e.Data.Customer] = append(out[e.Data.Customer], e.Data.MID)
	}
	return out
}

// early is a connection that was made before the server came.
func early(t *testing.T, server *bustest.Server) *bus.Conn {
	t.Helper()
	conn, err := bus.Connect(t.Context(), bus.ConnConfig{URL: server.URL(), Name: t.Name(), Early: true})
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	return conn
}

func TestBusAway(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.postInTime(t, from(t, "7001", "before"))
	_, ready := b.result(t, "webhooks")
	require.True(t, ready)

	b.server.Down()
	b.postInTime(t, from(t, "7001", "meanwhile-1", "meanwhile-2"))
	b.postInTime(t, from(t, "7002", "meanwhile-3"))
	b.postInTime(t, from(t, "7001", "meanwhile-4"))
	r, ready := b.result(t, "nats")
	require.True(t, ready, "it can take webhooks")
	require.False(t, r.OK, "and says what is away")
	r, _ = b.result(t, "spool")
	require.Contains(t, r.Detail, "3 webhooks wait in ")
	require.NoError(t, testutil.GatherAndCompare(b.tel.Gatherer(), strings.NewReader(`
# HELP ingress_spool_webhooks Accepted webhooks that wait on the disk for the bus.
# TYPE ingress_spool_webhooks gauge
ingress_spool_webhooks{service="ingress"} 3
`), "ingress_spool_webhooks"))

	b.server.Up()
	b.postInTime(t, from(t, "7001", "after"))
	b.awaitEmpty(t)
	b.postInTime(t, from(t, "7001", "later"))
	require.Equal(t, map[string][]string{
		"7001": {"before", "meanwhile-1", "meanwhile-2", "meanwhile-4", "after", "later"}, "7002": {"meanwhile-3"},
	}, mids(t, b.server))
	r, ready = b.result(t, "nats")
	require.True(t, ready)
	require.True(t, r.OK)
}

// Ingress starts while NATS is away, is stopped and started again meanwhile, and what it took before and after is published
// in order.
func TestStartsWithoutTheBusAndKeepsWhatItTookOverARestart(t *testing.T) {
	t.Parallel()
	server := bustest.Start(t)
	server.Down()
	dir := t.TempDir()
	into := func(c *ingress.Config) { c.SpoolDir = dir }
	b := start(t, server, early(t, server), into)
	r, ready := b.result(t, "nats")
	require.True(t, ready)
	require.Contains(t, r.Error, "not reached yet")
	var want []string
	for i := range 20 {
		want = append(want, fmt.Sprint("first-", i))
		b.postInTime(t, from(t, "7001", want[i]))
	}
	b.stop()
	err := <-b.done
	b.done <- err
	require.NoError(t, err)

	b = start(t, server, early(t, server), into)
	r, _ = b.result(t, "spool")
	require.Contains(t, r.Detail, "20 webhooks wait")
	want = append(want, "second")
	b.postInTime(t, from(t, "7001", "second"))
	server.Up()
	b.awaitEmpty(t)
	b.postInTime(t, from(t, "7001", "third"))
	require.Equal(t, map[string][]string{"7001": append(want, "third")}, mids(t, server))
}

// Many customers write while NATS stops and starts again, twice: every one of their webhooks is answered 200 in time, and
// each conversation is in the stream in its order, once.
func TestNATSStopsAndStartsUnderLoad(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const customers, each = 12, 60
	var wg sync.WaitGroup
	var slowest sync.Map
	steps := make(chan struct{}, customers*each)
	for c := range customers {
		wg.Go(func() {
			for i := range each {
				begin := time.Now()
				if status := b.try(from(t, fmt.Sprint("c", c), fmt.Sprintf("c%d-%d", c, i))); status != http.StatusOK {
					t.Errorf("customer %d, message %d: status %d", c, i, status)
				}
				slowest.Store(time.Since(begin), true)
				steps <- struct{}{}
			}
		})
	}
	for range 2 {
		for range customers * each / 4 {
			<-steps
		}
		b.server.Down()
		for range customers * each / 5 {
			<-steps
		}
		b.server.Up()
	}
	wg.Wait()
	slowest.Range(func(k, _ any) bool {
		require.Less(t, k, metaWaits)
		return true
	})
	b.awaitEmpty(t)
	got := mids(t, b.server)
	require.Len(t, got, customers)
	for c, all := range got {
		want := make([]string, each)
		for i := range want {
			want[i] = fmt.Sprint(c, "-", i)
		}
		require.Equal(t, want, all, c)
	}
}

// try posts from any goroutine, and gives 0 when there was no answer.
func (b *testBundle) try(body []byte) int {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, b.url, bytes.NewReader(body))
	if err != nil {
		return 0
	}
	r.Header.Set(webhook.SignatureHeader, webhook.Sign(body, secret))
	answer, err := b.client.Do(r)
	if err != nil {
		return 0
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
	return answer.StatusCode
}

// A bus that stalls, and says nothing, is waited for once; then webhooks go to the spool at once.
func TestBusStalls(t *testing.T) {
	t.Parallel()
	server := bustest.Start(t)
	proxy := server.Proxy(t)
	conn, err := bus.Connect(t.Context(), bus.ConnConfig{URL: proxy.URL()})
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	b := start(t, server, conn)
	b.postInTime(t, from(t, "7001", "before"))
	proxy.Stall()
	for i := range 5 {
		b.postInTime(t, from(t, "7001", fmt.Sprint("stalled-", i)))
	}
	proxy.Resume()
	b.awaitEmpty(t)
	require.Equal(t, []string{"before", "stalled-0", "stalled-1", "stalled-2", "stalled-3", "stalled-4"}, mids(t, server)["7001"])
}

// A stream at its bound refuses: then the spool, and at its bound 503. When there is room again everything goes its way.
func TestAFullStreamAndAFullSpool(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *ingress.Config) { c.MaxBodyBytes, c.SpoolMaxBytes = 8<<10, 32<<10 })
	js := b.server.Connect().JetStream()
	b.postInTime(t, from(t, "7001", "before"))
	stream, err := js.Stream(t.Context(), topology.Events.Name)
	require.NoError(t, err)
	full := stream.CachedInfo().Config
	roomy := full
	full.MaxBytes = 1
	_, err = js.UpdateStream(t.Context(), full)
	require.NoError(t, err)

	want := []string{"before"}
	for i := 0; ; i++ {
		mid := fmt.Sprint("waits-", i)
		begin := time.Now()
		status := b.post(t, from(t, "7001", mid), secret)
		require.Less(t, time.Since(begin), metaWaits)
		if status == http.StatusServiceUnavailable {
			break
		}
		require.Equal(t, http.StatusOK, status)
		want = append(want, mid)
	}
	require.Greater(t, len(want), 10)
	r, ready := b.result(t, "webhooks")
	require.False(t, ready)
	require.Contains(t, r.Error, "SPOOL_MAX_BYTES")

	_, err = js.UpdateStream(t.Context(), roomy)
	require.NoError(t, err)
	b.awaitEmpty(t)
	b.postInTime(t, from(t, "7001", "after"))
	require.Equal(t, append(want, "after"), mids(t, b.server)["7001"])
}

// A webhook of which a part was published before the bus broke off is published again whole: nothing is there twice.
func TestPublishedInPartAndThenSpooled(t *testing.T) {
	t.Parallel()
	b := setup(t)
	body := from(t, "7001", "a", "b", "c")
	events, err := webhook.Parse(body, webhook.Options{ReceivedAt: time.Now()})
	require.NoError(t, err)
	js := b.server.Connect().JetStream()
	// The first of its events is there, as it would be when the bus broke off behind it.
	_, err = js.Publish(t.Context(), topology.EventSubject(&events[0], topology.DefaultPartitions), encode(t, events[0]), jetstream.WithMsgID(events[0].ID))
	require.NoError(t, err)
	b.server.Down()
	b.postInTime(t, body)
	b.server.Up()
	b.awaitEmpty(t)
	require.Equal(t, []string{"a", "b", "c"}, mids(t, b.server)["7001"])
}

func encode(t *testing.T, e dm.Event) []byte {
	t.Helper()
	b, err := envelope.Event(e, "r").Encode()
	require.NoError(t, err)
	return b
}
