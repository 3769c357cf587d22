package standalone_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/bus/bustest"
	"github.com/parley-dm/parley/pkg/topology"
	"github.com/parley-dm/parley/services/simulator"
)

const simulatedApp = "100000000000001"

type finding struct{ Check, Level, Found, Do string }

type findings []finding

// examined runs parley doctor with more settings than the world's.
func (w *world) examined(more ...string) (int, findings) {
	w.t.Helper()
	environ := slices.Clone(w.environ)
	for _, kv := range more {
		name, _, _ := strings.Cut(kv, "=")
		environ = append(slices.DeleteFunc(environ, func(had string) bool { return strings.HasPrefix(had, name+"=") }), kv)
	}
	code, out, stderr := execute(w.t, environ, "doctor", "--json")
	var report struct {
		Level    string
		Findings findings
	}
	require.NoError(w.t, json.Unmarshal([]byte(out), &report), stderr)
	require.Equal(w.t, code != 0, report.Level == "problem", out)
	for _, f := range report.Findings {
		require.Equal(w.t, f.Level != "ok", f.Do != "", "what is wrong comes with what to do: %+v", f)
		for _, secret := range []string{"demo-token", "demo-secret"} {
			require.NotContains(w.t, f.Found+f.Do, secret)
		}
	}
	return code, report.Findings
}

// of are the findings of one check.
func (all findings) of(check string) findings {
	return slices.DeleteFunc(slices.Clone(all), func(f finding) bool { return f.Check != check })
}

// worse are those that are not ok.
func (all findings) worse() findings {
	return slices.DeleteFunc(slices.Clone(all), func(f finding) bool { return f.Level == "ok" })
}

// requireFound looks for a finding with this level and text.
func (all findings) requireFound(t *testing.T, check, level, text string) {
	t.Helper()
	require.True(t, slices.ContainsFunc(all.of(check), func(f finding) bool { return f.Level == level && strings.Contains(f.Found, text) }),
		"%s of %s: %q is not among %+v", level, check, text, all)
}

// subscribe has Meta send webhooks, as the operator does once.
func (w *world) subscribe(fields string) {
	w.t.Helper()
	graph := ""
	for _, kv := range w.environ {
		if v, ok := strings.CutPrefix(kv, "GRAPH_API_URL="); ok {
			graph = v
		}
	}
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, graph+"/v26.0/me/subscribed_apps?subscribed_fields="+fields, http.NoBody)
	require.NoError(w.t, err)
	req.Header.Set("Authorization", "Bearer demo-token")
	status, body := w.do(req)
	require.Equal(w.t, http.StatusOK, status, body)
}

const allFields = "messages,messaging_postbacks,message_reactions,messaging_seen"

func TestDoctorFindsNothingWrongWithWhatWorks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "ADMIN_ADDR=127.0.0.1:"+freePort(t), "NATS_LISTEN=127.0.0.1:"+freePort(t), "FACEBOOK_APP_ID="+simulatedApp)
	w.subscribe(allFields)
	w.serve()
	require.Equal(t, http.StatusOK, w.post("7001", "m_1", "hello"))
	w.eventually(func() bool { return len(w.replies("7001")) == 1 }, "it answers")
	code, all := w.examined()
	require.Zero(t, code)
	require.Empty(t, slices.DeleteFunc(all.worse(), func(f finding) bool { return strings.HasSuffix(f.Check, "_DIR") }), "but for the machine's disk")
	for _, check := range []string{
		"configuration", "process", "paused accounts", "postgresql", "postgresql clock", "schema", "nats", "nats clock", "stream DM_EVENTS", "stream DM_DEAD",
		"responder of DM_EVENTS", "archiver of DM_EVENTS", "sender of DM_INTENTS", "archiver of DM_DELIVERIES", "bucket parley_ledger", "graph api", "graph api clock",
		"account " + page, "account " + page + " token", "account " + page + " webhooks",
	} {
		require.Len(t, all.of(check), 1, check)
	}
	code, out, _ := execute(t, w.environ, "doctor")
	require.Zero(t, code)
	require.Equal(t, 1, lines(out, "ok       configuration"), out)
	require.Equal(t, len(all), lines(out, "ok ")+lines(out, "warning "), out)
}

func TestDoctorExaminesTheRestWhenSettingsAreWrong(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "LOG_LEVEL=LOUD", "MAX_BODY_BYTES=1")
	code, all := w.examined()
	require.Equal(t, 1, code)
	all.requireFound(t, "configuration", "problem", "LOG_LEVEL")
	all.requireFound(t, "configuration", "problem", "MAX_BODY_BYTES")
	all.requireFound(t, "postgresql", "ok", "")
	all.requireFound(t, "nats", "warning", "embedded")
	all.requireFound(t, "process", "warning", "none answers")
}

