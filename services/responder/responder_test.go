package responder_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/bus/bustest"
	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/envelope"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/pkg/postgres"
	"github.com/parley-dm/parley/pkg/postgres/pgtest"
	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/pkg/topology"
	"github.com/parley-dm/parley/services/responder"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const (
	shop     = "17841400000000001"
	patience = 20 * time.Second
)

// bundle is a responder's surroundings: a bus, a database, and the part of ingress.
type bundle struct {
	t       testing.TB
	conn    *bus.Conn
	tel     *telemetry.Telemetry
	cfg     responder.Config
	ingress *pipeline.Pipeline
	intents jetstream.Consumer
}

func setup(tb testing.TB, db config.Database) *bundle {
	tb.Helper()
	server := bustest.Start(tb)
	common := config.Common{AppName: "test", ShutdownTimeout: 10 * time.Second}
	tel, err := telemetry.Start(tb.Context(), telemetry.Options{Service: "test", Common: common, NoAdmin: true, LogTo: tb.Output()})
	require.NoError(tb, err)
	b := &bundle{t: tb, conn: server.Connect(), tel: tel}
	b.cfg = responder.Config{
		Common: common, NATS: config.NATS{URL: config.Secret(server.URL()), Replicas: 1}, Database: db, Settings: accounts.Settings{PageID: shop},
		Fallback: "Thanks!", MaxRepliesPerMinute: 20, MaxInFlight: 64, RulesPoll: time.Hour, Host: &pipeline.Host{Telemetry: tel, Conn: b.conn},
	}
	b.ingress, err = pipeline.Open(tb.Context(), pipeline.Options{Service: "ingress", Common: common, NATS: b.cfg.NATS, Host: b.cfg.Host})
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, b.ingress.Close()) })
	b.intents, err = b.conn.JetStream().OrderedConsumer(tb.Context(), topology.Intents.Name, jetstream.OrderedConsumerConfig{})
	require.NoError(tb, err)
	return b
}

// run starts a responder and returns what stops it, which the end of the test does too. Each run has metrics of its own.
func (b *bundle) run() (stop func()) {
	b.t.Helper()
	cfg := b.cfg
	if cfg.Host != nil {
		tel, err := telemetry.Start(b.t.Context(), telemetry.Options{Service: "test", Common: b.cfg.Common, NoAdmin: true, LogTo: b.t.Output()})
		require.NoError(b.t, err)
		b.tel = tel
		cfg.Host = &pipeline.Host{Telemetry: tel, Conn: b.conn}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- responder.Run(ctx, cfg) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-done:
			require.NoError(b.t, err)
		case <-time.After(patience):
			require.FailNow(b.t, "the responder does not stop")
		}
	}
	b.t.Cleanup(stop)
	return stop
}

// event is the nth message of a customer, written now.
func event(customer, n int, text string) dm.Event {
	now := time.Now().UTC()
	mid := fmt.Sprintf("m-%d-%d", customer, n)
	return dm.Event{
		ID:           dm.EventID(dm.ChannelInstagram, shop, dm.KindMessage, mid),
		Conversation: dm.Conversation{Channel: dm.ChannelInstagram, Account: shop, Customer: fmt.Sprint(7000 + customer)},
		Kind:         dm.KindMessage, MID: mid, Text: text, MessageType: "text", KnownAccount: true, Time: now, ReceivedAt: now, Source: dm.SourceWebhook,
	}
}

func (b *bundle) publish(events ...dm.Event) {
	b.t.Helper()
	out := make([]pipeline.Outgoing, len(events))
	for i, e := range events {
		out[i] = b.ingress.Event(e, "request")
	}
	require.NoError(b.t, b.ingress.Publish(b.t.Context(), out...))
}

