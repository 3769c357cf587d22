package standalone_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/bus/bustest"
	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/pkg/postgres/pgtest"
	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/pkg/topology"
	"github.com/parley-dm/parley/services/archiver"
	"github.com/parley-dm/parley/services/ingress"
)

var updateRows = flag.Bool("update-rows", false, "write the rows that fixtures become to testdata/rows, to be read by eye")

const (
	fixtures = "../../pkg/meta/webhook/testdata"
	// Each fixture gets accounts of its own in place of this one, whose last digit is cut off: fixtures share their mid, and
	// what has the same account, kind and mid is the same event.
	fixturePrefix = "1784140000000000"
	fixtureMID    = "aWdfZAG1faXRlbToxOklHTWVzc2FnZAUlEOjE3ODQxNDAwMDAwMDAwMDAxOjM0MDI4MjM2Njg0MTcxMDMwMTI0NDI1OTQ"
	fixtureURL    = "https://lookaside.fbsbx.com/ig_messaging_cdn/?asset_id=1&signature=x"
)

// changed are fixtures one after the other, of one message.
var changed = []string{
	"text+edit", "text+edit_number_as_string+edit", "edit_number_as_string+edit+text", "text+react", "react+text", "text+unreact",
	"attachment_image_with_text+deleted", "deleted+text", "text+edit+deleted_without_sender", "deleted_without_sender+postback",
	"echo+echo_deleted", "echo+seen", "seen_watermark+echo", "echo+seen_own", "text+seen", "text+text_unescaped",
}

// archive is an ingress and an archiver that run, with a bus between them and a database behind.
type archive struct {
	webhook string
	stream  jetstream.Stream
	db      *pgx.Conn
	since   time.Time
}

// TestEveryShapeBecomesItsRows: each fixture of Meta's shapes goes in as a signed webhook and comes out as rows, which
// testdata/rows has. After a change: go test -run TestEveryShapeBecomesItsRows -update-rows, and read what has changed.
func TestEveryShapeBecomesItsRows(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(fixtures + "/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	names := append([]string(nil), changed...)
	for _, file := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(file), ".json"))
	}
	a := startArchive(t, len(names))
	expected, err := filepath.Glob("testdata/rows/*.txt")
	require.NoError(t, err)
	if !*updateRows {
		require.Len(t, expected, len(names), "every fixture has rows, and no rows are without a fixture")
	}
	for n, name := range names {
		golden := filepath.Join("testdata", "rows", name+".txt")
		for fixture := range strings.SplitSeq(name, "+") {
			raw, err := os.ReadFile(filepath.Join(fixtures, fixture+".json"))
			require.NoError(t, err)
			a.post(t, strings.ReplaceAll(string(raw), fixturePrefix, prefixOf(n)))
		}
		got := a.rows(t, prefixOf(n))
		if *updateRows {
			require.NoError(t, os.WriteFile(golden, []byte(got), 0o600))
			continue
		}
		want, err := os.ReadFile(golden)
		require.NoError(t, err)
		require.Equal(t, string(want), got, name)
	}
}

func prefixOf(n int) string { return fmt.Sprintf("17841400000%05d", n+1) }

// startArchive answers for the first account of each fixture.
func startArchive(t *testing.T, n int) *archive {
	t.Helper()
	var list strings.Builder
	list.WriteString("accounts:\n")
	for i := range n {
		_, _ = fmt.Fprintf(&list, "  - {id: %q, token: t}\n", prefixOf(i)+"1")
	}
	file := filepath.Join(t.TempDir(), "accounts.yaml")
	require.NoError(t, os.WriteFile(file, []byte(list.String()), 0o600))

	server, db := bustest.Start(t), pgtest.Database(t)
	conn := server.Connect()
	host := &pipeline.Host{Telemetry: telemetry.Discard(), Conn: conn}
	common := config.Common{ShutdownTimeout: 20 * time.Second}
	address := make(chan string, 1)
	background(t, func(ctx context.Context) error {
		return ingress.Run(ctx, ingress.Config{
			Common: common, NATS: config.NATS{Replicas: 1}, Settings: accounts.Settings{AccountsFile: file}, ListenHost: "127.0.0.1",
			AppSecrets: "s", VerifyToken: "v", MaxBodyBytes: 8 << 20, SpoolDir: t.TempDir(), SpoolMaxBytes: 64 << 20, Host: host, Listening: func(addr string) { address <- addr },
		})
	})
	background(t, func(ctx context.Context) error {
		return archiver.Run(ctx, archiver.Config{
			Common: common, NATS: config.NATS{Replicas: 1}, Database: db, Batch: 500, Flush: time.Millisecond, Writers: 2, MaxInFlight: 500, Host: host,
		})
	})
	a := &archive{webhook: "http://" + <-address + "/webhooks/instagram", stream: eventStream(t, conn), since: time.Now().Add(-time.Second)}
	var err error
	a.db, err = pgx.Connect(t.Context(), db.URL.Reveal())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, a.db.Close(context.Background())) })
	return a
}