func TestDoctorFindsWhatCannotBeReached(t *testing.T) {
	t.Parallel()
	closed := "127.0.0.1:" + freePort(t)
	w := newWorld(t, "NATS_URL=nats://user:demo-secret@"+closed, "GRAPH_API_URL=http://"+closed, "DATABASE_URL=postgres://user:demo-secret@"+closed+"/x")
	code, all := w.examined()
	require.Equal(t, 1, code)
	all.requireFound(t, "nats", "problem", "nats://"+closed)
	all.requireFound(t, "graph api", "problem", "cannot be reached")
	all.requireFound(t, "postgresql", "problem", "connect")
	require.Empty(t, all.of("account "+page), "nothing is said of what could not be asked")
}

func TestDoctorLooksAtTheDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.pool.Exec(t.Context(), `DELETE FROM goose_db_version WHERE version_id = (SELECT max(version_id) FROM goose_db_version)`)
	require.NoError(t, err)
	code, all := w.examined()
	require.Equal(t, 1, code)
	all.requireFound(t, "schema", "problem", "needs")
	require.Contains(t, all.of("schema")[0].Do, "parley migrate")

	_, err = w.pool.Exec(t.Context(), `DROP TABLE goose_db_version`)
	require.NoError(t, err)
	_, all = w.examined()
	all.requireFound(t, "schema", "problem", "empty")

	_, all = w.examined("PGOPTIONS=ignored", "DATABASE_URL="+w.pool.Config().ConnString()+"&default_transaction_read_only=on")
	all.requireFound(t, "postgresql", "problem", "read-only")
}

func TestDoctorLooksAtTheStreams(t *testing.T) {
	t.Parallel()
	server := bustest.Start(t)
	w := newWorld(t, "NATS_URL="+server.URL())
	_, all := w.examined()
	all.requireFound(t, "stream DM_EVENTS", "problem", "not there")
	all.requireFound(t, "bucket parley_ledger", "problem", "not there")

	js := server.Connect().JetStream()
	_, err := topology.Ensure(t.Context(), js, topology.Options{})
	require.NoError(t, err)
	code, all := w.examined()
	require.Equal(t, 1, code)
	for _, check := range []string{"responder of DM_EVENTS", "sender of DM_INTENTS", "archiver of DM_DELIVERIES"} {
		all.requireFound(t, check, "problem", "never read")
	}
	all.requireFound(t, "stream DM_EVENTS", "ok", "0 messages")

	stream, err := js.Stream(t.Context(), topology.Events.Name)
	require.NoError(t, err)
	small := stream.CachedInfo().Config
	small.MaxBytes, small.Duplicates = 10_000, time.Minute
	_, err = js.UpdateStream(t.Context(), small)
	require.NoError(t, err)
	_, err = js.CreateConsumer(t.Context(), topology.Events.Name, jetstream.ConsumerConfig{Durable: "responder-decide_p0_g1", AckPolicy: jetstream.AckExplicitPolicy})
	require.NoError(t, err)
	_, err = js.Publish(t.Context(), "dm.event.0.1.message", make([]byte, 9_300))
	require.NoError(t, err)
	_, err = js.Publish(t.Context(), "dm.dead.sender.1", []byte("given up"))
	require.NoError(t, err)
	_, all = w.examined()
	all.requireFound(t, "stream DM_EVENTS", "warning", "max_bytes is 10000")
	all.requireFound(t, "stream DM_EVENTS", "warning", "duplicate_window is 1m0s")
	all.requireFound(t, "stream DM_EVENTS", "problem", "1 messages")
	all.requireFound(t, "responder of DM_EVENTS", "problem", "nobody reads; 1 messages wait")
	all.requireFound(t, "dead letters", "warning", "1 messages")
}

func TestDoctorAsksMetaAboutEachAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "FACEBOOK_APP_ID="+simulatedApp)
	check := "account " + page
	code, all := w.examined()
	require.Equal(t, 1, code)
	all.requireFound(t, check, "ok", "token works")
	all.requireFound(t, check+" token", "ok", "does not expire")
	all.requireFound(t, check+" webhooks", "problem", "not subscribed")
	require.Contains(t, all.of(check + " webhooks")[0].Do, "subscribed_apps")
	w.subscribe("messages")
	_, all = w.examined()
	all.requireFound(t, check+" webhooks", "warning", "messaging_postbacks")
	_, all = w.examined("FACEBOOK_APP_ID=5")
	all.requireFound(t, check+" webhooks", "problem", "not subscribed")
	_, all = w.examined("FACEBOOK_APP_ID=")
	all.requireFound(t, check+" token", "warning", "cannot be asked")
	_, all = w.examined("INSTAGRAM_LOGIN=instagram")
	all.requireFound(t, check, "ok", "token works")

	_, all = w.examined("INSTAGRAM_PAGE_ACCESS_TOKEN=another")
	all.requireFound(t, check, "problem", "190")
	_, all = w.examined("INSTAGRAM_LOGIN=instagram", "INSTAGRAM_PAGE_ID=17841400000000009")
	all.requireFound(t, "account 17841400000000009", "problem", "belongs to "+page)
	_, err := w.meta.AddFault(simulator.Fault{Kind: "dead_token"})
	require.NoError(t, err)
	_, all = w.examined()
	all.requireFound(t, check, "problem", "190/463")
}

