package store_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/postgres/pgtest"
	"github.com/parley-dm/parley/services/archiver/internal/record"
	"github.com/parley-dm/parley/services/archiver/internal/store"
)

var conv = dm.Conversation{Channel: dm.ChannelInstagram, Account: "178", Customer: "7001"}

func message(mid, text string) record.Facts {
	return record.FromEvent(&dm.Event{
		ID: dm.EventID(conv.Channel, conv.Account, dm.KindMessage, mid), Conversation: conv, Kind: dm.KindMessage, MID: mid, Text: text,
		MessageType: "text", Time: epoch, ReceivedAt: epoch, Raw: []byte(`{"message":{"text":"\u0000"}}`),
	})
}

func write(t *testing.T, pool *pgxpool.Pool, facts ...record.Facts) {
	t.Helper()
	require.NoError(t, store.New(pool, store.Hooks{}).Write(t.Context(), facts))
}

func scan[T any](t *testing.T, pool *pgxpool.Pool, sql string) []T {
	t.Helper()
	rows, err := pool.Query(t.Context(), sql)
	require.NoError(t, err)
	out, err := pgx.CollectRows(rows, pgx.RowTo[T])
	require.NoError(t, err)
	return out
}

func TestEchoDeliveryAndIntentBecomeOneRow(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	echo := record.FromEvent(&dm.Event{ID: "ev_echo", Conversation: conv, Kind: dm.KindEcho, MID: "M", Text: "hi", MessageType: "text", Time: epoch, ReceivedAt: epoch})
	write(t, pool, echo)
	require.Equal(t, []string{"sent"}, scan[string](t, pool, `SELECT status FROM messages`), "an echo that is not ours is a row of its own")
	write(t, pool, record.FromDelivery(&dm.Delivery{ID: "de_1", IntentID: "in_1", Of: 1, Conversation: conv, Outcome: dm.OutcomeSent, MID: "M", SentAt: epoch.Add(time.Second), Message: dm.Part{Kind: dm.PartText, Text: "hi"}}))
	write(t, pool, record.FromIntent(&dm.ReplyIntent{ID: "in_1", Conversation: conv, CreatedAt: epoch.Add(-time.Second), Parts: []dm.Part{{Kind: dm.PartText, Text: "hi"}}}))
	write(t, pool, echo)
	require.Equal(t, []string{"178>7001 outbound sent hi M t"}, scan[string](t, pool,
		`SELECT concat_ws(' ', sender_id || '>' || recipient_id, direction, status, message_text, mid, timestamp = '`+epoch.Format(time.RFC3339)+`') FROM messages`))
	id := record.Outbound("in_1", 0)
	require.Equal(t, [][16]byte{id}, scan[[16]byte](t, pool, `SELECT id FROM messages`))

	write(t, pool, record.FromEvent(&dm.Event{ID: "ev_seen", Conversation: conv, Kind: dm.KindSeen, MID: "M", Time: epoch.Add(time.Minute), ReceivedAt: epoch}))
	require.Equal(t, []string{"read"}, scan[string](t, pool, `SELECT status FROM messages`))
}

func TestTheProfileThatWasFetchedLastIsKept(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	fetched := func(p dm.Profile, after time.Duration) record.Facts {
		p.FetchedAt = epoch.Add(after)
		return record.FromEvent(&dm.Event{ID: "ev_" + after.String(), Conversation: conv, Kind: dm.KindProfile, Time: p.FetchedAt, ReceivedAt: p.FetchedAt, Profile: &p})
	}
	const contacts = `SELECT concat_ws(' ', channel, page_id, instagram_user_id, name, username, picture_url, no_consent, fetched_at = '2026-11-01T13:00:00Z') FROM contacts`
	later := fetched(dm.Profile{Name: "Ada", Username: "ada", PictureURL: "https://cdn.example.com/p"}, time.Hour)
	write(t, pool, later, fetched(dm.Profile{Name: "Eve"}, time.Minute))
	write(t, pool, fetched(dm.Profile{NoConsent: true}, 0))
	require.Equal(t, []string{"instagram 178 7001 Ada ada https://cdn.example.com/p f t"}, scan[string](t, pool, contacts))
	write(t, pool, fetched(dm.Profile{NoConsent: true}, 2*time.Hour))
	require.Equal(t, []string{"instagram 178 7001 t f"}, scan[string](t, pool, contacts), "who takes the consent back has no name here either")
	require.Empty(t, scan[string](t, pool, `SELECT id::text FROM conversations`), "to look somebody up is not to talk to them")
	require.Empty(t, scan[string](t, pool, `SELECT id FROM events`))
}

