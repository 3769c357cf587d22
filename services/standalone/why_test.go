package standalone_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/postgres/pgtest"
	"github.com/parley-dm/parley/pkg/repository"
	"github.com/parley-dm/parley/pkg/repository/repositorytest"
)

var updateGolden = flag.Bool("update-golden", false, "write what commands print, to be read by eye")

// golden compares what a command printed with testdata/<name>.txt.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", filepath.FromSlash(name)+".txt")
	if *updateGolden {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err, "go test -update-golden writes it")
	require.Equal(t, string(want), got)
}

// whyArchive has a customer's message with two replies, one that was not answered, one of a person, and an echo.
func whyArchive(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	c := dm.Conversation{Channel: dm.ChannelInstagram, Account: page, Customer: "7001"}
	asked := repositorytest.Message(c, 1)
	asked.Metadata.Edits, asked.Metadata.FirstText = []repository.Edit{{Number: 1, Text: "text 1", At: asked.At}}, "txet"
	trace := &dm.Trace{
		Engines:   []dm.TraceEngine{{Name: "takeover", Outcome: "passed"}, {Name: "rules", Outcome: "decided", Micros: 12}},
		Occasions: []string{"text", "first_message"}, Rules: 12, RulesVersion: "k3v9", Language: "en", At: asked.At.Add(40 * time.Millisecond), Micros: 85,
		Tried: []dm.TraceRule{
			{ID: "r1", Name: "sale", Version: 3, Skipped: "hours", Detail: "from 09:00 Europe/Berlin", Keyword: "price", Words: "Price"},
			{ID: "r2", Version: 2, Won: true, Words: "Price", To: 5}, // what the intent says itself is left out
		},
	}
	first, second := repositorytest.Reply(c, 3, 0, "ev_1"), repositorytest.Reply(c, 4, 1, "ev_1")
	first.Metadata.Intent.RuleID, second.Metadata.Intent.RuleID = "r2", "r2"
	first.Metadata.Intent.Trace, second.Metadata.Intent.Trace = trace, nil // the first message of an intent has it for all of them
	first.Metadata.Delivery.Attempts = []dm.Attempt{
		{At: first.At, DurationMS: 5012}, {At: first.At.Add(6 * time.Second), DurationMS: 31, Status: 500, Code: 2, Subcode: 7, Error: "Service temporarily unavailable"},
		{At: first.At.Add(7 * time.Second), DurationMS: 212, Status: 200},
	}
	second.MID, second.Status = "", "failed"
	second.Metadata.Delivery.Outcome, second.Metadata.Delivery.Reason, second.Metadata.Delivery.Stop = dm.OutcomeFailed, "outside of the allowed window", dm.StopTooMany
	silent, operator, echo := repositorytest.Message(c, 5), repositorytest.Reply(c, 6, 0, ""), repositorytest.Message(c, 7)
	silent.Text = "and the secret one?"
	operator.Metadata.Intent.Origin, operator.Metadata.Intent.Trace = dm.OriginOperator, nil
	echo.Direction, echo.Status, echo.Metadata.AppID, echo.Metadata.Kind = repository.Outbound, "sent", "4711", dm.KindEcho
	for _, m := range []repository.Message{asked, first, second, silent, operator, echo} {
		repositorytest.Insert(t, pool, m)
	}
	_, err := pool.Exec(t.Context(), `
		INSERT INTO events (id, channel, account, customer, kind, mid, time, received_at, data)
		VALUES ($3, 'instagram', $1, '7001', 'decision', 'm_5', now(), current_timestamp, $2)`, page,
		`{"kind": "decision", "decision": {"event_id": "ev_5", "kind": "message", "reason": "person", "trace":
			{"why": "a person has the conversation", "rules": 12, "engines": [{"name": "takeover", "outcome": "decided"}], "at": "2026-11-20T12:00:05.1Z"}}}`,
		dm.EventID(dm.ChannelInstagram, page, dm.KindDecision, "ev_5"))
	require.NoError(t, err)
}

