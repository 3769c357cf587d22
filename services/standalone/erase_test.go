package standalone_test

import (
	"bytes"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/pipeline/replay"
	"github.com/parley-dm/parley/pkg/topology"
)

// onBus counts the messages of all streams, and the values of all buckets, that contain a text.
func onBus(t *testing.T, conn *bus.Conn, text string) int {
	t.Helper()
	names := []string{"KV_" + topology.Conversations.Name, "KV_" + topology.Ledger.Name}
	for _, s := range topology.Streams() {
		names = append(names, s.Name)
	}
	n := 0
	for _, name := range names {
		require.NoError(t, replay.Each(t.Context(), conn.JetStream(), replay.Scan{Stream: name}, func(m jetstream.Msg, _ *jetstream.MsgMetadata) (bool, error) {
			if bytes.Contains(m.Data(), []byte(text)) {
				n++
			}
			return true, nil
		}))
	}
	return n
}

// inFiles counts the files below a folder that contain a text.
func inFiles(t *testing.T, dir, text string) (found []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte(text)) {
			found = append(found, path)
		}
		return err
	}))
	return found
}

func TestACustomerIsErased(t *testing.T) {
	t.Parallel()
	listen := "127.0.0.1:" + freePort(t)
	w := newWorld(t, "NATS_LISTEN="+listen)
	environ := append([]string{"NATS_URL=nats://" + listen}, w.environ...)
	w.rule("price? aubergine", "18 each, said zucchini.")
	w.rule("hours?", "9 to 5.")
	stop := w.serve()
	conn, err := bus.Connect(t.Context(), bus.ConnConfig{URL: "nats://" + listen})
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	require.Equal(t, http.StatusOK, w.post("7001", "m_1", "price? aubergine"))
	require.Equal(t, http.StatusOK, w.post("7002", "m_2", "hours?"))
	w.eventually(func() bool { return len(w.replies("7001")) == 1 && len(w.replies("7002")) == 1 }, "both are answered")
	require.Equal(t, http.StatusOK, w.send("demo-secret", hook(page, echo("7001", "by_hand", "Anna here, an aubergine?"))))
	w.eventually(func() bool { return w.held(dm.HoldTakeover) == 1 }, "a person takes over")
	w.eventually(func() bool {
		return w.count(`SELECT count(*) FROM messages WHERE status = 'received' OR status = 'sent'`) == 5
	}, "all is archived")
	require.Positive(t, onBus(t, conn, "aubergine"))

	erase := func(args ...string) string {
		t.Helper()
		code, out, stderr := execute(t, environ, append([]string{"erase", "--account", page}, args...)...)
		require.Equal(t, 0, code, stderr)
		return out
	}
	counted := erase("--customer", "7001")
	require.Contains(t, counted, "add --yes to do it")
	require.Equal(t, 5, w.count(`SELECT count(*) FROM messages`), "it only counted")
	require.Positive(t, onBus(t, conn, "aubergine"))
	done := erase("--customer", "7001", "--yes", "--by", "anna")
	require.Equal(t, strings.Split(counted, "This ")[0], strings.Split(done, "This ")[0], "what was counted was erased")
	for _, line := range []string{`table +messages +3`, `table +conversations +1`, `table +events +1`, `stream +DM_EVENTS +\d`, `stream +DM_INTENTS +1`, `stream +DM_DELIVERIES +1`, `bucket +parley_conversations +1`} {
		require.Regexp(t, `(?m)^`+line, done)
	}
	require.Contains(t, erase("--customer", "7001"), "Nothing is known of it")
	require.Zero(t, onBus(t, conn, "aubergine")+onBus(t, conn, "zucchini")+onBus(t, conn, `"7001"`))
	require.Equal(t, 1, w.count(`SELECT count(*) FROM erasures WHERE by = 'anna' AND scope = 'customer' AND account = $1 AND counts->>'table messages' = '3'
		AND subject = sha256(convert_to($1 || ':7001', 'UTF8'))`, page))

	for _, stage := range []string{"archiver", "responder"} {
		code, out, stderr := execute(t, environ, "replay", "--to-stage", stage, "--yes")
		require.Equal(t, 0, code, stderr)
		require.NotContains(t, out, " 0 message(s)")
	}
	require.Equal(t, http.StatusOK, w.post("7001", "m_1", "price? aubergine"), "Meta delivers it once more")
	require.Equal(t, http.StatusOK, w.post("7001", "m_3", "hours?"))
	w.eventually(func() bool { return len(w.replies("7001")) == 2 }, "who writes again is answered, the hold is gone as well")
	require.Equal(t, []string{"18 each, said zucchini.", "9 to 5."}, w.replies("7001"), "and nothing is said twice")
	w.eventually(func() bool { return w.count(`SELECT count(*) FROM messages`) == 4 }, "of the new message")
	require.Equal(t, 2, w.count(`SELECT count(*) FROM messages m JOIN conversations c ON c.id = m.conversation_id WHERE c.instagram_user_id = '7002'`), "others' stay")
	require.Zero(t, w.count(`SELECT count(*) FROM messages WHERE message_text LIKE '%aubergine%' OR metadata::text LIKE '%aubergine%'`))

	stop()
	var dir string
	for _, kv := range w.environ {
		if v, ok := strings.CutPrefix(kv, "DATA_DIR="); ok {
			dir = v
		}
	}
	require.NotEmpty(t, inFiles(t, dir, "9 to 5."), "JetStream's files are there")
	require.Empty(t, inFiles(t, dir, "zucchini"), "what was erased was overwritten")
}

