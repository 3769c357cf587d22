package console_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/envelope"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/pkg/pipeline/deadletter"
	"github.com/parley-dm/parley/pkg/topology"
	"github.com/parley-dm/parley/services/console/internal/ops"
	"github.com/parley-dm/parley/services/console/internal/store"
	"github.com/parley-dm/parley/services/console/internal/webtest"
)

// failing writes a message of the bot that was not sent, as the archiver does.
func (c *chat) failing(text string, outcome dm.Outcome, at time.Time, delivery map[string]any) (id, intent string) {
	c.t.Helper()
	c.n++
	intent = dm.IntentID(fmt.Sprintf("ev_%s_%s_%d", c.Account, c.Customer, c.n), 0)
	id = uuid.UUID(dm.RowID("outbound", intent, "0")).String()
	delivery["outcome"], delivery["at"], delivery["origin"] = outcome, at, "rule"
	return c.row(id, "", text, "text", "outbound", string(outcome), at, map[string]any{
		"intent": map[string]any{"id": intent, "part": 0, "of": 1, "event_id": "ev_1", "origin": "rule", "created_at": at}, "delivery": delivery,
	}), intent
}

func refusedWith(code, subcode int, words string) map[string]any {
	return map[string]any{"reason": "refused for good", "attempts": []map[string]any{{"status": 400, "code": code, "subcode": subcode, "error": words}}}
}

// published are the data of a stream's messages.
func published[T any](t *testing.T, site *webtest.Site, stream topology.Stream) (all []T) {
	t.Helper()
	s, err := site.Host.Conn.JetStream().Stream(t.Context(), stream.Name)
	require.NoError(t, err)
	for n := uint64(1); n <= s.CachedInfo().State.LastSeq; n++ {
		m, err := s.GetMsg(t.Context(), n)
		require.NoError(t, err)
		var e struct{ Data T }
		require.NoError(t, json.Unmarshal(m.Data, &e))
		all = append(all, e.Data)
	}
	return all
}

// keyFor finds the group whose title contains a text.
func keyFor(t *testing.T, body, title string) string {
	t.Helper()
	m := regexp.MustCompile(`/failures/group\?key=([0-9a-f]+)">[^<]*` + regexp.QuoteMeta(title)).FindStringSubmatch(body)
	require.NotNil(t, m, "no group %q", title)
	return m[1]
}

func TestFailuresAreGroupedAndSentAgainOnce(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, nil)
	now := time.Now().UTC().Truncate(time.Microsecond)
	open, over := newChat(t, site, "171", "1", ""), newChat(t, site, "171", "2", "")
	wrote := now.Add(-2 * time.Hour)
	open.hears("hello?", wrote, nil)
	over.hears("hello?", now.Add(-30*time.Hour), nil)
	first, _ := open.failing("first <script>alert('text')</script>", dm.OutcomeFailed, now.Add(-time.Hour), refusedWith(2, 0, "<script>alert('words')</script>"))
	second, _ := open.failing("second", dm.OutcomeFailed, now.Add(-time.Minute), refusedWith(2, 0, "(#2) Service temporarily unavailable"))
	late, _ := over.failing("too late", dm.OutcomeFailed, now.Add(-29*time.Hour), refusedWith(2, 0, "x"))
	open.failing("other", dm.OutcomeFailed, now, map[string]any{"reason": "<img src=x onerror=alert(1)> in_abcdef 1234567"})
	over.failing("expired", dm.OutcomeExpired, now.Add(-3*time.Hour), map[string]any{"reason": "closed at 2026-01-01T00:00:00Z"})
	newChat(t, site, "172", "3", "").failing("another account's", dm.OutcomeFailed, now, refusedWith(100, 2534015, "y"))

	agent := site.As(store.Agent, "171")
	status, body := agent.Get("/failures")
	require.Equal(t, http.StatusOK, status)
	for _, want := range []string{"temporary failure on Meta&#39;s side, code 2", "<strong>3 messages</strong>", "(#2) Service temporarily unavailable", "Send again.", "&lt;img src=x onerror=alert(1)&gt; … …", "The messaging window closed"} {
		require.Contains(t, body, want)
	}
	require.NotContains(t, body, "2534015", "another account's failures are not theirs to see")
	require.NotContains(t, body, "<img")
	key := keyFor(t, body, "temporary failure")
	status, body = agent.Get("/failures/group?key=" + key)
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, "&lt;script&gt;alert(")
	require.NotContains(t, body, "<script>alert(")
	require.Contains(t, body, "its messaging window is over")
	status, body = agent.Get("/failures/preview?key=" + key)
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, "Send 2 messages again")
	require.Contains(t, body, "1 not</span> its messaging window is over")

	form := url.Values{"id": {first, second, late}}
	for _, who := range []*webtest.Person{site.As(store.Viewer)} {
		status, _ = who.Post("/failures/replay", form)
		require.Equal(t, http.StatusForbidden, status)
		status, _ = who.Get("/failures/preview?key=" + key)
		require.Equal(t, http.StatusForbidden, status)
	}
	status, _ = site.As(store.Agent, "172").Post("/failures/replay", form)
	require.Equal(t, http.StatusSeeOther, status)
	require.Empty(t, published[dm.ReplyIntent](t, site, topology.Intents), "who does not see the account sends nothing of it")
	for range 2 { // a double click
		status, _ = agent.Post("/failures/replay", form)
		require.Equal(t, http.StatusSeeOther, status)
	}
	sent := published[dm.ReplyIntent](t, site, topology.Intents)
	require.Len(t, sent, 2)
	require.Equal(t, "first <script>alert('text')</script>", sent[0].Parts[0].Text, "in the order in which they were decided")
	require.Equal(t, "second", sent[1].Parts[0].Text)
	require.Equal(t, ops.AgainID(first), sent[0].ID)
	require.Equal(t, dm.OriginOperator, sent[0].Origin)
	require.WithinDuration(t, wrote.Add(dm.MessagingWindow), sent[0].Deadline(), time.Millisecond, "the bot's words get no longer window from being sent again")
	require.Equal(t, 1, audited(t, site, "failure.send_again", "message:"+first))
	require.Zero(t, audited(t, site, "failure.send_again", "message:"+late))
	_, body = agent.Get("/failures")
	require.Contains(t, body, "<strong>1 message</strong>", "what was sent again is no open failure")
}

