package repositorytest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/repository"
)

// Archive is what the suites of conversations and messages try.
type Archive struct {
	Conversations repository.ConversationRepository
	Messages      repository.MessageRepository
	// Add stores a message and, where it is new, its conversation.
	Add func(t *testing.T, m repository.Message)
}

// Conversations tries a repository of conversations; empty makes one without any.
func Conversations(t *testing.T, empty func(t *testing.T) Archive) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, Archive){
		"saved, read and put away": saveAndGet,
		"the newest first":         newestFirst,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, empty(t))
		})
	}
}

// Messages tries a repository of messages; empty makes one without any.
func Messages(t *testing.T, empty func(t *testing.T) Archive) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, Archive){
		"what is stored comes back":         messageComesBack,
		"a mid is unique with its account":  byMID,
		"pages of a conversation":           conversationPages,
		"the replies to an event, in order": replies,
		"a stretch, by conversation":        stretch,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, empty(t))
		})
	}
}

// noon is when the suites' messages begin.
func noon() time.Time { return time.Date(2026, 11, 20, 12, 0, 0, 123000, time.UTC) }

func customer(account, id string) dm.Conversation {
	return dm.Conversation{Channel: dm.ChannelInstagram, Account: account, Customer: id}
}

// Message is an inbound text of a conversation; n makes its id, its mid and its time.
func Message(c dm.Conversation, n int) repository.Message {
	at := noon().Add(time.Duration(n) * time.Second)
	return repository.Message{
		ID: fmt.Sprintf("00000000-0000-4000-8000-%012d", n), Conversation: c, MID: "m_" + strconv.Itoa(n), Sender: c.Customer, Recipient: c.Account,
		Direction: repository.Inbound, Status: "received", Type: "text", Text: "text " + strconv.Itoa(n), At: at, CreatedAt: at,
		Metadata: repository.Metadata{EventID: "ev_" + strconv.Itoa(n), Kind: dm.KindMessage, ReceivedAt: at, Raw: json.RawMessage(`{"mid": "m"}`)},
	}
}

// Reply is an outbound text that answers an event.
func Reply(c dm.Conversation, n, part int, eventID string) repository.Message {
	m := Message(c, n)
	m.Direction, m.Status, m.Sender, m.Recipient, m.SentAt = repository.Outbound, "sent", c.Account, c.Customer, m.At
	m.Metadata = repository.Metadata{
		Intent: &repository.Intent{
			ID: "in_1", Part: part, Of: 2, EventID: eventID, Origin: dm.OriginRule, RuleID: "r", RuleName: "prices", MatchedOn: "price",
			CreatedAt: noon(), Trace: &dm.Trace{Rules: 3, Tried: []dm.TraceRule{{ID: "r", Name: "prices", Won: true, Keyword: "price"}}}, Message: &dm.Part{Kind: dm.PartText, QuickReplies: []dm.QuickReply{{Title: "Yes"}}},
		},
		Delivery: &repository.Delivery{ID: "de_1", IntentID: "in_1", Outcome: dm.OutcomeSent, At: m.At, Attempts: []dm.Attempt{{At: m.At, DurationMS: 12, Status: 200}}},
	}
	return m
}

func saveAndGet(t *testing.T, a Archive) {
	t.Helper()
	key := customer("1", "7001")
	_, err := a.Conversations.Get(t.Context(), key)
	require.ErrorIs(t, err, repository.ErrNotFound)
	require.ErrorIs(t, a.Conversations.SetStatus(t.Context(), key, repository.StatusArchived), repository.ErrNotFound)
	first, err := a.Conversations.Save(t.Context(), repository.Conversation{Conversation: key, CreatedAt: noon(), UpdatedAt: noon()})
	require.NoError(t, err)
	require.Len(t, first.ID, 36)
	require.Equal(t, repository.StatusActive, first.Status)
	require.True(t, first.LastMessageAt.IsZero())
	second, err := a.Conversations.Save(t.Context(), repository.Conversation{
		Conversation: key, CreatedAt: noon().Add(time.Hour), UpdatedAt: noon().Add(-time.Hour), LastMessageAt: noon(), ReadAt: noon().Add(time.Minute),
	})
	require.NoError(t, err)
	want := first
	want.LastMessageAt, want.ReadAt = noon(), noon().Add(time.Minute)
	require.Equal(t, want, second, "what is newer counts")
	got, err := a.Conversations.Get(t.Context(), key)
	require.NoError(t, err)
	require.Equal(t, want, got)

	require.NoError(t, a.Conversations.SetStatus(t.Context(), key, repository.StatusArchived))
	got, err = a.Conversations.Get(t.Context(), key)
	require.NoError(t, err)
	require.Equal(t, repository.StatusArchived, got.Status)
	require.ErrorIs(t, a.Conversations.SetStatus(t.Context(), key, "lost"), repository.ErrInvalid)
	_, err = a.Conversations.Save(t.Context(), repository.Conversation{Conversation: customer("1", "")})
	require.ErrorIs(t, err, repository.ErrInvalid)
}

