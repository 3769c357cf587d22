package store_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/postgres/pgtest"
	"github.com/parley-dm/parley/services/archiver/internal/record"
	"github.com/parley-dm/parley/services/archiver/internal/store"
)

var epoch = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// story makes up envelopes of a few conversations: each list is what one of them gave rise to.
type story struct {
	t     *rapid.T
	tick  int
	facts []func() record.Facts
}

// now is a time that no other fact has, though not in the order of the facts' making.
func (s *story) now() time.Time {
	s.tick++
	at := rapid.IntRange(0, 600).Draw(s.t, "second")
	return epoch.Add(time.Duration(at)*time.Second + time.Duration(s.tick)*time.Microsecond)
}

func (s *story) event(e dm.Event) {
	e.ReceivedAt, e.KnownAccount = s.now(), true
	if e.Time.IsZero() {
		e.Time = s.now()
	}
	if e.ID == "" {
		e.ID = dm.EventID(e.Channel, e.Account, e.Kind, fmt.Sprint(s.tick))
	}
	s.facts = append(s.facts, func() record.Facts { again := e; return record.FromEvent(&again) })
}

// whoever is whom a change of a message names: its customer as a rule, else somebody else or nobody.
func (s *story) whoever(c dm.Conversation) dm.Conversation {
	c.Customer = rapid.SampledFrom([]string{c.Customer, c.Customer, "cus0", "a stranger", ""}).Draw(s.t, "whoever")
	return c
}

func (s *story) changes(c dm.Conversation, mid string) {
	for range rapid.IntRange(0, 3).Draw(s.t, "edits") {
		s.event(dm.Event{
			Conversation: s.whoever(c), Kind: dm.KindEdit, MID: mid, Edits: rapid.IntRange(1, 3).Draw(s.t, "number"),
			Text: rapid.SampledFrom([]string{"edited", "edited again", "nul\x00", ""}).Draw(s.t, "edit"),
		})
	}
	for range rapid.IntRange(0, 3).Draw(s.t, "reactions") {
		kind := rapid.SampledFrom([]dm.EventKind{dm.KindReaction, dm.KindUnreaction}).Draw(s.t, "reaction")
		s.event(dm.Event{Conversation: s.whoever(c), Kind: kind, MID: mid, Reaction: "love", Emoji: "❤️"})
	}
	if rapid.IntRange(0, 3).Draw(s.t, "deleted") == 0 {
		s.event(dm.Event{Conversation: s.whoever(c), Kind: dm.KindDelete, MID: mid})
	}
}

func (s *story) inbound(c dm.Conversation, n int) {
	mid := fmt.Sprintf("in-%s-%d", c.Customer, n)
	if rapid.IntRange(0, 9).Draw(s.t, "missing") > 0 { // else only its changes ever come
		id := dm.EventID(c.Channel, c.Account, dm.KindMessage, mid)
		kind := rapid.SampledFrom([]dm.EventKind{dm.KindMessage, dm.KindMessage, dm.KindPostback, dm.KindStandby, dm.KindSelf}).Draw(s.t, "kind")
		if kind != dm.KindSelf && rapid.IntRange(0, 3).Draw(s.t, "found") == 0 { // before its webhook came, or after
			s.event(dm.Event{ID: id, Conversation: c, MID: mid, MessageType: "text", Kind: dm.KindMessage, Text: "found", Source: dm.SourceBackfill})
		}
		s.event(dm.Event{
			ID: id, Conversation: c, MID: mid, MessageType: "text", Source: dm.SourceWebhook,
			Kind:        kind,
			Text:        rapid.SampledFrom([]string{"price?", "", "nul \x00 inside", "عربي 😀"}).Draw(s.t, "text"),
			Attachments: []dm.Attachment{{Type: "image", URL: "https://example.com/1"}},
			Raw:         []byte(`{"message":{"mid":"` + mid + `","text":"\u0000 \ud83d"}}`),
		})
	}
	s.changes(c, mid)
}

func (s *story) outbound(c dm.Conversation, n int) {
	id := dm.IntentID("ev_"+c.Customer, n)
	parts := rapid.IntRange(1, 2).Draw(s.t, "parts")
	intent := dm.ReplyIntent{ID: id, Conversation: c, Origin: dm.OriginRule, RuleName: "price", CreatedAt: s.now()}
	for p := range parts {
		intent.Parts = append(intent.Parts, dm.Part{Kind: dm.PartText, Text: fmt.Sprint("reply ", p)})
	}
	if rapid.IntRange(0, 5).Draw(s.t, "intent lost") > 0 {
		s.facts = append(s.facts, func() record.Facts { return record.FromIntent(&intent) })
	}
	for p, part := range intent.Parts {
		mid := fmt.Sprintf("out-%s-%d-%d", c.Customer, n, p)
		outcomes := rapid.SampledFrom([][]dm.Outcome{
			{}, {dm.OutcomeSent}, {dm.OutcomeUnknown, dm.OutcomeSent}, {dm.OutcomeUnknown, dm.OutcomeFailed}, {dm.OutcomeExpired}, {dm.OutcomeFailed, dm.OutcomeExpired, dm.OutcomeSent},
		}).Draw(s.t, "outcomes")
		for _, o := range outcomes {
			d := dm.Delivery{
				ID: dm.DeliveryID(id, p, o), IntentID: id, Part: p, Of: parts, Conversation: c, Outcome: o, Origin: dm.OriginRule,
				Message: part, Reason: "why\x00", SentAt: s.now(), Attempts: []dm.Attempt{{At: epoch, Status: 200}},
			}
			if o == dm.OutcomeSent {
				d.MID = mid
			}
			s.facts = append(s.facts, func() record.Facts { return record.FromDelivery(&d) })
		}
		if rapid.Bool().Draw(s.t, "echo") {
			s.event(dm.Event{ID: dm.EventID(c.Channel, c.Account, dm.KindEcho, mid), Conversation: c, Kind: dm.KindEcho, MID: mid, MessageType: "text", Text: part.Text})
		}
		s.changes(c, mid)
	}
}

