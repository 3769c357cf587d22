package responder_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/postgres/pgtest"
	"github.com/parley-dm/parley/pkg/rules"
)

// Whatever is wrong with an engine that is asked before the rules, they answer, and in time: many conversations at once wait for it
// side by side, and once it is known to be ill nobody waits.
func TestTheRulesAnswerInTimeWhateverTheEngineDoes(t *testing.T) {
	t.Parallel()
	answers := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }
	}
	hangs := func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // or it is not seen that nobody waits any more
		<-r.Context().Done()
	}
	for name, engine := range map[string]http.HandlerFunc{ // nil: it is not there
		"hangs": hangs,
		"hangs in the middle": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			_, _ = io.WriteString(w, `{"version":1,"action":"re`)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
		"is gone":              nil,
		"dies":                 func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"answers no JSON":      answers("<html>"),
		"answers nothing":      answers(`{"version":1,"action":"reply"}`),
		"answers rubbish":      answers(`{"version":1,"action":"reply","parts":[{"kind":"text"}]}`),
		"answers far too much": answers(`{"version":1,"action":"reply","reply":"` + strings.Repeat("x", 1<<20) + `"}`),
		"answers 500":          func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"sends elsewhere":      func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/other", http.StatusFound) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.Database(t)
			insert(t, pgtest.Open(t, db), "prices", "price", "It is 5 €.")
			b := setup(t, db)
			b.cfg.EngineURL, b.cfg.EngineTimeout, b.cfg.EngineMode = config.Secret(engineURL(t, engine)), time.Second, "engine_first"
			b.run()
			const customers = 100 // more than are handled at once
			var all []dm.Event
			for n := range customers {
				all = append(all, event(n, 1, "the price?"))
			}
			b.publish(event(999, 1, "the price?"))
			b.next(1) // it runs
			began := time.Now()
			b.publish(all...)
			got := b.next(customers)
			took := time.Since(began)
			for _, e := range got {
				require.Equal(t, "It is 5 €.", e.Data.Parts[0].Text)
				require.Equal(t, "http", e.Data.Trace.Engines[0].Name)
				require.Contains(t, []string{"failed", "timeout"}, e.Data.Trace.Engines[0].Outcome, "it is told what came of asking it")
			}
			require.Less(t, took, 10*time.Second, "one after another they would take %ds", customers)
			t.Logf("%d answers within %s", customers, took.Round(time.Millisecond))
		})
	}
}

// engineURL is where an engine is that does as f; nobody listens there if that is nil.
func engineURL(t *testing.T, f http.HandlerFunc) string {
	t.Helper()
	if f != nil {
		server := httptest.NewServer(f)
		t.Cleanup(server.Close)
		return server.URL
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, listener.Close()) }()
	return "http://" + listener.Addr().String()
}

// An engine that is slow, but answers within its time, is waited for; conversations that it is not asked about are not.
func TestASlowEngineHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	insert(t, pgtest.Open(t, db), "prices", "price", "It is 5 €.")
	release := make(chan struct{})
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		asked.Add(1)
		select {
		case <-release:
			_, _ = io.WriteString(w, `{"version":1,"action":"reply","reply":"The engine says so."}`)
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(server.Close)
	b := setup(t, db)
	b.cfg.EngineURL, b.cfg.EngineTimeout, b.cfg.EngineMode, b.cfg.MaxInFlight = config.Secret(server.URL), 30*time.Second, "rules_first", 4
	b.run()
	for n := range 8 { // more than are handled at once
		b.publish(event(100+n, 1, "something else"))
	}
	require.Eventually(t, func() bool { return asked.Load() >= 4 }, patience, time.Millisecond)
	b.publish(event(1, 1, "the price?"), event(2, 1, "the price?"))
	require.Equal(t, []string{"It is 5 €.", "It is 5 €."}, texts(b.next(2)), "the rules do not wait for others' turns")
	close(release)
	for _, text := range texts(b.next(8)) {
		require.Equal(t, "The engine says so.", text)
	}
}