func newestFirst(t *testing.T, a Archive) {
	t.Helper()
	for i, c := range []struct {
		account string
		status  repository.Status
		minute  int // of the last message; none if negative
	}{{"1", "active", 3}, {"1", "active", 9}, {"2", "active", 5}, {"1", "archived", 7}, {"1", "active", -1}, {"1", "active", 3}, {"1", "active", -1}} {
		v := repository.Conversation{Conversation: customer(c.account, strconv.Itoa(i)), Status: c.status, CreatedAt: noon(), UpdatedAt: noon()}
		if c.minute >= 0 {
			v.LastMessageAt = noon().Add(time.Duration(c.minute) * time.Minute)
		}
		_, err := a.Conversations.Save(t.Context(), v)
		require.NoError(t, err)
	}
	for want, q := range map[int]repository.ConversationQuery{
		7: {}, 6: {Account: "1"}, 5: {Account: "1", Status: repository.StatusActive}, 1: {Status: repository.StatusArchived}, 0: {Account: "3"},
	} {
		whole, err := a.Conversations.List(t.Context(), q)
		require.NoError(t, err)
		require.Len(t, whole, want)
		require.True(t, slices.IsSortedFunc(whole, func(a, b repository.Conversation) int { return b.LastMessageAt.Compare(a.LastMessageAt) }))
		paged := []repository.Conversation{}
		for q.Limit = 2; ; {
			page, err := a.Conversations.List(t.Context(), q)
			require.NoError(t, err)
			if len(page) == 0 {
				break
			}
			paged = append(paged, page...)
			q.Before = &page[len(page)-1]
		}
		require.Equal(t, append([]repository.Conversation{}, whole...), paged)
	}
}

func messageComesBack(t *testing.T, a Archive) {
	t.Helper()
	c := customer("1", "7001")
	in, out := Message(c, 1), Reply(c, 2, 0, "ev_1")
	in.Metadata.Attachments = []dm.Attachment{{Type: "image", URL: "https://example.com/a"}}
	in.Metadata.Edits, in.Metadata.FirstText = []repository.Edit{{Number: 1, Text: "text 1", At: noon()}}, "txet 1"
	in.Metadata.Reaction = &repository.Reaction{Reaction: "love", Emoji: "❤", At: noon()}
	in.DeletedAt = noon().Add(time.Hour)
	for _, want := range []repository.Message{in, out} {
		a.Add(t, want)
		got, err := a.Messages.Get(t.Context(), want.ID)
		require.NoError(t, err)
		require.Equal(t, want, got)
		want.Metadata.Raw = nil
		page, err := a.Messages.History(t.Context(), repository.HistoryOf{Conversation: c, Limit: 1})
		require.NoError(t, err)
		require.Equal(t, []repository.Message{want}, page)
	}
	_, err := a.Messages.Get(t.Context(), "no id at all")
	require.ErrorIs(t, err, repository.ErrNotFound)
}

func byMID(t *testing.T, a Archive) {
	t.Helper()
	first, second, other := Message(customer("1", "7001"), 1), Message(customer("2", "7001"), 2), Message(customer("3", "7001"), 3)
	second.MID = first.MID
	queued := Reply(customer("3", "7001"), 4, 0, "ev_3")
	queued.MID, queued.Status = "", "queued"
	for _, m := range []repository.Message{first, second, other, queued} {
		a.Add(t, m)
	}
	got, err := a.Messages.ByMID(t.Context(), "2", "m_1")
	require.NoError(t, err)
	require.Equal(t, second, got)
	_, err = a.Messages.ByMID(t.Context(), "3", "m_1")
	require.ErrorIs(t, err, repository.ErrNotFound)
	_, err = a.Messages.ByMID(t.Context(), "3", "")
	require.ErrorIs(t, err, repository.ErrNotFound)
	all, err := a.Messages.Find(t.Context(), "m_1")
	require.NoError(t, err)
	require.Equal(t, []repository.Message{first, second}, all)
	all, err = a.Messages.Find(t.Context(), "m_9")
	require.NoError(t, err)
	require.Empty(t, all)
}