func newStory(t *rapid.T) *story {
	s := &story{t: t}
	for n := range rapid.IntRange(1, 3).Draw(t, "conversations") {
		c := dm.Conversation{Channel: dm.ChannelInstagram, Account: fmt.Sprint("acc", n%2), Customer: fmt.Sprint("cus", n)}
		for i := range rapid.IntRange(0, 3).Draw(t, "inbound") {
			s.inbound(c, i)
		}
		for i := range rapid.IntRange(0, 3).Draw(t, "outbound") {
			s.outbound(c, i)
		}
		for range rapid.IntRange(0, 2).Draw(t, "seen") {
			s.event(dm.Event{Conversation: c, Kind: dm.KindSeen, MID: "whatever", Own: rapid.IntRange(0, 3).Draw(t, "own") == 0})
		}
		for range rapid.IntRange(0, 2).Draw(t, "profiles") {
			s.event(dm.Event{Conversation: c, Kind: dm.KindProfile, Profile: &dm.Profile{
				Name: rapid.SampledFrom([]string{"", "Ada", "nul \x00"}).Draw(t, "name"), NoConsent: rapid.Bool().Draw(t, "no consent"), FetchedAt: s.now(),
			}})
		}
		s.event(dm.Event{Conversation: c, Kind: dm.KindReferral, Ref: "ref\x00"})
		s.event(dm.Event{Conversation: dm.Conversation{Channel: c.Channel, Account: c.Account}, Kind: dm.KindEdit, MID: "nobody's"})
	}
	return s
}

// dump is everything that the archive holds, as text.
func dump(t *rapid.T, pool *pgxpool.Pool) []string {
	var out []string
	for _, sql := range []string{
		`SELECT to_jsonb(c)::text FROM conversations c ORDER BY id`,
		`SELECT to_jsonb(m)::text FROM messages m ORDER BY id`,
		`SELECT (to_jsonb(m) - 'created_at')::text FROM message_changes m ORDER BY account, mid`,
		`SELECT to_jsonb(e)::text FROM events e ORDER BY id`,
		`SELECT to_jsonb(c)::text FROM contacts c ORDER BY channel, page_id, instagram_user_id`,
	} {
		rows, err := pool.Query(context.Background(), sql)
		require.NoError(t, err)
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		out = append(out, lines...)
	}
	return out
}

func empty(t *rapid.T, pool *pgxpool.Pool) {
	_, err := pool.Exec(context.Background(), `DELETE FROM message_changes; DELETE FROM messages; DELETE FROM conversations; DELETE FROM events; DELETE FROM contacts`)
	require.NoError(t, err)
}

// What the archive holds depends on the envelopes alone: not on their order, nor on how often they came, nor on how they
// were batched or by how many writers at once.
func TestWritesCommuteAndRepeatSafely(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	s := store.New(pool, store.Hooks{})
	rapid.Check(t, func(t *rapid.T) {
		facts := newStory(t).facts
		empty(t, pool)
		for _, f := range facts {
			require.NoError(t, s.Write(context.Background(), []record.Facts{f()}))
		}
		want := dump(t, pool)

		again := slices.Concat(facts, rapid.SliceOfN(rapid.SampledFrom(facts), 0, 10).Draw(t, "repeated"))
		again = rapid.Permutation(again).Draw(t, "order")
		empty(t, pool)
		var batches [][]record.Facts
		for len(again) > 0 {
			n := rapid.IntRange(1, min(12, len(again))).Draw(t, "batch")
			var batch []record.Facts
			for _, f := range again[:n] {
				batch = append(batch, f())
			}
			batches, again = append(batches, batch), again[n:]
		}
		concurrently(t, s, batches)
		require.Equal(t, want, dump(t, pool))
	})
}

// concurrently writes with three writers at once.
func concurrently(t *rapid.T, s *store.Store, batches [][]record.Facts) {
	queue := make(chan []record.Facts, len(batches))
	for _, b := range batches {
		queue <- b
	}
	close(queue)
	errs := make(chan error, len(batches))
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for b := range queue {
				errs <- s.Write(context.Background(), b)
			}
		})
	}
	wg.Wait()
	for range batches {
		require.NoError(t, <-errs)
	}
}
