package archiver_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/bus/bustest"
	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/pkg/postgres"
	"github.com/parley-dm/parley/pkg/postgres/pgtest"
	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/pkg/topology"
	"github.com/parley-dm/parley/services/archiver"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(beArchiver())
	}
	pgtest.Main(m)
}

var (
	conv = dm.Conversation{Channel: dm.ChannelInstagram, Account: "178", Customer: "7001"}
	at   = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
)

// bundle is an archiver that runs, and a stage beside it to publish.
type bundle struct {
	publisher *pipeline.Pipeline
	health    *telemetry.Health
	stop      func() error
}

func start(t *testing.T, nats *bustest.Server, db config.Database) *bundle {
	t.Helper()
	tel := telemetry.Discard()
	conn, err := bus.Connect(t.Context(), bus.ConnConfig{URL: nats.URL()})
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	host := &pipeline.Host{Telemetry: tel, Conn: conn}
	common := config.Common{ShutdownTimeout: 20 * time.Second}
	publisher, err := pipeline.Open(t.Context(), pipeline.Options{Service: "test", Common: common, NATS: config.NATS{Replicas: 1}, Host: host})
	require.NoError(t, err)
	publisher.Started() // it only publishes
	t.Cleanup(func() { require.NoError(t, publisher.Close()) })

	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- archiver.Run(ctx, archiver.Config{
			Common: common, NATS: config.NATS{Replicas: 1}, Database: db, Batch: 500, Flush: 5 * time.Millisecond, Writers: 2, MaxInFlight: 500, Host: host,
		})
	}()
	stopped := false
	b := &bundle{publisher: publisher, health: tel.Health, stop: func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-done
	}}
	t.Cleanup(func() { require.NoError(t, b.stop()) })
	return b
}

func (b *bundle) publish(t *testing.T, n int) {
	t.Helper()
	var out []pipeline.Outgoing
	for i := range n {
		c := conv
		c.Customer = fmt.Sprint(7000 + i%50)
		mid := fmt.Sprint("M", i)
		e := dm.Event{
			ID: dm.EventID(c.Channel, c.Account, dm.KindMessage, mid), Conversation: c, Kind: dm.KindMessage, MID: mid, Text: "price?", MessageType: "text",
			KnownAccount: true, Time: at, ReceivedAt: at, Raw: []byte(`{}`),
		}
		intent := dm.ReplyIntent{ID: dm.IntentID(e.ID, 0), EventID: e.ID, Conversation: c, Origin: dm.OriginRule, Parts: []dm.Part{{Kind: dm.PartText, Text: "Ten."}}, CreatedAt: at}
		delivery := dm.Delivery{
			ID: dm.DeliveryID(intent.ID, 0, dm.OutcomeSent), IntentID: intent.ID, Of: 1, Conversation: c, Outcome: dm.OutcomeSent, MID: mid + "-reply",
			Message: intent.Parts[0], SentAt: at.Add(time.Second),
		}
		out = append(out, b.publisher.Event(e, "req"), b.publisher.Intent(intent, e.ID, e.ID), b.publisher.Delivery(delivery, e.ID, intent.ID))
	}
	for flight := range slices.Chunk(out, 60) {
		err := b.publisher.Publish(t.Context(), flight...)
		for errors.Is(err, bus.ErrUnavailable) { // a busy machine; the same ids again are stored once
			err = b.publisher.Publish(t.Context(), flight...)
		}
		require.NoError(t, err)
	}
}

// counts is how many rows of each direction and status there are; empty when the database is away.
func counts(t *testing.T, db config.Database) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), db.URL.Reveal())
	if err != nil {
		return ""
	}
	defer func() { _ = conn.Close(t.Context()) }()
	rows, err := conn.Query(t.Context(), `SELECT concat_ws(' ', direction, status, count(*)) FROM messages GROUP BY direction, status ORDER BY 1`)
	if err != nil {
		return ""
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return ""
	}
	return strings.Join(lines, ", ")
}

func awaitCounts(t *testing.T, db config.Database, want string) {
	t.Helper()
	require.Eventually(t, func() bool { return counts(t, db) == want }, 60*time.Second, 50*time.Millisecond, "never saw %q, last %q", want, counts(t, db))
}

func ready(t *testing.T, h *telemetry.Health) (string, bool) {
	t.Helper()
	results, ok := h.Run(t.Context())
	return fmt.Sprint(results), ok
}