func TestDeletionThatComesFirstLeavesNoText(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	write(t, pool, record.FromEvent(&dm.Event{ID: "ev_del", Conversation: conv, Kind: dm.KindDelete, MID: "M", Time: epoch, ReceivedAt: epoch}))
	require.Empty(t, scan[string](t, pool, `SELECT status FROM messages`))
	write(t, pool, message("M", "a secret"))
	require.Equal(t, []bool{true}, scan[bool](t, pool, `SELECT message_text IS NULL AND deleted_at IS NOT NULL AND NOT metadata ? 'raw' FROM messages`))
	require.Empty(t, scan[string](t, pool, `SELECT mid FROM message_changes`), "what waited has moved into the row")
}

func TestAChangeThatNamesSomebodyElseDoesNotTakeTheMessage(t *testing.T) {
	t.Parallel()
	reaction := func(mid, customer string) record.Facts {
		other := conv
		other.Customer = customer
		return record.FromEvent(&dm.Event{ID: "ev_" + mid + customer, Conversation: other, Kind: dm.KindReaction, Emoji: "❤️", MID: mid, Time: epoch, ReceivedAt: epoch})
	}
	const whose = `SELECT concat_ws(' ', mid, sender_id, recipient_id, instagram_user_id, metadata->'reaction'->>'emoji') FROM messages m JOIN conversations c ON c.id = m.conversation_id ORDER BY mid`
	want := []string{"A 7001 178 7001 ❤️", "B 7001 178 7001 ❤️", "C 7001 178 7001 ❤️"}
	pool := pgtest.Pool(t)
	write(t, pool, reaction("A", "8001"), message("A", "in one transaction, the change first"))
	write(t, pool, message("B", "the change later"))
	write(t, pool, reaction("B", "8001"))
	write(t, pool, reaction("C", "8001"))
	write(t, pool, message("C", "the change earlier"))
	require.Equal(t, want, scan[string](t, pool, whose))
	write(t, pool, reaction("A", "8002"), reaction("B", "7001"), message("C", "the change earlier"))
	require.Equal(t, want, scan[string](t, pool, whose))
}

func TestADeletionThatNamesNobodyErases(t *testing.T) {
	t.Parallel()
	deletion := func(mid string) record.Facts {
		nobody := dm.Conversation{Channel: conv.Channel, Account: conv.Account}
		return record.FromEvent(&dm.Event{ID: "ev_del_" + mid, Conversation: nobody, Kind: dm.KindDelete, MID: mid, Time: epoch, ReceivedAt: epoch})
	}
	pool := pgtest.Pool(t)
	write(t, pool, message("A", "a secret"))
	write(t, pool, deletion("A"))
	write(t, pool, deletion("B"))
	write(t, pool, message("B", "a secret"))
	write(t, pool, deletion("C"), message("C", "a secret"))
	require.Equal(t, []string{"A", "B", "C"}, scan[string](t, pool, `SELECT mid FROM messages WHERE message_text IS NULL AND deleted_at IS NOT NULL AND metadata::text !~ 'secret' ORDER BY mid`))
	require.Equal(t, []string{"7001"}, scan[string](t, pool, `SELECT instagram_user_id FROM conversations`), "nobody has no conversation")
	require.Empty(t, scan[string](t, pool, `SELECT mid FROM message_changes`))
}

func TestAStrangersReactionDoesNotDecideWhatWasRead(t *testing.T) {
	t.Parallel()
	stranger := conv
	stranger.Customer = "8001"
	said := func(c dm.Conversation, kind dm.EventKind, mid string, after time.Duration) record.Facts {
		return record.FromEvent(&dm.Event{
			ID: "ev_" + string(kind) + mid + c.Customer, Conversation: c, Kind: kind, MID: mid, Text: "hi", Emoji: "❤️", MessageType: "text",
			Time: epoch.Add(after), ReceivedAt: epoch,
		})
	}
	pool := pgtest.Pool(t)
	write(t, pool, said(conv, dm.KindEcho, "M", 0))
	write(t, pool, said(stranger, dm.KindSeen, "M", time.Hour))
	write(t, pool, said(stranger, dm.KindReaction, "M", time.Hour))
	const status = `SELECT concat_ws(' ', status, metadata->'reaction'->>'emoji') FROM messages`
	require.Equal(t, []string{"sent ❤️"}, scan[string](t, pool, status), "the stranger has seen it, the customer has not")
	write(t, pool, said(conv, dm.KindSeen, "M", time.Minute))
	write(t, pool, said(stranger, dm.KindUnreaction, "M", 2*time.Hour))
	require.Equal(t, []string{"read ❤️"}, scan[string](t, pool, status))
}

