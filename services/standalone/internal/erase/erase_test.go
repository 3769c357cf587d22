package erase_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/bus/bustest"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/pipeline/replay"
	"github.com/parley-dm/parley/pkg/postgres/pgtest"
	"github.com/parley-dm/parley/pkg/repository/repositorytest"
	"github.com/parley-dm/parley/pkg/topology"
	"github.com/parley-dm/parley/services/standalone/internal/erase"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const account = "17841400000000001"

type bundle struct {
	t    *testing.T
	pool *pgxpool.Pool
	conn *bus.Conn
}

func setup(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{t: t, pool: pgtest.Pool(t), conn: bustest.Start(t).Connect()}
	_, err := topology.Ensure(t.Context(), b.conn.JetStream(), topology.Options{})
	require.NoError(t, err)
	return b
}

func conversation(customer string) dm.Conversation {
	return dm.Conversation{Channel: dm.ChannelInstagram, Account: account, Customer: customer}
}

// put stores a message in a stream; a conversation of no name is one that the headers do not tell.
func (b *bundle) put(subject, conversation, data string) {
	b.t.Helper()
	m := &nats.Msg{Subject: subject, Data: []byte(data), Header: nats.Header{}}
	m.Header.Set(replay.HeaderAccount, account)
	if conversation != "" {
		m.Header.Set(replay.HeaderConversation, conversation)
	}
	_, err := b.conn.JetStream().PublishMsg(b.t.Context(), m)
	require.NoError(b.t, err)
}

func (b *bundle) run(r erase.Request) erase.Result {
	b.t.Helper()
	r.By = "test"
	dry := r
	dry.DryRun = true
	counted, err := erase.Run(b.t.Context(), b.pool, b.conn, dry)
	require.NoError(b.t, err)
	done, err := erase.Run(b.t.Context(), b.pool, b.conn, r)
	require.NoError(b.t, err)
	require.Equal(b.t, counted, done, "a dry run counts what is erased then")
	return done
}

func (b *bundle) count(sql string, args ...any) (n int) {
	b.t.Helper()
	require.NoError(b.t, b.pool.QueryRow(b.t.Context(), sql, args...).Scan(&n))
	return n
}

func (b *bundle) exec(sql string, args ...any) {
	b.t.Helper()
	_, err := b.pool.Exec(b.t.Context(), sql, args...)
	require.NoError(b.t, err)
}

func (b *bundle) left(stream topology.Stream) uint64 {
	b.t.Helper()
	s, err := b.conn.JetStream().Stream(b.t.Context(), stream.Name)
	require.NoError(b.t, err)
	info, err := s.Info(b.t.Context())
	require.NoError(b.t, err)
	return info.State.Msgs
}

func event(id, customer, kind, mid string) (subject, name, data string) {
	name = conversation(customer).String()
	return "dm.event.1." + account + "." + kind, name,
		fmt.Sprintf(`{"id":%q,"type":"dm.event","account":%q,"conversation":%q,"data":{"id":%q,"mid":%q}}`, id, account, name, id, mid)
}

func intent(id, customer, answers string) (subject, name, data string) {
	name = conversation(customer).String()
	return "dm.intent.1." + account, name,
		fmt.Sprintf(`{"id":%q,"type":"dm.intent","account":%q,"conversation":%q,"data":{"id":%q,"event_id":%q}}`, id, account, name, id, answers)
}

