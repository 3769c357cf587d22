package store_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/postgres/pgtest"
	"github.com/parley-dm/parley/services/console/internal/store"
)

type bench struct {
	*store.Store
	t    *testing.T
	pool *pgxpool.Pool
	now  time.Time
}

func setup(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, pool: pgtest.Pool(t), now: time.Now().UTC().Truncate(time.Microsecond)}
	b.Store = store.New(b.pool, func() time.Time { return b.now })
	return b
}

func (b *bench) exec(sql string, args ...any) {
	b.t.Helper()
	_, err := b.pool.Exec(b.t.Context(), sql, args...)
	require.NoError(b.t, err)
}

// talk writes a conversation whose customer wrote some minutes ago, and who was answered some minutes ago, or never (0).
func (b *bench) talk(account, customer, text string, wrote, answered int) string {
	b.t.Helper()
	id := uuid.UUID(dm.RowID("conversation", "instagram", account, customer)).String()
	at := b.now.Add(-time.Duration(wrote) * time.Minute)
	last := at
	var out *time.Time
	if answered > 0 {
		sent := b.now.Add(-time.Duration(answered) * time.Minute)
		if out = &sent; sent.After(last) {
			last = sent
		}
	}
	b.exec(`INSERT INTO conversations (id, page_id, instagram_user_id, last_message_at, last_inbound_at, last_outbound_at) VALUES ($1, $2, $3, $4, $5, $6)`, id, account, customer, last, at, out)
	b.exec(`INSERT INTO messages (conversation_id, account, mid, sender_id, recipient_id, message_text, direction, timestamp, status) VALUES ($1, $2, $3, $4, $2, $5, 'inbound', $6, 'received')`,
		id, account, "in"+account+customer, customer, text, at)
	return id
}

func (b *bench) list(scope store.Scope, f store.InboxFilter) []string {
	b.t.Helper()
	if f.Limit == 0 {
		f.Limit = 50
	}
	talks, _, err := b.Inbox(b.t.Context(), scope, f)
	require.NoError(b.t, err)
	ids := []string{}
	for i := range talks {
		ids = append(ids, talks[i].ID)
	}
	return ids
}

func (b *bench) user(role store.Role) store.User {
	b.t.Helper()
	u, err := b.AddUser(b.t.Context(), store.User{Email: uuid.NewString() + "@example.com", Role: role})
	require.NoError(b.t, err)
	return u
}

func TestTheInboxIsOrderedAndNarrowed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	fresh, answered, waits, elsewhere := b.talk("a", "1", "hello", 1, 0), b.talk("a", "2", "hi", 30, 29), b.talk("a", "3", "anybody?", 90, 0), b.talk("b", "4", "hey", 5, 0)
	require.Equal(t, []string{fresh, elsewhere, answered, waits}, b.list(store.All, store.InboxFilter{}))
	require.Equal(t, []string{waits, elsewhere, fresh}, b.list(store.All, store.InboxFilter{Waiting: true}), "the longest silence first, and none that was answered")
	require.Equal(t, []string{elsewhere}, b.list(store.All, store.InboxFilter{Account: "b"}))
	require.Equal(t, []string{fresh, answered, waits}, b.list(store.Scope{"a"}, store.InboxFilter{}))
	require.Empty(t, b.list(store.Scope{"a"}, store.InboxFilter{Account: "b"}))
	require.Equal(t, []string{waits}, b.list(store.All, store.InboxFilter{Only: []string{waits}}))
	require.Empty(t, b.list(store.All, store.InboxFilter{Only: []string{}}))
	require.Equal(t, []string{fresh, elsewhere, answered}, b.list(store.All, store.InboxFilter{Not: []string{waits}}))
	require.Empty(t, b.list(store.All, store.InboxFilter{Assignee: "'; DROP TABLE users"}))
}

func TestPagesOfTheInboxMeet(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i := range 25 {
		b.talk("a", strconv.Itoa(i), "hello", 10+i/3, 0) // three at each time
	}
	for _, waiting := range []bool{false, true} {
		seen := map[string]bool{}
		f := store.InboxFilter{Limit: 4, Waiting: waiting}
		for {
			talks, next, err := b.Inbox(t.Context(), store.All, f)
			require.NoError(t, err)
			for i := range talks {
				require.False(t, seen[talks[i].ID], "shown twice")
				seen[talks[i].ID] = true
			}
			if next.ID == "" {
				break
			}
			f.After = store.ParseCursor(next.String())
			require.Equal(t, next.String(), f.After.String())
		}
		require.Len(t, seen, 25)
	}
	for _, bad := range []string{"", "x", "1_x", "x_" + uuid.NewString(), "1_" + uuid.NewString() + "'"} {
		require.Zero(t, store.ParseCursor(bad))
	}
}