func TestUnknownOutcomesAreDecidedOneByOne(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, nil)
	c := newChat(t, site, "171", "1", "")
	now := time.Now().UTC().Truncate(time.Microsecond)
	c.hears("hello?", now.Add(-time.Hour), nil)
	sent, intent := c.failing("arrived", dm.OutcomeUnknown, now.Add(-time.Minute), map[string]any{"reason": "no answer"})
	lost, _ := c.failing("lost", dm.OutcomeUnknown, now, map[string]any{"reason": "no answer"})
	agent := site.As(store.Agent)
	_, body := agent.Get("/failures")
	key := keyFor(t, body, "It may have been sent")
	require.NotContains(t, body, "/failures/preview", "never by the number")
	_, body = agent.Get("/failures/group?key=" + key)
	require.Contains(t, body, "It was sent")
	status, _ := agent.Get("/failures/preview?key=" + key)
	require.Equal(t, http.StatusNotFound, status)
	_, _ = agent.Post("/failures/replay", url.Values{"id": {sent, lost}})
	require.Empty(t, published[dm.ReplyIntent](t, site, topology.Intents))

	status, _ = site.As(store.Viewer).Post("/failures/decide", url.Values{"id": {sent}, "decision": {"was_sent"}})
	require.Equal(t, http.StatusForbidden, status)
	status, _ = site.As(store.Agent, "172").Post("/failures/decide", url.Values{"id": {sent}, "decision": {"was_sent"}})
	require.Equal(t, http.StatusNotFound, status)
	status, _ = agent.Post("/failures/decide", url.Values{"id": {sent}, "decision": {"maybe"}})
	require.Equal(t, http.StatusBadRequest, status)
	status, _ = agent.Post("/failures/decide", url.Values{"id": {sent}, "decision": {"was_sent"}})
	require.Equal(t, http.StatusSeeOther, status)
	status, _ = agent.Post("/failures/decide", url.Values{"id": {sent}, "decision": {"send_again"}})
	require.Equal(t, http.StatusNotFound, status, "it is decided")
	deliveries := published[dm.Delivery](t, site, topology.Deliveries)
	require.Len(t, deliveries, 1)
	require.Equal(t, dm.OutcomeSent, deliveries[0].Outcome)
	require.Equal(t, intent, deliveries[0].IntentID)
	require.Equal(t, "arrived", deliveries[0].Message.Text)
	require.Equal(t, "decided by "+agent.User.Email, deliveries[0].Reason)
	require.Equal(t, 1, audited(t, site, "failure.was_sent", "message:"+sent))

	status, _ = agent.Post("/failures/decide", url.Values{"id": {lost}, "decision": {"send_again"}})
	require.Equal(t, http.StatusSeeOther, status)
	intents := published[dm.ReplyIntent](t, site, topology.Intents)
	require.Len(t, intents, 1)
	require.Equal(t, "lost", intents[0].Parts[0].Text)
	_, body = agent.Get("/failures")
	require.Contains(t, body, "Nothing has failed")
}