// What was erased is still at Meta: a sender that starts looks back a day, and neither keeps it again nor takes what the bot had
// said for a person's words.
func TestWhatWasErasedIsNotFoundAgain(t *testing.T) {
	t.Parallel()
	listen := "127.0.0.1:" + freePort(t)
	w := newWorld(t, "NATS_LISTEN="+listen, "BACKFILL_EVERY=1s", "BACKFILL_AFTER=1s")
	environ := append([]string{"NATS_URL=nats://" + listen}, w.environ...)
	w.rule("price?", "18 each.")
	stop := w.serve()
	var mids []string
	for _, customer := range []string{"7001", "7002", "7003"} { // the first one's messages tell since when all is known
		mids = append(mids, w.asks(customer, "price?", "18 each."))
		w.eventually(func() bool { return len(w.replies(customer)) == 1 }, "each is answered")
	}
	w.eventually(func() bool {
		return w.count(`SELECT count(*) FROM messages WHERE status = 'received' OR status = 'sent'`) == 6
	}, "all is archived")
	var answer string
	require.NoError(t, w.pool.QueryRow(t.Context(), `SELECT m.mid FROM messages m JOIN conversations c ON c.id = m.conversation_id
		WHERE c.instagram_user_id = '7003' AND m.status = 'sent'`).Scan(&answer))
	for _, what := range [][]string{{"--customer", "7002"}, {"--mid", mids[2]}, {"--mid", answer}} {
		code, out, stderr := execute(t, environ, append([]string{"erase", "--yes", "--account", page}, what...)...)
		require.Equal(t, 0, code, stderr)
		require.Contains(t, out, "This was erased")
	}
	kept := w.count(`SELECT count(*) FROM messages`)
	require.Equal(t, 2, kept)

	stop()
	w.serve()
	missed := w.withhold("price?", "18 each.") // it is the youngest: the look that finds it saw the others as well
	w.eventually(func() bool { return w.count(`SELECT count(*) FROM messages WHERE mid = $1`, missed) == 1 }, "what was missed is found")
	w.eventually(func() bool { return w.count(`SELECT count(*) FROM messages WHERE status = 'sent'`) == 2 }, "and answered")
	require.Equal(t, kept+2, w.count(`SELECT count(*) FROM messages`))
	require.Zero(t, w.held(dm.HoldTakeover))
	w.asks("7003", "price?", "18 each.")
	w.eventually(func() bool { return len(w.replies("7003")) == 2 }, "the bot goes on")
	w.asks("7002", "price?", "18 each.")
	w.eventually(func() bool { return len(w.replies("7002")) == 2 }, "and answers who comes back")
}

func TestEraseSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	environ := []string{"DATABASE_URL=postgres://u:p@127.0.0.1:1/x", "NATS_URL=nats://127.0.0.1:1"}
	for want, args := range map[string][]string{
		"expected one of a customer, a message and an age, got 0": {"--account", "1"},
		"got 2 of them":                  {"--account", "1", "--customer", "2", "--mid", "m"},
		"account: expected":              {"--customer", "2"},
		"expected ids as Meta":           {"--account", "1:2", "--customer", "3"},
		"expected an age such as 7d":     {"--older-than", "soon"},
		"expected an age such as 7d or ": {"--older-than=-7d"},
	} {
		code, _, stderr := execute(t, environ, append([]string{"erase"}, args...)...)
		require.Equal(t, 2, code)
		require.Contains(t, stderr, want)
	}
	code, _, stderr := execute(t, nil, "erase", "--account", "1", "--customer", "2")
	require.Equal(t, 2, code)
	require.Contains(t, stderr, "DATABASE_URL")
}