// An engine is told what was said before: what the archive has, and of that the last twenty.
func TestAnEngineIsToldWhatIsArchived(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	pool := pgtest.Open(t, db)
	for n := range 30 {
		direction, status := "inbound", "received"
		if n%2 == 1 {
			direction, status = "outbound", "sent"
		}
		_, err := pool.Exec(t.Context(), `
			WITH c AS (INSERT INTO conversations (page_id, instagram_user_id) VALUES ($1, '7001') ON CONFLICT (channel, page_id, instagram_user_id) DO UPDATE SET updated_at = now() RETURNING id)
			INSERT INTO messages (conversation_id, account, mid, sender_id, recipient_id, message_text, direction, timestamp, status)
			SELECT id, $1, $2, '7001', $1, $2, $3, now() - interval '1 day' + $4 * interval '1 minute', $5 FROM c`, shop, fmt.Sprint("old", n), direction, n, status)
		require.NoError(t, err)
	}
	var last atomic.Value
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		last.Store(string(body))
		_, _ = io.WriteString(w, `{"version":1,"action":"reply","reply":"The engine says so."}`)
	}))
	t.Cleanup(server.Close)
	b := setup(t, db)
	b.cfg.EngineURL, b.cfg.EngineTimeout, b.cfg.EngineMode = config.Secret(server.URL), 10*time.Second, "rules_first"
	b.run()
	b.publish(event(2, 1, "hello"))
	b.next(1)
	body, _ := last.Load().(string)
	require.Contains(t, body, `"history":[]`, "nothing of another's")
	b.publish(event(1, 1, "hello"))
	b.next(1)
	b.publish(event(1, 2, "and again"))
	b.next(1)
	var request struct {
		Event        struct{ Text string }
		Conversation struct{ New, Returning bool }
		History      []struct {
			From, Text, MID string
			At              time.Time
		}
	}
	body, _ = last.Load().(string)
	require.NoError(t, json.Unmarshal([]byte(body), &request))
	require.Equal(t, "and again", request.Event.Text)
	require.False(t, request.Conversation.New)
	require.True(t, request.Conversation.Returning)
	require.Len(t, request.History, 20)
	require.Equal(t, "hello", request.History[19].Text, "what is on its way to the archive comes last")
	for n, s := range request.History[:19] {
		require.Equal(t, fmt.Sprint("old", 11+n), s.Text, "the last ones, in their order")
		require.Equal(t, []string{"customer", "business"}[(11+n)%2], s.From)
	}
}

func TestLiveCommentsAndTheBusinessesTime(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	save(t, pgtest.Open(t, db),
		rules.Rule{Name: "live", Keywords: []string{"price"}, When: rules.When{On: []rules.Occasion{rules.OnLiveComment}}, Response: "It is 5 €.", Then: rules.Then{PrivateReply: true}},
		rules.Rule{Name: "time", Keywords: []string{"time"}, Response: "{{time.clock}}"},
	)
	b := setup(t, db)
	b.cfg.TimeZone = "Asia/Kathmandu" // +05:45, all the year
	b.run()
	live := event(1, 1, "the price?")
	live.Kind, live.MID, live.MessageType, live.CommentID = dm.KindLiveComment, "", "", "c_1"
	live.ID = dm.EventID(live.Channel, live.Account, live.Kind, live.CommentID)
	post := live
	post.Kind, post.CommentID = dm.KindComment, "c_2"
	post.ID = dm.EventID(post.Channel, post.Account, post.Kind, post.CommentID)
	b.publish(post, live)
	got := b.next(1)[0].Data
	require.Equal(t, []dm.Part{{Kind: dm.PartText, Text: "It is 5 €.", CommentID: "c_1"}}, got.Parts, "the rule is for live videos only")
	require.True(t, got.Expires.After(live.Time.Add(6*24*time.Hour)), "within seven days")
	e := event(1, 2, "the time?")
	b.publish(e)
	require.Equal(t, []string{e.Time.Add(5*time.Hour + 45*time.Minute).Format("15:04")}, texts(b.next(1)))
}