func TestRowsMadeByHandAreRespected(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	_, err := pool.Exec(t.Context(), `
		WITH c AS (INSERT INTO conversations (page_id, instagram_user_id, status) VALUES ('178', '7001', 'archived') RETURNING id)
		INSERT INTO messages (conversation_id, account, mid, sender_id, recipient_id, message_text, direction, status, metadata)
		SELECT id, '178', 'hand', '7001', '178', 'by hand', 'inbound', 'received', '{"note": "keep"}' FROM c`)
	require.NoError(t, err)
	write(t, pool, message("M", "hi"), record.FromEvent(&dm.Event{ID: "ev_r", Conversation: conv, Kind: dm.KindReaction, Emoji: "❤️", MID: "hand", Time: epoch, ReceivedAt: epoch}))
	require.Equal(t, []string{"archived"}, scan[string](t, pool, `SELECT status FROM conversations`))
	require.Equal(t, []int64{2}, scan[int64](t, pool, `SELECT count(*) FROM messages m JOIN conversations c ON c.id = m.conversation_id`))
	require.Equal(t, []string{"by hand keep ❤️"}, scan[string](t, pool,
		`SELECT concat_ws(' ', message_text, metadata->>'note', metadata->'reaction'->>'emoji') FROM messages WHERE mid = 'hand'`))
}

type counter struct{ rows, commits, halved, away, back, caughtUp atomic.Int64 }

func (c *counter) Committed(rows int, _ time.Duration) { c.rows.Add(int64(rows)); c.commits.Add(1) }
func (c *counter) Halved()                             { c.halved.Add(1) }
func (c *counter) Away(error)                          { c.away.Add(1) }
func (c *counter) Back(time.Duration)                  { c.back.Add(1) }
func (c *counter) CaughtUp(time.Duration)              { c.caughtUp.Add(1) }

func batcher(t *testing.T, pool *pgxpool.Pool, o store.Options) (*store.Batcher, *counter) {
	t.Helper()
	c := &counter{}
	b := store.NewBatcher(store.New(pool, store.Hooks{}), o, c)
	t.Cleanup(b.Close)
	return b, c
}

func addAll(b *store.Batcher, facts []record.Facts) []error {
	errs := make([]error, len(facts))
	var wg sync.WaitGroup
	for i := range facts {
		wg.Go(func() { errs[i] = b.Add(facts[i]) })
	}
	wg.Wait()
	return errs
}

func TestManyMessagesATransactionAndPoisonAlone(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	b, c := batcher(t, pool, store.Options{Rows: 50, Writers: 2, Wait: 200 * time.Millisecond})
	var facts []record.Facts
	for i := range 200 {
		facts = append(facts, message(strings.Repeat("m", i+1), "hi"))
	}
	const poisoned = 77
	facts[poisoned].Messages[0].MID = strings.Repeat("incompressible 0123456789", 400) + randomText()
	for i, err := range addAll(b, facts) {
		if i != poisoned {
			require.NoError(t, err)
			continue
		}
		var poison *store.PoisonError
		require.ErrorAs(t, err, &poison)
	}
	require.Equal(t, []int64{199}, scan[int64](t, pool, `SELECT count(*) FROM messages`))
	require.Equal(t, int64(199), c.rows.Load())
	require.Less(t, c.commits.Load(), int64(40))
	require.Positive(t, c.halved.Load())
}

// randomText is more than a B-tree holds, however it is compressed.
func randomText() string {
	var b strings.Builder
	for i := range 400 {
		id := dm.RowID("poison", string(rune(i)))
		for _, c := range id {
			b.WriteByte('!' + c%90)
		}
	}
	return b.String()
}

