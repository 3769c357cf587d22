package repository_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/postgres/pgtest"
	"github.com/parley-dm/parley/pkg/repository"
	"github.com/parley-dm/parley/pkg/repository/repositorytest"
)

// archives are the implementations.
func archives() map[string]func(*testing.T) repositorytest.Archive {
	return map[string]func(*testing.T) repositorytest.Archive{
		"PostgreSQL": func(t *testing.T) repositorytest.Archive {
			t.Helper()
			pool := pgtest.Pool(t)
			return repositorytest.Archive{
				Conversations: repository.NewConversations(pool), Messages: repository.NewMessages(pool),
				Add: func(t *testing.T, m repository.Message) {
					t.Helper()
					repositorytest.Insert(t, pool, m)
				},
			}
		},
		"memory": func(t *testing.T) repositorytest.Archive {
			t.Helper()
			m := repository.NewMemory(time.Now)
			return repositorytest.Archive{
				Conversations: m.Conversations(), Messages: m.Messages(),
				Add: func(t *testing.T, v repository.Message) {
					t.Helper()
					require.NoError(t, m.Messages().Add(t.Context(), v))
				},
			}
		},
	}
}

func TestConversations(t *testing.T) {
	t.Parallel()
	for name, empty := range archives() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			repositorytest.Conversations(t, empty)
		})
	}
}

func TestMessages(t *testing.T) {
	t.Parallel()
	for name, empty := range archives() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			repositorytest.Messages(t, empty)
		})
	}
}

// More messages than a page has, in more conversations than a page has.
func TestAStretchOfManyPages(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	_, err := pool.Exec(t.Context(), `
		INSERT INTO conversations (page_id, instagram_user_id, created_at, last_message_at)
		SELECT '1', n::text, '2026-11-20', '2026-11-21' FROM generate_series(1, 450) n`)
	require.NoError(t, err)
	_, err = pool.Exec(t.Context(), `
		INSERT INTO messages (conversation_id, account, mid, sender_id, recipient_id, message_text, direction, timestamp, status)
		SELECT c.id, '1', c.id || '-' || n, c.instagram_user_id, '1', 'x', 'inbound', timestamptz '2026-11-20 12:00Z' + n / 3 * interval '1 s', 'received'
		FROM conversations c, generate_series(1, 12) n`)
	require.NoError(t, err)
	seen := map[string]bool{}
	last := repository.Message{}
	require.NoError(t, repository.NewMessages(pool).Each(t.Context(), repository.Stretch{Since: time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)}, func(m repository.Message) error {
		if seen[m.ID] || m.Conversation == last.Conversation && m.At.Before(last.At) {
			return fmt.Errorf("%s came twice or too late", m.ID)
		}
		seen[m.ID], last = true, m
		return nil
	}))
	require.Len(t, seen, 450*12)
}

// What somebody wrote by hand may have any metadata.
func TestOddMetadataHidesNoMessage(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	c := dm.Conversation{Channel: dm.ChannelInstagram, Account: "1", Customer: "7001"}
	for n, metadata := range []string{`{}`, `[]`, `null`, `{"intent": "x", "payload": "P"}`, `{"attachments": {}, "mood": 1}`} {
		repositorytest.Insert(t, pool, repositorytest.Message(c, n))
		_, err := pool.Exec(t.Context(), `UPDATE messages SET metadata = $2 WHERE mid = $1`, fmt.Sprint("m_", n), metadata)
		require.NoError(t, err)
	}
	page, err := repository.NewMessages(pool).History(t.Context(), repository.HistoryOf{Conversation: c})
	require.NoError(t, err)
	require.Len(t, page, 5)
	require.Equal(t, "P", page[1].Metadata.Payload, "what can be read is")
}

func TestEvents(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	events := repository.NewEvents(pool)
	c := dm.Conversation{Channel: dm.ChannelInstagram, Account: "1", Customer: "7001"}
	_, err := pool.Exec(t.Context(), `
		INSERT INTO events (id, channel, account, customer, kind, mid, time, received_at, data)
		SELECT 'ev_' || n, 'instagram', '1', CASE WHEN n < 8 THEN '7001' END, CASE n % 2 WHEN 0 THEN 'hold' ELSE 'decision' END,
		       'm_' || n, timestamptz '2026-11-20 12:00Z' + n / 3 * interval '1 s', '2026-11-20 12:00Z', '{"n": 1}'
		FROM generate_series(1, 9) n`)
	require.NoError(t, err)
	for want, q := range map[int]repository.EventQuery{
		7: {Conversation: c}, 4: {Conversation: c, Kind: "decision"}, 1: {Conversation: c, MID: "m_2"}, 0: {Conversation: c, Kind: "hold", MID: "m_3"},
	} {
		seen := map[string]bool{}
		for q.Limit = 2; ; {
			page, err := events.List(t.Context(), q)
			require.NoError(t, err)
			if len(page) == 0 {
				break
			}
			for i := range page {
				require.False(t, seen[page[i].ID], "once each")
				seen[page[i].ID] = true
			}
			q.Before = &page[len(page)-1]
		}
		require.Len(t, seen, want)
	}
	one, err := events.Get(t.Context(), "ev_9")
	require.NoError(t, err)
	require.Equal(t, repository.Event{
		ID: "ev_9", Conversation: dm.Conversation{Channel: dm.ChannelInstagram, Account: "1"}, Kind: "decision", MID: "m_9",
		At: time.Date(2026, 11, 20, 12, 0, 3, 0, time.UTC), ReceivedAt: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC), Data: json.RawMessage(`{"n": 1}`),
	}, one)
	_, err = events.Get(t.Context(), "ev_0")
	require.ErrorIs(t, err, repository.ErrNotFound)
}