func TestEverythingOfACustomerAndNothingOfOthers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for n, customer := range []string{"7001", "7002"} {
		c := conversation(customer)
		repositorytest.Insert(t, b.pool, repositorytest.Message(c, 10*n+1))
		queued := repositorytest.Reply(c, 10*n+2, 0, fmt.Sprint("ev_", 10*n+1))
		queued.Status, queued.MID = "queued", ""
		repositorytest.Insert(t, b.pool, queued)
		b.exec(`INSERT INTO events (id, channel, account, customer, kind, time, received_at) VALUES ($1, 'instagram', $2, $3, 'decision', now(), now())`, "ev_d"+customer, account, customer)
		b.exec(`INSERT INTO message_changes (account, mid, changes) VALUES ($1, $2, '{}')`, account, "m_late"+customer)
		b.put(event("ev_"+customer, customer, "message", "m_"+customer))
		b.put(event("ev_edit"+customer, customer, "edit", "m_late"+customer))
		// A deletion of which Meta does not say whose message it is.
		b.put("dm.event.2."+account+".delete", "instagram:"+account+":", fmt.Sprintf(`{"id":"ev_x%s","account":%q,"data":{"mid":"m_%d"}}`, customer, account, 10*n+1))
		b.put(intent("in_"+customer, customer, "ev_"+customer))
		b.put("dm.parked.3."+account, conversation(customer).String(), `{"id":"in_parked"}`)
		b.put("dm.delivery."+account+".sent", conversation(customer).String(), `{"id":"de_1"}`)
		b.put("dm.dead.sender."+account, conversation(customer).String(), "") // its payload was too large to be kept with it
		b.put("dm.dead.archiver."+account, "", fmt.Sprintf(`{"conversation":%q}`, conversation(customer)))
		b.put("dm.dead.archiver."+account, "", `no envelope at all`)
		for _, name := range []string{topology.Conversations.Name} {
			kv, err := b.conn.JetStream().KeyValue(t.Context(), name)
			require.NoError(t, err)
			_, err = kv.Put(t.Context(), topology.ConversationKey(c), []byte(`{}`))
			require.NoError(t, err)
		}
		ledger, err := b.conn.JetStream().KeyValue(t.Context(), topology.Ledger.Name)
		require.NoError(t, err)
		_, err = ledger.Put(t.Context(), topology.LedgerKey("in_"+customer, 0), []byte(`{"state":"sent"}`))
		require.NoError(t, err)
	}
	b.exec(`INSERT INTO outgoing_webhooks (url, secret, events) VALUES ('https://example.com', 's', '{message.received}')`)
	b.exec(`INSERT INTO contacts (channel, page_id, instagram_user_id, fetched_at) SELECT channel, page_id, instagram_user_id, now() FROM conversations`)
	b.exec(`INSERT INTO media (account, mid, position, status, store, key, content_type, bytes, sha256)
		SELECT account, mid, 0, 'stored', 'dir:x', 'file of ' || mid, 'image/png', 1, 'x' FROM messages WHERE direction = 'inbound'`)
	b.exec(`INSERT INTO media (account, mid, position, status, key) SELECT account, mid, 1, 'pending', 'none of ' || mid FROM messages WHERE direction = 'inbound'`)
	b.exec(`INSERT INTO conversation_desk (conversation_id, note) SELECT id, 'likes aubergines' FROM conversations`)
	b.exec(`INSERT INTO conversation_labels (channel, page_id, instagram_user_id, label, present, at) SELECT channel, page_id, instagram_user_id, 'vip', true, now() FROM conversations`)
	b.exec(`INSERT INTO webhook_deliveries (webhook_id, event, event_id, account, body)
		SELECT w.id, 'message.received', c.id::text, c.page_id, jsonb_build_object('data', jsonb_build_object('customer', c.instagram_user_id)) FROM conversations c, outgoing_webhooks w`)

	watching, stop := context.WithCancel(t.Context())
	defer stop()
	gone := make(chan string, 16)
	bucket, err := bus.OpenBucket(t.Context(), b.conn, topology.Conversations.Name)
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() {
		ended <- bucket.Watch(watching, ">", func(e *bus.Entry) {
			if e != nil && e.Deleted {
				gone <- e.Key
			}
		})
	}()

	result := b.run(erase.Request{Account: account, Customer: "7001"})
	require.Equal(t, erase.Counts{
		"table messages": 2, "table message_changes": 1, "table events": 1, "table conversations": 1, "table contacts": 1, "table conversation_labels": 1,
		"table webhook_deliveries": 1, "table media": 2, "stream DM_EVENTS": 3, "stream DM_INTENTS": 1, "stream DM_PARKED": 1, "stream DM_DELIVERIES": 1, "stream DM_DEAD": 2,
		"bucket parley_conversations": 1,
	}, result.Counts)
	require.EqualValues(t, 1, result.Unsent)
	require.EqualValues(t, 1, result.Files)
	require.Equal(t, 1, b.count(`SELECT count(*) FROM media_removals WHERE store = 'dir:x' AND key = 'file of m_1'`), "its file is to be removed, and no other")
	require.Equal(t, 1, b.count(`SELECT count(*) FROM media_removals`))
	require.Equal(t, topology.ConversationKey(conversation("7001")), <-gone, "whoever watches the bucket hears of it")
	stop()
	require.NoError(t, <-ended)
	for table, n := range map[string]int{"messages": 2, "events": 1, "message_changes": 1, "conversations": 1, "contacts": 1, "conversation_labels": 1, "webhook_deliveries": 1, "conversation_desk": 1, "media": 2, "erasures": 1} {
		require.Equal(t, n, b.count(`SELECT count(*) FROM `+table), table)
	}
	require.EqualValues(t, 3, b.left(topology.Events))
	require.EqualValues(t, 4, b.left(topology.Dead), "what is no envelope is nobody's")
	ledger, err := b.conn.JetStream().KeyValue(t.Context(), topology.Ledger.Name)
	require.NoError(t, err)
	_, err = ledger.Get(t.Context(), topology.LedgerKey("in_7001", 0))
	require.NoError(t, err, "nothing is said twice")

	again, err := erase.Run(t.Context(), b.pool, b.conn, erase.Request{Account: account, Customer: "7001", By: "test"})
	require.NoError(t, err)
	require.Empty(t, again.Counts)
	require.Equal(t, 1, b.count(`SELECT count(*) FROM erasures`), "nothing erased is no line")
}