func TestWhy(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	pool := pgtest.Open(t, db)
	environ := []string{"DATABASE_URL=" + db.URL.Reveal()}
	whyArchive(t, pool)
	for name, args := range map[string][]string{
		"answered": {"m_1"}, "answered_with_text": {"m_1", "--show-text"}, "reply": {"m_3", "--account", page}, "unanswered": {"m_5"}, "operator": {"m_6"}, "echo": {"m_7"},
		"failed_by_id": {"00000000-0000-4000-8000-000000000004"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, out, stderr := execute(t, environ, append([]string{"why"}, args...)...)
			require.Equal(t, 0, code, stderr)
			golden(t, "why/"+name, out)
		})
	}
	code, out, stderr := execute(t, environ, "why", "m_1", "--json")
	require.Equal(t, 0, code, stderr)
	require.NotContains(t, out, "text 1", "what was said is withheld")
	require.NotContains(t, out, "txet")
	var x struct {
		Message  repository.Message
		Decision struct{ Trace *dm.Trace }
		Replies  []repository.Message
	}
	require.NoError(t, json.Unmarshal([]byte(out), &x))
	require.Equal(t, "m_1", x.Message.MID)
	require.Equal(t, "prices", x.Decision.Trace.Tried[1].Name)
	require.Len(t, x.Replies, 2)
}

func TestWhyOfWhatIsNotThereOrNotOne(t *testing.T) {
	t.Parallel()
	db := pgtest.Database(t)
	pool := pgtest.Open(t, db)
	environ := []string{"DATABASE_URL=" + db.URL.Reveal()}
	for n, account := range []string{"1", "2"} {
		m := repositorytest.Message(dm.Conversation{Channel: dm.ChannelInstagram, Account: account, Customer: "7001"}, n)
		m.MID = "m_both"
		repositorytest.Insert(t, pool, m)
	}
	code, _, stderr := execute(t, environ, "why", "m_both")
	require.Equal(t, 2, code)
	require.Contains(t, stderr, "2 accounts have one: 1, 2; say which with --account")
	code, out, stderr := execute(t, environ, "why", "m_both", "--account", "2")
	require.Equal(t, 0, code, stderr)
	require.Contains(t, out, "to account 2")
	require.Contains(t, out, "the archive has none")
	for _, args := range [][]string{{"m_none"}, {"m_none", "--account", "1"}, {"00000000-0000-4000-8000-000000000001", "--account", "1"}} {
		code, _, stderr = execute(t, environ, append([]string{"why"}, args...)...)
		require.Equal(t, 1, code)
		require.Contains(t, stderr, "not found")
	}
	code, _, stderr = execute(t, []string{"DATABASE_URL=" + pgtest.EmptyDatabase(t).URL.Reveal()}, "why", "m")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "parley migrate")
	code, _, stderr = execute(t, nil, "why", "m")
	require.Equal(t, 2, code)
	require.Contains(t, stderr, "DATABASE_URL")
}

// What happened in a real parley is explained by its archive.
func TestWhyOfWhatWasReallyAnswered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.rule("price?", "18 each.")
	w.serve()
	require.Equal(t, http.StatusOK, w.post("7001", "m_real", "price?"))
	w.eventually(func() bool {
		return w.count(`SELECT count(*) FROM messages WHERE direction = 'outbound' AND status = 'sent'`) == 1
	}, "it is answered and archived")
	w.eventually(func() bool { return w.count(`SELECT count(*) FROM messages WHERE direction = 'inbound'`) == 1 }, "so is the question")
	code, out, stderr := execute(t, w.environ, "why", "m_real", "--show-text")
	require.Equal(t, 0, code, stderr)
	require.Regexp(t, `(?m)^  answered by rule "price\?"`, out)
	require.Contains(t, out, `text       "price?"`)
	require.Contains(t, out, `text       "18 each."`)
	require.Contains(t, out, "HTTP 200")
	require.Contains(t, out, `tried      "price?" version 1: won, keyword "price?" on "price?"`)

	require.Equal(t, http.StatusOK, w.send("demo-secret", hook(page, echo("7002", "by_hand", "Anna here."))))
	w.eventually(func() bool { return w.held(dm.HoldTakeover) == 1 }, "a person takes over")
	n := 0
	w.eventually(func() bool { // until the responder has heard of it
		n++
		require.Equal(t, http.StatusOK, w.post("7002", fmt.Sprint("m_silent_", n), "hours?"))
		return w.count(`SELECT count(*) FROM events WHERE kind = 'decision'`) > 0
	}, "the bot is silent, and that is kept")
	var mid string
	require.NoError(t, w.pool.QueryRow(t.Context(), `SELECT mid FROM events WHERE kind = 'decision' LIMIT 1`).Scan(&mid))
	w.eventually(func() bool { return w.count(`SELECT count(*) FROM messages WHERE mid = $1`, mid) == 1 }, "so is the message")
	code, out, stderr = execute(t, w.environ, "why", mid)
	require.Equal(t, 0, code, stderr)
	require.Contains(t, out, "not answered")
	require.Contains(t, out, "reason     person: a person had the conversation")
}