// background runs a service until the test ends.
func background(t *testing.T, run func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
}

func eventStream(t *testing.T, conn *bus.Conn) jetstream.Stream {
	t.Helper()
	stream, err := conn.JetStream().Stream(t.Context(), topology.Events.Name)
	require.NoError(t, err)
	return stream
}

// post sends a webhook and waits until it is archived.
func (a *archive) post(t *testing.T, body string) {
	t.Helper()
	mac := hmac.New(sha256.New, []byte("s"))
	_, _ = mac.Write([]byte(body))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.webhook, strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	transport := &http.Transport{DisableKeepAlives: true}
	res, err := transport.RoundTrip(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Eventually(t, func() bool { return a.settled(t) }, patience, poll)
}

// rows returns the rows that there are, and empties the tables.
func (a *archive) rows(t *testing.T, prefix string) string {
	t.Helper()
	var out strings.Builder
	for _, table := range []struct{ name, sql string }{
		{"conversations", `SELECT to_jsonb(c) - 'id' FROM conversations c ORDER BY page_id, instagram_user_id`},
		{"messages", `SELECT to_jsonb(m) - 'id' - 'conversation_id' || jsonb_build_object('conversation', c.page_id || ' ' || c.instagram_user_id)
			FROM messages m JOIN conversations c ON c.id = m.conversation_id ORDER BY m.account, m.timestamp, m.mid`},
		{"message_changes", `SELECT to_jsonb(c) FROM message_changes c ORDER BY account, mid`},
		{"events", `SELECT to_jsonb(e) - 'id' #- '{data,id}' FROM events e ORDER BY account, kind, (data - 'id')::text`},
	} {
		rows, err := a.db.Query(t.Context(), table.sql)
		require.NoError(t, err)
		found, err := pgx.CollectRows(rows, pgx.RowTo[json.RawMessage])
		require.NoError(t, err)
		for _, row := range found {
			out.WriteString(table.name + " " + a.constant(t, row) + "\n")
		}
	}
	_, err := a.db.Exec(t.Context(), `DELETE FROM message_changes; DELETE FROM messages; DELETE FROM conversations; DELETE FROM events`)
	require.NoError(t, err)
	return strings.NewReplacer(prefix, fixturePrefix, fixtureMID, "<mid>", fixtureURL, "<url>").Replace(out.String())
}

// settled: every event of the stream was acknowledged by the archiver.
func (a *archive) settled(t *testing.T) bool {
	t.Helper()
	info, err := a.stream.Info(t.Context())
	require.NoError(t, err)
	consumers := 0
	list := a.stream.ListConsumers(t.Context())
	for c := range list.Info() {
		if consumers++; c.NumPending > 0 || c.NumAckPending > 0 || info.State.Msgs > 0 && c.AckFloor.Stream < info.State.LastSeq {
			return false
		}
	}
	return list.Err() == nil && consumers == 1
}

var (
	eventID   = regexp.MustCompile(`ev_[0-9a-z]{26}`)
	timestamp = regexp.MustCompile(`"\d{4}-\d\d-\d\dT[^"]*"`)
	original  = regexp.MustCompile(`"raw_base64": "[^"]*"`)
)

// constant is a row as it always is: without ids that follow from the account, and "now" for the time of the test. What is
// kept in base64 is written as it is.
func (a *archive) constant(t *testing.T, row []byte) string {
	t.Helper()
	row = eventID.ReplaceAll(row, []byte("<event>"))
	row = timestamp.ReplaceAllFunc(row, func(quoted []byte) []byte {
		at, err := time.Parse(time.RFC3339Nano, string(bytes.Trim(quoted, `"`)))
		if err != nil || at.Before(a.since) {
			return quoted
		}
		return []byte(`"now"`)
	})
	row = original.ReplaceAllFunc(row, func(member []byte) []byte {
		var whole struct {
			Raw []byte `json:"raw_base64"`
		}
		require.NoError(t, json.Unmarshal(fmt.Appendf(nil, "{%s}", member), &whole))
		return fmt.Appendf(nil, `"raw_base64": %q`, whole.Raw)
	})
	var out bytes.Buffer
	require.NoError(t, json.Indent(&out, row, "", "  "))
	return out.String()
}