func TestDoctorComparesClocks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for off, level := range map[time.Duration]string{-time.Hour: "problem", 15 * time.Second: "warning"} {
		late := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Date", time.Now().Add(off).UTC().Format(http.TimeFormat))
			w.meta.Handler().ServeHTTP(rw, r)
		}))
		t.Cleanup(late.Close)
		_, all := w.examined("GRAPH_API_URL=" + late.URL)
		all.requireFound(t, "graph api clock", level, "apart")
	}
}

func TestDoctorLooksAtTheFolders(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	w := newWorld(t)
	_, all := w.examined("DATA_DIR="+filepath.Join(file, "data"), "SPOOL_DIR="+filepath.Join(t.TempDir(), "not", "yet"))
	all.requireFound(t, "DATA_DIR", "problem", file)
	require.Contains(t, all.of("SPOOL_DIR")[0].Found, "can be made")
	left, err := filepath.Glob(filepath.Join(filepath.Dir(file), "*"))
	require.NoError(t, err)
	require.Equal(t, []string{file}, left, "it leaves nothing behind")
}

func TestDoctorAsksTheProcessThatRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "ADMIN_ADDR=127.0.0.1:"+freePort(t))
	w.serve()
	w.closeDatabase()
	w.eventually(func() bool { _, all := w.examined(); return len(all.of("process").worse()) > 0 }, "it tells what is away")
	_, all := w.examined()
	all.requireFound(t, "process", "problem", "archiver.postgres")

	other := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, "hello") }))
	t.Cleanup(other.Close)
	_, all = w.examined("ADMIN_ADDR=" + strings.TrimPrefix(other.URL, "http://"))
	all.requireFound(t, "process", "problem", "not Parley")
}

func TestDoctorSeesPausedAccounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "ADMIN_ADDR=127.0.0.1:"+freePort(t), "NATS_LISTEN=127.0.0.1:"+freePort(t))
	w.serve()
	_, err := w.meta.AddFault(simulator.Fault{Kind: "error", Code: 613, Subcode: 2534040, Status: http.StatusTooManyRequests})
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, w.post("7001", "m_1", "hello"))
	w.eventually(func() bool { _, all := w.examined(); return len(all.of("paused accounts").worse()) == 1 }, "its replies wait")
	_, all := w.examined()
	all.requireFound(t, "paused accounts", "warning", page+" has been paused since")
	_, all = w.examined("NATS_LISTEN=")
	all.requireFound(t, "paused accounts", "warning", "1 are paused")

	w.meta.RemoveFaults()
	_, err = w.meta.AddFault(simulator.Fault{Kind: "dead_token"})
	require.NoError(t, err)
	w.eventually(func() bool {
		_, all := w.examined()
		return slices.ContainsFunc(all.of("account "+page), func(f finding) bool { return f.Level == "problem" })
	}, "a dead token is a problem")
}

func TestDoctorLooksAtMedia(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, all := w.examined()
	all.requireFound(t, "media", "ok", "not kept")
	folder := "MEDIA_DIR=" + t.TempDir()
	_, all = w.examined(folder)
	all.requireFound(t, "media", "ok", "none wait")
	all.requireFound(t, "MEDIA_DIR", "ok", "can be written to")
	note := func(sql string) {
		_, err := w.pool.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	note(`INSERT INTO media (account, mid, position, status, reason) VALUES ('1', 'm', 0, 'failed', 'answered 403')`)
	_, all = w.examined(folder)
	all.requireFound(t, "media", "warning", "1 attachments could not be kept")
	note(`INSERT INTO media (account, mid, position, status, key, created_at) VALUES ('1', 'm', 1, 'pending', 'k', now() - interval '2 hours')`)
	_, all = w.examined(folder)
	all.requireFound(t, "media", "warning", "wait for more than an hour")
	_, all = w.examined()
	all.requireFound(t, "media", "warning", "attachments are not kept, and 1 wait")
	note(`INSERT INTO media_removals (store, key, due) VALUES ('dir:x', 'k', now() - interval '2 hours')`)
	_, all = w.examined(folder)
	all.requireFound(t, "media", "problem", "1 files of erased messages")
}