func TestDatabaseAwayIsWaitedOut(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	b, c := batcher(t, pool, store.Options{Rows: 10, Writers: 2, Wait: time.Millisecond})
	rename := func(from, to string) {
		_, err := pool.Exec(t.Context(), `ALTER TABLE `+from+` RENAME TO `+to)
		require.NoError(t, err)
	}
	rename("messages", "elsewhere")
	results := make(chan []error, 1)
	go func() { results <- addAll(b, []record.Facts{message("a", "1"), message("b", "2")}) }()
	require.Eventually(t, func() bool { return c.away.Load() > 2 }, 10*time.Second, time.Millisecond)
	rename("elsewhere", "messages")
	for _, err := range <-results {
		require.NoError(t, err)
	}
	require.Positive(t, c.back.Load())

	// A stop does not wait for it.
	rename("messages", "elsewhere")
	go func() { results <- addAll(b, []record.Facts{message("c", "3")}) }()
	tries := c.away.Load()
	require.Eventually(t, func() bool { return c.away.Load() > tries }, 10*time.Second, time.Millisecond)
	b.Leave()
	err := (<-results)[0]
	require.ErrorIs(t, err, store.ErrClosed)
	var poison *store.PoisonError
	require.NotErrorAs(t, err, &poison)
	rename("elsewhere", "messages")
	require.NoError(t, b.Add(message("c", "3")), "what can be written still is")
}

// slowWriter lets a batch be written only when it is told to.
type slowWriter struct{ sizes, allow chan int }

func (w *slowWriter) Write(_ context.Context, facts []record.Facts) error {
	w.sizes <- len(facts)
	<-w.allow
	return nil
}

func TestABatchGrowsWhileAnotherIsWritten(t *testing.T) {
	t.Parallel()
	w := &slowWriter{sizes: make(chan int, 10), allow: make(chan int)}
	const wait = 100 * time.Millisecond
	b := store.NewBatcher(w, store.Options{Rows: 100, Writers: 2, Wait: wait}, &counter{})
	t.Cleanup(b.Close)
	allow := sync.OnceFunc(func() { close(w.allow) })
	t.Cleanup(allow)
	add := func() { go func() { _ = b.Add(message("a", "1")) }() }
	add()
	require.Equal(t, 1, <-w.sizes)
	for range 3 {
		add()
	}
	require.Eventually(t, func() bool { return b.Gathering() == 4 }, 10*time.Second, time.Millisecond)
	select {
	case n := <-w.sizes:
		require.Fail(t, "a second transaction beside the first", "of %d", n)
	case <-time.After(3 * wait):
	}
	allow()
	require.Equal(t, 3, <-w.sizes)
}

func TestAFactThatCannotBeWrittenDownIsPoison(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	b, _ := batcher(t, pool, store.Options{Rows: 10, Writers: 1, Wait: 20 * time.Millisecond})
	unfit := message("a", "1")
	unfit.Messages[0].Said.ReceivedAt = time.Date(12026, 1, 1, 0, 0, 0, 0, time.UTC) // no year of RFC 3339
	errs := addAll(b, []record.Facts{unfit, message("b", "2"), message("c", "3")})
	var poison *store.PoisonError
	require.ErrorAs(t, errs[0], &poison)
	require.Equal(t, []error{nil, nil}, errs[1:])
}

func TestRowsWithUnreadableMetadataDoNotStopTheArchive(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	write(t, pool, message("A", "a"), message("B", "b"))
	_, err := pool.Exec(t.Context(), `UPDATE messages SET metadata = '{"intent": 5, "note": "keep"}' WHERE mid = 'A'`)
	require.NoError(t, err)
	deletion := record.FromEvent(&dm.Event{ID: "ev_del", Conversation: conv, Kind: dm.KindDelete, MID: "A", Time: epoch, ReceivedAt: epoch})
	write(t, pool, deletion, message("C", "c"))
	require.Equal(t, []string{"A keep", "B b", "C c"}, scan[string](t, pool, `SELECT concat_ws(' ', mid, message_text, metadata->>'note') FROM messages ORDER BY mid`))
}

func TestClosedBatcherFinishesWhatItHas(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	b, _ := batcher(t, pool, store.Options{Rows: 1000, Writers: 1, Wait: time.Hour})
	result := make(chan error, 1)
	go func() { result <- b.Add(message("a", "1")) }()
	require.Eventually(t, func() bool { return b.Gathering() == 1 }, 10*time.Second, time.Millisecond)
	b.Close()
	require.NoError(t, <-result)
	require.ErrorIs(t, b.Add(message("b", "2")), store.ErrClosed)
}