func TestDeadLettersAreReplayed(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, nil)
	var mended atomic.Bool
	handled := make(chan string, 4)
	p, err := pipeline.Open(t.Context(), pipeline.Options{
		Service: "responder", Common: config.Common{ShutdownTimeout: 10 * time.Second}, NATS: config.NATS{Replicas: 1}, Host: site.Host,
	})
	require.NoError(t, err)
	require.NoError(t, p.HandleEvents("test", pipeline.Consume{}, func(_ context.Context, e envelope.Envelope[dm.Event]) ([]pipeline.Outgoing, error) {
		if !mended.Load() {
			return nil, bus.Permanent(errors.New("<script>alert('rules')</script> at " + e.ID))
		}
		handled <- e.ID
		return nil, nil
	}))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
		require.NoError(t, p.Close())
	})
	for n := range 2 {
		e := dm.Event{
			ID: fmt.Sprintf("ev_%d", n), Conversation: dm.Conversation{Channel: dm.ChannelInstagram, Account: "171", Customer: "7"}, Kind: dm.KindMessage,
			KnownAccount: true, Text: "hi", Time: time.Now(), ReceivedAt: time.Now(), Source: dm.SourceWebhook,
		}
		require.NoError(t, site.Pipeline.Publish(t.Context(), site.Pipeline.Event(e, e.ID)))
	}
	agent := site.As(store.Agent)
	var body string
	require.Eventually(t, func() bool {
		_, body = agent.Get("/failures")
		return strings.Contains(body, "<strong>2 messages</strong>")
	}, 30*time.Second, 20*time.Millisecond, "reasons that differ in the message's id are one cause")
	require.Contains(t, body, "&lt;script&gt;alert(")
	require.NotContains(t, body, "<script>alert(")
	_, none := site.As(store.Agent, "172").Get("/failures")
	require.Contains(t, none, "Nothing has failed")

	_, group := agent.Get("/failures/group?key=" + keyFor(t, body, "responder gave up"))
	ids := regexp.MustCompile(`value="(dead-\d+)"`).FindAllStringSubmatch(group, -1)
	require.Len(t, ids, 2)
	form := url.Values{"id": {ids[0][1], ids[1][1]}}
	status, _ := site.As(store.Viewer).Post("/failures/replay", form)
	require.Equal(t, http.StatusForbidden, status)
	_, _ = site.As(store.Agent, "172").Post("/failures/replay", form)
	_, again := agent.Get("/failures/group?key=" + keyFor(t, body, "responder gave up"))
	require.Contains(t, again, ids[0][1], "another account's stay")
	mended.Store(true)
	status, _ = agent.Post("/failures/replay", form)
	require.Equal(t, http.StatusSeeOther, status)
	for range 2 {
		select {
		case <-handled:
		case <-time.After(30 * time.Second):
			require.Fail(t, "the stage did not get it again")
		}
	}
	require.Eventually(t, func() bool {
		_, system := agent.Get("/system")
		return strings.Contains(system, "<strong>responder-test</strong>") && strings.Contains(system, `<ul class="owners">`) && !strings.Contains(system, "no owner:")
	}, 30*time.Second, 20*time.Millisecond, "the page of the system says who owns the stage's partitions")
	left := 0
	require.NoError(t, deadletter.List(t.Context(), site.Host.Conn, deadletter.Filter{}, func(deadletter.Letter) (bool, error) { left++; return true, nil }))
	require.Zero(t, left)
	require.Equal(t, 1, audited(t, site, "failure.replayed", strings.Replace(ids[0][1], "dead-", "failure:", 1)))
}

func TestFailuresInABrowser(t *testing.T) {
	t.Parallel()
	site := webtest.Start(t, nil)
	c := newChat(t, site, "171", "1", "Ada")
	now := time.Now().UTC()
	c.hears("Where is my parcel?", now.Add(-time.Hour), nil)
	for n := range 3 {
		c.failing(fmt.Sprintf("Your parcel is on its way, number %d.", n), dm.OutcomeFailed, now.Add(time.Duration(-n)*time.Minute), refusedWith(100, 2534015, "(#100) Invalid message data: https://example.com/"+strings.Repeat("long", 40)))
	}
	c.failing("A card", dm.OutcomeUnknown, now, map[string]any{"reason": "no answer within 10 s"})
	for _, s := range []struct {
		name  string
		width int64
		dark  bool
	}{{"light", webtest.Desktop, false}, {"phone", webtest.Phone, true}} {
		b := site.As(store.Agent).Open(s.width, s.dark)
		b.Go("/failures")
		require.False(t, b.Overflows(), s.name)
		b.Screenshot("failures-" + s.name)
		b.Click(".cause h2 a")
		b.Wait("#pick + .table-wrap")
		require.False(t, b.Overflows(), s.name)
		b.Screenshot("failures-group-" + s.name)
		b.Click(`.cause a[href^="/failures/preview"]`)
		b.Wait("#confirm")
		require.False(t, b.Overflows(), s.name)
		b.Screenshot("failures-preview-" + s.name)
		if s.width == webtest.Phone {
			b.Click("#confirm")
			require.Contains(t, b.Text(".toast"), "on its way again")
		}
	}
	require.Len(t, published[dm.ReplyIntent](t, site, topology.Intents), 3)
}