func TestWaitsForTheSchemaThenArchivesWhatHasComeMeanwhile(t *testing.T) {
	t.Parallel()
	db := pgtest.EmptyDatabase(t)
	b := start(t, bustest.Start(t), db)
	b.publish(t, 10)
	require.Eventually(t, func() bool {
		text, ok := ready(t, b.health)
		return !ok && strings.Contains(text, "parley migrate")
	}, 20*time.Second, 50*time.Millisecond, "it is not ready and says why")

	_, _, err := postgres.Migrate(t.Context(), db)
	require.NoError(t, err)
	awaitCounts(t, db, "inbound received 10, outbound sent 10")
	text, ok := ready(t, b.health)
	require.True(t, ok, text)
}

// admin runs statements beside the database, from the server's own.
func admin(t *testing.T, db config.Database, statements ...string) {
	t.Helper()
	u, err := url.Parse(db.URL.Reveal())
	require.NoError(t, err)
	u.Path = "/postgres"
	conn, err := pgx.Connect(t.Context(), u.String())
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	for _, sql := range statements {
		_, err := conn.Exec(t.Context(), sql)
		require.NoError(t, err, sql)
	}
}

func TestNothingIsLostWhilePostgreSQLIsAway(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	u, err := url.Parse(db.URL.Reveal())
	require.NoError(t, err)
	name := strings.TrimPrefix(u.Path, "/")
	b := start(t, bustest.Start(t), db)
	b.publish(t, 5)
	awaitCounts(t, db, "inbound received 5, outbound sent 5")

	admin(t, db, `ALTER DATABASE `+name+` ALLOW_CONNECTIONS false`,
		`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '`+name+`'`)
	require.Eventually(t, func() bool { _, ok := ready(t, b.health); return !ok }, 20*time.Second, 20*time.Millisecond)
	b.publish(t, 200)
	admin(t, db, `ALTER DATABASE `+name+` ALLOW_CONNECTIONS true`)
	awaitCounts(t, db, "inbound received 200, outbound sent 200")
	text, ok := ready(t, b.health)
	require.True(t, ok, text)
}

func TestMessageThatPostgreSQLRefusesBecomesADeadLetterAlone(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	nats := bustest.Start(t)
	b := start(t, nats, db)
	var mid strings.Builder // longer than an index can hold, and not to be compressed
	for i := range 400 {
		_, _ = fmt.Fprintf(&mid, "%x", dm.RowID("poison", strconv.Itoa(i)))
	}
	poison := dm.Event{ID: "ev_poison", Conversation: conv, Kind: dm.KindMessage, MID: mid.String(), Text: "x", Time: at, ReceivedAt: at}
	require.NoError(t, b.publisher.Publish(t.Context(), b.publisher.Event(poison, "req")))
	b.publish(t, 20)
	awaitCounts(t, db, "inbound received 20, outbound sent 20")
	js := nats.Connect().JetStream()
	require.Eventually(t, func() bool {
		stream, err := js.Stream(t.Context(), topology.Dead.Name)
		if err != nil {
			return false
		}
		info, err := stream.Info(t.Context())
		return err == nil && info.State.Msgs == 1
	}, 30*time.Second, 50*time.Millisecond)
}

func TestBadSettingsAreAllNamed(t *testing.T) {
	t.Parallel()
	_, err := config.Load[archiver.Config]([]string{"DATABASE_URL=mysql://x", "ARCHIVE_BATCH=0", "ARCHIVE_FLUSH=1h", "ARCHIVE_WRITERS=1000", "ARCHIVE_MAX_IN_FLIGHT=0"})
	for _, name := range []string{"DATABASE_URL", "ARCHIVE_BATCH", "ARCHIVE_FLUSH", "ARCHIVE_WRITERS", "ARCHIVE_MAX_IN_FLIGHT"} {
		require.ErrorContains(t, err, name)
	}
}

func TestSameMessagesAgainChangeNothing(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	nats := bustest.Start(t)
	b := start(t, nats, db)
	b.publish(t, 300)
	awaitCounts(t, db, "inbound received 300, outbound sent 300")
	require.NoError(t, b.stop(), "a clean stop")

	again := start(t, bustest.Start(t), db) // another bus, so that nothing is deduplicated before it is archived
	again.publish(t, 310)
	awaitCounts(t, db, "inbound received 310, outbound sent 310")
}