func conversationPages(t *testing.T, a Archive) {
	t.Helper()
	c := customer("1", "7001")
	for n := range 7 {
		m := Message(c, n)
		m.At = noon().Add(time.Duration(n/2) * time.Second) // two at a time
		a.Add(t, m)
		a.Add(t, Message(customer("1", "7002"), 100+n))
	}
	var texts []string
	q := repository.HistoryOf{Conversation: c, Limit: 3}
	for {
		page, err := a.Messages.History(t.Context(), q)
		require.NoError(t, err)
		if len(page) == 0 {
			break
		}
		for _, m := range page {
			texts = append(texts, m.Text)
		}
		q.Before = &page[len(page)-1]
	}
	require.Equal(t, []string{"text 6", "text 5", "text 4", "text 3", "text 2", "text 1", "text 0"}, texts)
	page, err := a.Messages.History(t.Context(), repository.HistoryOf{Conversation: c, Before: &repository.Message{At: noon().Add(time.Second)}})
	require.NoError(t, err)
	require.Len(t, page, 2, "what is older than a time")
	page, err = a.Messages.History(t.Context(), repository.HistoryOf{Conversation: customer("1", "9")})
	require.NoError(t, err)
	require.Empty(t, page)
}

func replies(t *testing.T, a Archive) {
	t.Helper()
	c := customer("1", "7001")
	a.Add(t, Message(c, 1))
	a.Add(t, Reply(c, 3, 1, "ev_1"))
	a.Add(t, Reply(c, 4, 0, "ev_1"))
	a.Add(t, Reply(c, 5, 0, "ev_other"))
	got, err := a.Messages.Replies(t.Context(), c, "ev_1")
	require.NoError(t, err)
	require.Len(t, got, 2)
	require.Equal(t, "m_4", got[0].MID, "the first part, though it was sent last")
	got, err = a.Messages.Replies(t.Context(), customer("1", "7002"), "ev_1")
	require.NoError(t, err)
	require.Empty(t, got)

	asked, err := a.Messages.OfEvent(t.Context(), c, "ev_1")
	require.NoError(t, err)
	require.Equal(t, Message(c, 1), asked)
	for conversation, event := range map[dm.Conversation]string{c: "ev_other", customer("1", "7002"): "ev_1"} {
		_, err = a.Messages.OfEvent(t.Context(), conversation, event)
		require.ErrorIs(t, err, repository.ErrNotFound)
	}
}

func stretch(t *testing.T, a Archive) {
	t.Helper()
	n := 0
	for _, account := range []string{"1", "2"} {
		for i := range 3 {
			c := customer(account, strconv.Itoa(7001+i))
			for range 4 {
				n++
				a.Add(t, Message(c, n))
			}
			n++
			a.Add(t, Reply(c, n, 0, "ev"))
		}
	}
	read := func(s repository.Stretch) (out []repository.Message) {
		require.NoError(t, a.Messages.Each(t.Context(), s, func(m repository.Message) error {
			out = append(out, m)
			return nil
		}))
		return out
	}
	at := func(n int) time.Time { return noon().Add(time.Duration(n) * time.Second) }
	for want, s := range map[int]repository.Stretch{
		30: {Since: noon()}, 15: {Since: noon(), Account: "2"}, 24: {Since: noon(), Direction: repository.Inbound},
		10: {Since: at(21)}, 6: {Since: at(3), Until: at(9)}, 0: {Since: at(31)},
	} {
		got := read(s)
		require.Len(t, got, want)
		seen := map[dm.Conversation]bool{}
		for i, m := range got {
			require.Nil(t, m.Metadata.Raw)
			if i > 0 && got[i-1].Conversation == m.Conversation {
				require.True(t, got[i-1].At.Before(m.At), "the oldest first")
				continue
			}
			require.False(t, seen[m.Conversation], "one conversation after another")
			seen[m.Conversation] = true
		}
	}
	enough := errors.New("enough")
	count := 0
	require.ErrorIs(t, a.Messages.Each(t.Context(), repository.Stretch{Since: noon()}, func(repository.Message) error {
		count++
		return enough
	}), enough)
	require.Equal(t, 1, count)
}