// next is the next n intents in the order of the stream.
func (b *bundle) next(n int) []envelope.Envelope[dm.ReplyIntent] {
	b.t.Helper()
	out := make([]envelope.Envelope[dm.ReplyIntent], 0, n)
	deadline := time.Now().Add(patience)
	for len(out) < n {
		require.True(b.t, time.Now().Before(deadline), "%d of %d intents came", len(out), n)
		batch, err := b.intents.Fetch(n-len(out), jetstream.FetchMaxWait(time.Second))
		require.NoError(b.t, err)
		for m := range batch.Messages() {
			e, err := envelope.Decode[dm.ReplyIntent](m.Data())
			require.NoError(b.t, err)
			out = append(out, e)
		}
	}
	return out
}

// stored is how many intents the stream has taken.
func (b *bundle) stored() uint64 {
	b.t.Helper()
	s, err := b.conn.JetStream().Stream(b.t.Context(), topology.Intents.Name)
	require.NoError(b.t, err)
	info, err := s.Info(b.t.Context())
	require.NoError(b.t, err)
	return info.State.Msgs
}

func insert(tb testing.TB, pool *pgxpool.Pool, name, keyword, text string) {
	tb.Helper()
	_, err := pool.Exec(tb.Context(), `INSERT INTO response_rules (name, keywords, response_text) VALUES ($1, ARRAY[$2], $3)`, name, keyword, text)
	require.NoError(tb, err)
}

func TestEveryMessageIsAnsweredOnceAndInOrder(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	insert(t, pgtest.Open(t, db), "even", "even", "An even one.")
	b := setup(t, db)
	b.run()
	const customers, messages = 30, 10
	var all []dm.Event
	for n := range messages {
		for c := range customers {
			text := "odd"
			if n%2 == 0 {
				text = "EVEN?"
			}
			all = append(all, event(c, n, text))
		}
	}
	b.publish(all...)
	answered := map[string][]string{}
	for _, e := range b.next(customers * messages) {
		require.Equal(t, e.Data.EventID, e.CorrelationID)
		require.Equal(t, e.Data.EventID, e.CausationID)
		answered[e.Data.Customer] = append(answered[e.Data.Customer], e.Data.EventID+e.Data.Parts[0].Text)
	}
	for c := range customers {
		want := make([]string, messages)
		for n := range want {
			want[n] = event(c, n, "").ID + []string{"An even one.", "Thanks!"}[n%2]
		}
		require.Equal(t, want, answered[fmt.Sprint(7000+c)])
	}

	// The same events once more, past the bus's deduplication: the intents are the same ones.
	for _, e := range all[:customers] {
		payload, err := envelope.Event(e, "redelivered").Encode()
		require.NoError(t, err)
		_, err = b.conn.JetStream().Publish(t.Context(), topology.EventSubject(&e, b.ingress.Partitions()), payload)
		require.NoError(t, err)
	}
	b.publish(event(0, messages, "the last"))
	require.Equal(t, event(0, messages, "").ID, b.next(1)[0].Data.EventID)
	require.EqualValues(t, customers*messages+1, b.stored())
}

func TestNothingIsDecidedBeforeTheRulesAreKnown(t *testing.T) {
	t.Parallel()
	db := pgtest.EmptyDatabase(t)
	b := setup(t, db)
	b.run()
	b.publish(event(1, 1, "price?"))
	require.Eventually(t, func() bool {
		results, ready := b.tel.Health.Run(t.Context())
		for _, r := range results {
			if r.Name == "responder.rules" && !r.OK {
				return !ready && b.stored() == 0
			}
		}
		return false
	}, patience, 5*time.Millisecond)

	_, _, err := postgres.Migrate(t.Context(), db)
	require.NoError(t, err)
	got := b.next(1)[0].Data
	require.Equal(t, dm.OriginFallback, got.Origin)
	_, ready := b.tel.Health.Run(t.Context())
	require.True(t, ready)

	insert(t, pgtest.Open(t, db), "prices", "price", "It is 5 €.")
	began := time.Now()
	for n := 2; got.Origin != dm.OriginRule; n++ {
		require.Less(t, time.Since(began), patience, "a rule added by plain SQL works without a restart")
		b.publish(event(n, 1, "price?"))
		got = b.next(1)[0].Data
	}
	require.Equal(t, "prices", got.RuleName)
	require.Equal(t, "price", got.MatchedOn)
	require.Equal(t, "It is 5 €.", got.Parts[0].Text)
}

func TestAStopInTheMiddleLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.Database(t))
	stop := b.run()
	const customers, messages = 40, 10
	var all []dm.Event
	for n := range messages {
		for c := range customers {
			all = append(all, event(c, n, "hello"))
		}
	}
	b.publish(all...)
	got := b.next(customers)
	stop()
	b.run()
	got = append(got, b.next(customers*messages-len(got))...)
	seen := map[string]int{}
	for _, e := range got {
		n := seen[e.Data.Customer]
		require.Equal(t, dm.EventID(dm.ChannelInstagram, shop, dm.KindMessage, fmt.Sprintf("m-%d-%d", customerOf(t, e.Data.Customer), n)), e.Data.EventID)
		seen[e.Data.Customer]++
	}
	require.Len(t, seen, customers)
	require.EqualValues(t, customers*messages, b.stored())
}

func customerOf(t *testing.T, id string) int {
	t.Helper()
	var n int
	_, err := fmt.Sscan(id, &n)
	require.NoError(t, err)
	return n - 7000
}

func TestAProcessOfItsOwn(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.Database(t))
	b.cfg.Host, b.cfg.AdminAddr, b.cfg.Fallback = nil, "127.0.0.1:0", "" // silence
	stop := b.run()
	b.publish(event(1, 1, "hello"))
	insert(t, pgtest.Open(t, b.cfg.Database), "all", "l", "It is 5 €.")
	began := time.Now()
	for n := 2; b.stored() == 0; n++ {
		require.Less(t, time.Since(began), patience)
		b.publish(event(n, 1, "hello"))
	}
	require.Equal(t, "all", b.next(1)[0].Data.RuleName)
	stop()
}

func TestConfig(t *testing.T) {
	t.Parallel()
	base := []string{"DATABASE_URL=postgres://x@localhost/x", "INSTAGRAM_PAGE_ID=" + shop}
	cfg, err := config.Load[responder.Config](base)
	require.NoError(t, err)
	require.NotEmpty(t, cfg.Fallback)
	require.Equal(t, 20, cfg.MaxRepliesPerMinute)
	require.Equal(t, 15*time.Second, cfg.RulesPoll)

	cfg, err = config.Load[responder.Config](append(base, "FALLBACK_RESPONSE="))
	require.NoError(t, err)
	require.Empty(t, cfg.Fallback, "set to nothing means silence")

	_, err = config.Load[responder.Config]([]string{"MAX_REPLIES_PER_MINUTE=-1", "RULES_POLL=0s", "MAX_IN_FLIGHT=0", "NATS_URL=http://x"})
	for _, name := range []string{"MAX_REPLIES_PER_MINUTE", "RULES_POLL", "MAX_IN_FLIGHT", "NATS_URL", "DATABASE_URL", "INSTAGRAM_PAGE_ID"} {
		require.ErrorContains(t, err, name)
	}
}

// BenchmarkEventToIntent is the whole stage: consume, decide by one of a hundred rules, publish, acknowledge. Publishing the
// events is in it.
func BenchmarkEventToIntent(b *testing.B) {
	db := pgtest.Database(b)
	pool := pgtest.Open(b, db)
	for i := range 100 {
		insert(b, pool, fmt.Sprint("rule ", i), fmt.Sprint("product ", i), "It is 5 €.")
	}
	s := setup(b, db)
	s.cfg.MaxInFlight = 256
	s.run()
	n := 0
	for b.Loop() {
		batch := make([]dm.Event, 500)
		for i := range batch {
			batch[i] = event(n%2000, n, "How much is product 7?")
			n++
		}
		s.publish(batch...)
		s.next(len(batch))
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
}