// What is on its way comes one stage after another: here a row as often as some was erased.
func TestWhatComesMeanwhileIsLookedForUntilThereIsNone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const comes = 6
	more := fmt.Sprintf(`INSERT INTO events (id, channel, account, customer, kind, time, received_at)
		SELECT 'ev_' || count(*), 'instagram', '%s', '7001', 'decision', now(), now() FROM erasures HAVING count(*) < %d`, account, comes)
	b.exec(`CREATE FUNCTION comes() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ` + more + `; RETURN NULL; END $$`)
	b.exec(`CREATE TRIGGER comes AFTER INSERT ON erasures FOR EACH ROW EXECUTE FUNCTION comes()`)
	b.exec(more)
	result, err := erase.Run(t.Context(), b.pool, b.conn, erase.Request{Account: account, Customer: "7001", By: "test"})
	require.NoError(t, err)
	require.Equal(t, erase.Counts{"table events": comes}, result.Counts)
	require.Zero(t, b.count(`SELECT count(*) FROM events`))
}

func TestOneMessage(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := conversation("7001")
	asked, other := repositorytest.Message(c, 1), repositorytest.Message(c, 2)
	answer := repositorytest.Reply(c, 3, 0, "ev_1")
	answer.Metadata.Intent.Trace = &dm.Trace{Tried: []dm.TraceRule{{ID: "r", Won: true, Words: "aubergine"}}}
	repositorytest.Insert(t, b.pool, asked)
	repositorytest.Insert(t, b.pool, other)
	repositorytest.Insert(t, b.pool, answer)
	b.exec(`INSERT INTO events (id, channel, account, customer, kind, mid, time, received_at) VALUES
		('ev_d1', 'instagram', $1, '7001', 'decision', 'm_1', now(), now()), ('ev_d2', 'instagram', $1, '7001', 'decision', 'm_2', now(), now())`, account)
	b.put(event("ev_1", "7001", "message", "m_1"))
	b.put(event("ev_react", "7001", "reaction", "m_1"))
	b.put(event("ev_2", "7001", "message", "m_2"))
	b.put(intent("in_1", "7001", "ev_1"))
	b.put(intent("in_2", "7001", "ev_2"))
	result := b.run(erase.Request{Account: account, MID: "m_1"})
	require.Equal(t, erase.Counts{"table messages": 1, "table messages (their traces)": 1, "table events": 1, "stream DM_EVENTS": 2, "stream DM_INTENTS": 1}, result.Counts)
	require.Equal(t, 2, b.count(`SELECT count(*) FROM messages`))
	require.Zero(t, b.count(`SELECT count(*) FROM messages WHERE metadata::text LIKE '%aubergine%'`), "nor the words that a rule matched on")
	require.Equal(t, 1, b.count(`SELECT count(*) FROM messages WHERE metadata->'intent'->>'rule_name' = 'prices'`), "its answer stays")
	require.Equal(t, 1, b.count(`SELECT count(*) FROM conversations`))
	require.EqualValues(t, 1, b.left(topology.Events))
	require.EqualValues(t, 1, b.left(topology.Intents))
}

func TestWhatIsOlderThanAnAge(t *testing.T) {
	t.Parallel()
	b := setup(t)
	cutoff := repositorytest.Message(conversation("1"), 1000).At
	for n := range 450 { // more than a page
		c := conversation(fmt.Sprint(n))
		repositorytest.Insert(t, b.pool, repositorytest.Message(c, n))
		if n%3 == 0 {
			repositorytest.Insert(t, b.pool, repositorytest.Message(c, 2000+n))
		}
	}
	b.exec(`UPDATE conversations SET updated_at = last_message_at`)
	b.exec(`INSERT INTO events (id, channel, account, kind, time, received_at) VALUES ('ev_old', 'instagram', $1, 'comment', $2, now()), ('ev_new', 'instagram', $1, 'comment', now(), now())`,
		account, cutoff.Add(-time.Second))
	result := b.run(erase.Request{Before: cutoff})
	require.Equal(t, erase.Counts{"table messages": 450, "table conversations": 300, "table events": 1}, result.Counts)
	require.Equal(t, 150, b.count(`SELECT count(*) FROM messages`))
	require.Equal(t, 1, b.count(`SELECT count(*) FROM erasures WHERE scope = 'age' AND subject IS NULL AND before = $1`, cutoff))

	b.put("dm.dead.sender."+account, "", "old")
	stream, err := b.conn.JetStream().Stream(t.Context(), topology.Dead.Name)
	require.NoError(t, err)
	first, err := stream.GetMsg(t.Context(), 1)
	require.NoError(t, err)
	b.put("dm.dead.sender."+account, "", "new")
	result = b.run(erase.Request{Before: first.Time.Add(time.Nanosecond), Account: account})
	require.EqualValues(t, 1, result.Counts["stream DM_DEAD"])
	require.EqualValues(t, 1, b.left(topology.Dead))
	kept, err := stream.GetMsg(t.Context(), 2)
	require.NoError(t, err)
	require.Equal(t, "new", string(kept.Data))
}