func TestADeskClosesReadsAndAssigns(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, agent := b.talk("a", "1", "hello", 10, 0), b.user(store.Agent)
	by := store.Actor{UserID: agent.ID, Name: agent.Email, Via: "console"}
	require.Equal(t, []string{id}, b.list(store.All, store.InboxFilter{Unread: true}))
	require.NoError(t, b.MarkRead(t.Context(), store.All, id, agent.ID))
	require.Empty(t, b.list(store.All, store.InboxFilter{Unread: true}))
	require.NoError(t, b.MarkUnread(t.Context(), store.All, id))
	require.Equal(t, []string{id}, b.list(store.All, store.InboxFilter{Unread: true}))

	require.NoError(t, b.Assign(t.Context(), store.All, by, id, agent.ID))
	require.Equal(t, []string{id}, b.list(store.All, store.InboxFilter{Assignee: agent.ID}))
	require.Empty(t, b.list(store.All, store.InboxFilter{Assignee: store.NoAssignee}))
	require.ErrorIs(t, b.Assign(t.Context(), store.All, by, id, b.user(store.Viewer).ID), store.ErrNotFound, "who may not answer")
	require.NoError(t, b.Assign(t.Context(), store.All, by, id, ""))
	require.Equal(t, []string{id}, b.list(store.All, store.InboxFilter{Assignee: store.NoAssignee}))

	require.NoError(t, b.CloseTalk(t.Context(), store.All, by, id))
	require.Empty(t, b.list(store.All, store.InboxFilter{}))
	require.Equal(t, []string{id}, b.list(store.All, store.InboxFilter{Closed: true}))
	b.exec(`UPDATE conversations SET last_inbound_at = now() + interval '1 minute', last_message_at = now() + interval '1 minute' WHERE id = $1`, id)
	require.Equal(t, []string{id}, b.list(store.All, store.InboxFilter{Unread: true}), "the customer wrote again: open and unread")
	require.NoError(t, b.CloseTalk(t.Context(), store.All, by, id))
	require.NoError(t, b.ReopenTalk(t.Context(), store.All, by, id))
	require.Equal(t, []string{id}, b.list(store.All, store.InboxFilter{}))

	for _, err := range []error{
		b.CloseTalk(t.Context(), store.Scope{"b"}, by, id), b.Assign(t.Context(), store.Scope{"b"}, by, id, ""), b.MarkRead(t.Context(), store.Scope{"b"}, id, agent.ID),
		b.SetNote(t.Context(), store.Scope{"b"}, by, id, "x"), b.CloseTalk(t.Context(), store.All, by, "x"),
	} {
		require.ErrorIs(t, err, store.ErrNotFound)
	}
	var entries int
	require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT count(*) FROM audit_log WHERE target = $1`, "conversation:"+id).Scan(&entries))
	require.Equal(t, 5, entries, "what was refused is not in the audit log")
}

func TestSearchFindsWordsAndNames(t *testing.T) {
	t.Parallel()
	b := setup(t)
	bag, mug := b.talk("a", "1", "where is my blue Backpack, please?", 10, 0), b.talk("b", "2", "a mug with O'Reilly's & friends", 20, 0)
	b.exec(`INSERT INTO messages (conversation_id, account, sender_id, recipient_id, message_text, direction, status, metadata) VALUES
		($1, 'a', 'a', '1', 'the bot speaks of lamps', 'outbound', 'sent', '{"intent":{"origin":"rule"}}'),
		($1, 'a', 'a', '1', 'a person speaks of candles', 'outbound', 'sent', '{"intent":{"origin":"operator"}}')`, bag)
	b.exec(`INSERT INTO contacts (channel, page_id, instagram_user_id, name, username, fetched_at) VALUES ('instagram', 'b', '2', 'Maria Lindqvist', 'mlind', now())`)
	for words, want := range map[string][]string{
		"backpack": {bag}, "BLUE backpack": {bag}, "backp": {}, "blue mug": {}, "lamps": {}, "candles": {bag}, "o'reilly": {mug}, "maria lind": {mug}, "mlin": {mug},
		"": {}, "  ": {}, "'": {}, "& | !": {}, ":*": {}, "\\": {}, "blue & backpack": {bag},
	} {
		ids, _, err := b.Search(t.Context(), store.All, words)
		require.NoError(t, err, words)
		require.ElementsMatch(t, want, ids, words)
	}
	ids, _, err := b.Search(t.Context(), store.Scope{"a"}, "maria")
	require.NoError(t, err)
	require.Empty(t, ids)
	ids, _, err = b.Search(t.Context(), store.Scope{"b"}, "backpack")
	require.NoError(t, err)
	require.Empty(t, ids)
}

func TestTheNewestChangeOfALabelCounts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.talk("a", "1", "hello", 10, 0)
	change := func(n int, minute int, data string) {
		b.exec(`INSERT INTO events (id, channel, account, customer, kind, time, received_at, data) VALUES ($1, 'instagram', 'a', '1', 'label', $2, $2, $3)`,
			fmt.Sprint("ev", n), b.now.Add(time.Duration(minute)*time.Minute), data)
	}
	change(1, 5, `{"labels":{"added":["vip","new"],"by":"anna"}}`)
	change(2, 3, `{"labels":{"removed":["vip"]}}`) // older, and later
	change(3, 6, `{"labels":{"removed":["new"],"added":["x","x"]}}`)
	change(4, 6, `{"labels":null}`)
	talk, err := b.Talk(t.Context(), store.All, id)
	require.NoError(t, err)
	require.Equal(t, []string{"vip", "x"}, talk.Labels)
	require.Equal(t, []string{id}, b.list(store.All, store.InboxFilter{Label: "vip"}))
	require.Empty(t, b.list(store.All, store.InboxFilter{Label: "new"}))
	labels, err := b.InboxLabels(t.Context(), store.All)
	require.NoError(t, err)
	require.Equal(t, []string{"vip", "x"}, labels)
	labels, err = b.InboxLabels(t.Context(), store.Scope{"b"})
	require.NoError(t, err)
	require.Empty(t, labels)
	accounts, err := b.InboxAccounts(t.Context(), store.All, 10)
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, accounts)
}
