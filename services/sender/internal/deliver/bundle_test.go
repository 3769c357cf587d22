package deliver_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/bus/bustest"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/meta/graph"
	"github.com/parley-dm/parley/pkg/telemetry/logtest"
	"github.com/parley-dm/parley/pkg/topology"
	"github.com/parley-dm/parley/services/sender/internal/deliver"
	"github.com/parley-dm/parley/services/sender/internal/ledger"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	account = "17841400000000001"
	token   = "EAAB-secret-token"

	maxAttempts = 4
)

// book is the accounts of a test.
type book struct {
	mu   sync.Mutex
	list map[string]accounts.Account
}

func (b *book) Get(_ dm.Channel, id string) (accounts.Account, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a, ok := b.list[id]
	return a, ok
}

func (b *book) set(a accounts.Account) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.list[a.ID] = a
}

// meta plays the Send API: it notes what it was sent and answers what the test says.
type meta struct {
	mu    sync.Mutex
	texts []string // of an action its name, in angle brackets
	raw   []string
	// answer is called with the number of the call, from 1.
	answer func(n int, text string, w http.ResponseWriter)
}

func (m *meta) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body struct {
		SenderAction string `json:"sender_action"`
		Message      struct{ Text string }
	}
	data, _ := io.ReadAll(r.Body)
	_ = json.Unmarshal(data, &body)
	text := body.Message.Text
	if body.SenderAction != "" {
		text = "<" + body.SenderAction + ">"
	}
	m.mu.Lock()
	m.texts, m.raw = append(m.texts, text), append(m.raw, string(data))
	n, answer := len(m.texts), m.answer
	m.mu.Unlock()
	switch {
	case answer != nil:
		answer(n, text, w)
	case body.SenderAction != "":
		_, _ = io.WriteString(w, `{"recipient_id":"7001"}`)
	default:
		ok(w, n)
	}
}

func (m *meta) bodies() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.raw...)
}

func (m *meta) sent() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.texts...)
}

func ok(w io.Writer, n int) {
	_, _ = fmt.Fprintf(w, `{"recipient_id":"7001","message_id":"mid-%d"}`, n)
}

func refuse(w http.ResponseWriter, status, code, subcode int) {
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"error":{"message":"Meta's words","type":"OAuthException","code":%d,"error_subcode":%d,"fbtrace_id":"Trace"}}`, code, subcode)
}

// reset breaks the connection without an answer.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_ = conn.Close()
	}
}

type testBundle struct {
	t       *testing.T
	meta    *meta
	book    *book
	url     string
	bucket  *bus.Bucket
	client  *graph.Client
	offset  atomic.Int64
	log     logtest.Buffer
	metrics *prometheus.Registry
	oracle  oracle
	at      func(deliver.Step)
	seen    bool
	typing  time.Duration
	d       *deliver.Deliverer
}

func (b *testBundle) now() time.Time { return time.Now().Add(time.Duration(b.offset.Load())) }

func (b *testBundle) advance(d time.Duration) { b.offset.Add(int64(d)) }

func setup(t *testing.T) *testBundle {
	t.Helper()
	server := bustest.Start(t)
	conn := server.Connect()
	_, err := topology.Ensure(t.Context(), conn.JetStream(), topology.Options{})
	require.NoError(t, err)
	b := &testBundle{t: t, meta: &meta{}, book: &book{list: map[string]accounts.Account{}}}
	b.bucket, err = bus.OpenBucket(t.Context(), conn, topology.Ledger.Name)
	require.NoError(t, err)
	graphServer := httptest.NewServer(b.meta)
	t.Cleanup(graphServer.Close)
	b.url = graphServer.URL
	b.client = graph.New(graph.Options{Version: "v26.0", Timeout: 5 * time.Second})
	t.Cleanup(b.client.Close)
	b.book.set(accounts.Account{ID: account, Channel: dm.ChannelInstagram, Login: accounts.LoginFacebook, Token: token, Reply: true})
	b.d = b.process()
	return b
}

// process is a deliverer as another process has it: the same ledger, nothing else in common.
func (b *testBundle) process() *deliver.Deliverer {
	b.t.Helper()
	b.metrics = prometheus.NewRegistry()
	d, err := deliver.New(deliver.Deps{
		Accounts: b.book, Graph: b.client, Metrics: b.metrics,
		Ledger: ledger.New(b.bucket, ledger.Options{Doubt: doubt, Now: b.now}), Reconciler: &b.oracle,
		Log: slog.New(slog.NewJSONHandler(&b.log, nil)),
	}, deliver.Options{GraphURL: b.url, MaxAttempts: maxAttempts, Now: b.now, InFlight: inFlight, At: b.at, MarkSeen: b.seen, TypingTime: b.typing})
	require.NoError(b.t, err)
	b.t.Cleanup(d.Close)
	return d
}

func intent(id string, texts ...string) dm.ReplyIntent {
	i := dm.ReplyIntent{
		ID: "in_" + id, Origin: dm.OriginRule, ReceivedAt: time.Now().UTC(),
		Conversation: dm.Conversation{Channel: dm.ChannelInstagram, Account: account, Customer: "7001"},
	}
	for _, text := range texts {
		i.Parts = append(i.Parts, dm.Part{Kind: dm.PartText, Text: text})
	}
	return i
}

func (b *testBundle) deliver(i dm.ReplyIntent) []dm.Delivery {
	b.t.Helper()
	out, err := b.d.Deliver(b.t.Context(), i)
	require.NoError(b.t, err)
	return out
}

// doubtPasses lets the time of a doubt pass, in which it is looked into in vain now and then.
func (b *testBundle) doubtPasses(i dm.ReplyIntent) {
	b.t.Helper()
	for range 3 {
		b.deferred(i)
		b.advance(doubt/3 + time.Second)
	}
}

// deferred delivers an intent that has to come back.
func (b *testBundle) deferred(i dm.ReplyIntent) (until time.Time) {
	b.t.Helper()
	_, err := b.d.Deliver(b.t.Context(), i)
	require.Error(b.t, err)
	class, until := bus.Classify(err)
	require.Equal(b.t, bus.Deferred, class, "nothing may end among the dead letters: %v", err)
	return until
}

func outcomes(list []dm.Delivery) []dm.Outcome {
	var out []dm.Outcome
	for _, d := range list {
		out = append(out, d.Outcome)
	}
	return out
}
