package standalone_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/porttest"
	"github.com/parley-dm/parley/pkg/postgres/pgtest"
	"github.com/parley-dm/parley/services/simulator"
	"github.com/parley-dm/parley/services/standalone"
)

const (
	page = "17841400000000001"
	// patience is for machines that do much else; nothing waits that long when all is well.
	patience = time.Minute
	poll     = 10 * time.Millisecond
)

// world is one installation: a database, a folder, and Meta.
type world struct {
	t       *testing.T
	meta    *simulator.Simulator
	pool    *pgxpool.Pool
	environ []string
	webhook string
	// graph is the URL of what Meta serves.
	graph  string
	client *http.Client
	// between stands in front of the played Graph API and may change a call, or answer it and say so; nil lets all pass.
	between atomic.Pointer[func(http.ResponseWriter, *http.Request) bool]
}

func newWorld(t *testing.T, more ...string) *world {
	t.Helper()
	w := &world{t: t, client: &http.Client{Transport: &http.Transport{}, Timeout: patience}}
	t.Cleanup(w.client.CloseIdleConnections)
	db := pgtest.Database(t)
	w.pool = pgtest.Open(t, db)
	port := freePort(t)
	w.webhook = "http://127.0.0.1:" + port + "/webhooks/instagram"

	meta, err := config.Load[simulator.Config](append([]string{"WEBHOOK_URL=" + w.webhook, "GRAPH_RATE=0"}, ofSimulator(more)...))
	require.NoError(t, err)
	w.meta, err = simulator.New(meta)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.meta.Close()) })
	played := w.meta.Handler()
	graph := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if f := w.between.Load(); f == nil || !(*f)(rw, r) {
			played.ServeHTTP(rw, r)
		}
	}))
	t.Cleanup(graph.Close)
	w.graph = graph.URL
	w.meta.MediaAt(graph.URL)
	w.environ = append([]string{
		"DATABASE_URL=" + db.URL.Reveal(), "DATA_DIR=" + t.TempDir(), "HOST=127.0.0.1", "PORT=" + port, "ADMIN_ADDR=127.0.0.1:0", "CONSOLE_ADDR=127.0.0.1:0",
		"GRAPH_API_URL=" + graph.URL, "FACEBOOK_APP_SECRET=demo-secret", "FACEBOOK_VERIFY_TOKEN=v", "INSTAGRAM_PAGE_ID=" + page,
		"INSTAGRAM_PAGE_ACCESS_TOKEN=demo-token", "SEND_RATE_PER_ACCOUNT=0", "LOG_LEVEL=ERROR",
	}, more...)
	return w
}

// ofSimulator are the variables that the simulator has for itself.
func ofSimulator(environ []string) []string {
	var out []string
	for _, kv := range environ {
		if strings.HasPrefix(kv, "SIMULATOR_") {
			out = append(out, kv)
		}
	}
	return out
}

func freePort(t *testing.T) string {
	t.Helper()
	return strconv.Itoa(porttest.Free(t))
}

// serve starts parley and returns what stops it, as a signal would.
func (w *world) serve() (stop func()) {
	w.t.Helper()
	cfg, err := standalone.LoadServe(w.environ)
	require.NoError(w.t, err)
	ready, ended := make(chan struct{}), make(chan error, 1)
	cfg.Ready = func(standalone.Running) { close(ready) }
	ctx, cancel := context.WithCancel(context.Background())
	go func() { ended <- standalone.Serve(ctx, cfg) }()
	select {
	case <-ready:
	case err := <-ended:
		cancel()
		require.NoError(w.t, err)
		require.Fail(w.t, "it ended by itself")
	}
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		require.NoError(w.t, <-ended)
	}
	w.t.Cleanup(stop)
	return stop
}

func (w *world) rule(say, answer string) {
	w.t.Helper()
	_, err := w.pool.Exec(w.t.Context(), `INSERT INTO response_rules (name, keywords, match_type, response_text) VALUES ($1, ARRAY[$1], 'exact', $2)`, say, answer)
	require.NoError(w.t, err)
}

// post sends a webhook that is signed by hand.
func (w *world) post(customer, mid, text string) int {
	w.t.Helper()
	quoted, err := json.Marshal(text)
	require.NoError(w.t, err)
	body := fmt.Sprintf(`{"object":"instagram","entry":[{"id":%q,"time":%d,"messaging":[{"sender":{"id":%q},"recipient":{"id":%q},"timestamp":%d,"message":{"mid":%q,"text":%s}}]}]}`,
		page, time.Now().UnixMilli(), customer, page, time.Now().UnixMilli(), mid, quoted)
	mac := hmac.New(sha256.New, []byte("demo-secret"))
	_, _ = io.WriteString(mac, body)
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.webhook, bytes.NewBufferString(body))
	require.NoError(w.t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	res, err := w.client.Do(req)
	require.NoError(w.t, err)
	_, err = io.Copy(io.Discard, res.Body)
	require.NoError(w.t, err)
	require.NoError(w.t, res.Body.Close())
	return res.StatusCode
}

// replies are the texts that a customer received.
func (w *world) replies(customer string) []string {
	var out []string
	for _, m := range w.meta.Messages(simulator.Key{Account: page, Customer: customer}) {
		if !m.FromCustomer {
			out = append(out, m.Text)
		}
	}
	return out
}

func (w *world) count(sql string, args ...any) int {
	var n int
	require.NoError(w.t, w.pool.QueryRow(w.t.Context(), sql, args...).Scan(&n))
	return n
}

func (w *world) eventually(condition func() bool, what string) {
	w.t.Helper()
	require.Eventually(w.t, condition, patience, poll, what)
}

func TestAMessageIsAnsweredOnceAndKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.rule("price?", "18 each.")
	w.serve()

	require.Equal(t, http.StatusOK, w.post("7001", "m_1", "Price?"))
	require.Equal(t, http.StatusOK, w.post("7001", "m_1", "Price?"), "Meta delivers it again")
	require.Equal(t, http.StatusOK, w.post("7001", "m_2", "Ein Text ohne Regel 🕯️ سعر"))
	w.eventually(func() bool {
		return w.count(`SELECT count(*) FROM messages WHERE direction = 'outbound' AND status = 'sent' AND mid IS NOT NULL`) == 2 &&
			w.count(`SELECT count(*) FROM messages WHERE direction = 'inbound'`) == 2 // written in transactions of their own
	}, "both messages and both replies are rows")
	replies := w.replies("7001")
	require.Len(t, replies, 2)
	require.Equal(t, "18 each.", replies[0])
	require.Contains(t, replies[1], "Thank you")
	require.Equal(t, 2, w.count(`SELECT count(*) FROM messages WHERE direction = 'inbound'`))
	require.Equal(t, 1, w.count(`SELECT count(*) FROM messages WHERE message_text = 'Ein Text ohne Regel 🕯️ سعر'`))
	require.Equal(t, 1, w.count(`SELECT count(*) FROM conversations WHERE page_id = $1 AND instagram_user_id = '7001'`, page))
}

func TestARuleTakesEffectWithoutARestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "FALLBACK_RESPONSE=", "RULES_POLL=1h")
	w.serve()
	for i := range 3 {
		w.rule(fmt.Sprintf("question %d", i), fmt.Sprintf("answer %d", i))
		began := time.Now()
		// Without a rule it stays silent: who gets the first answer asked when the rule was there.
		var answers []string
		for n := 0; len(answers) == 0; n++ {
			customer := fmt.Sprintf("7%d%03d", i, n)
			require.Equal(t, http.StatusOK, w.post(customer, "m_"+customer, fmt.Sprintf("question %d", i)))
			wait(t, 100*time.Millisecond, func() bool { answers = w.replies(customer); return len(answers) > 0 })
			require.Less(t, time.Since(began), 10*time.Second, "it heard of the change, and did not wait for the poll")
		}
		require.Equal(t, []string{fmt.Sprintf("answer %d", i)}, answers)
		t.Logf("rule %d took effect within %s", i, time.Since(began))
	}
}

// wait polls for a while, until the condition comes true.
func wait(t *testing.T, atMost time.Duration, condition func() bool) {
	t.Helper()
	deadline, ticker := time.NewTimer(atMost), time.NewTicker(time.Millisecond)
	defer deadline.Stop()
	defer ticker.Stop()
	for !condition() {
		select {
		case <-deadline.C:
			return
		case <-ticker.C:
		}
	}
}

const customers, each = 20, 10

// rules makes the rules that tell the replies apart.
func (w *world) rules() {
	w.t.Helper()
	for i := range each {
		w.rule(fmt.Sprintf("load %d", i), fmt.Sprintf("answer %d", i))
	}
}

// say lets every customer say everything, in order.
func (w *world) say() {
	w.t.Helper()
	for i := range each {
		for c := range customers {
			_, err := w.meta.Say(simulator.Action{
				Key:  simulator.Key{Account: page, Customer: strconv.Itoa(70_000 + c)},
				Text: fmt.Sprintf("load %d", i), Expect: fmt.Sprintf("answer %d", i),
			})
			require.NoError(w.t, err)
		}
	}
}

// answered waits until everything is archived, and judges what the customers received.
func (w *world) answered() {
	w.t.Helper()
	w.archived(`direction = 'outbound' AND status = 'sent'`)
	w.archived(`direction = 'inbound'`)
	v := w.meta.Verdict()
	require.True(w.t, v.Good, "%+v", v.Verdict)
	require.Equal(w.t, customers*each, v.Answered)
}

// archived waits until all rows of a kind are there: messages and replies are written apart, in any order.
func (w *world) archived(of string) {
	w.t.Helper()
	w.eventually(func() bool { return w.count(`SELECT count(*) FROM messages WHERE `+of) == customers*each }, "each is a row: "+of)
}

func TestManyCustomersAreAnsweredOnceAndInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.rules()
	w.serve()
	w.say()
	w.answered()
}

func TestAStopInTheMiddleLosesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.rules()
	stop := w.serve()
	w.say()
	w.eventually(func() bool { return w.meta.Totals().Replies >= customers*each/5 }, "some are answered")
	stop()
	between := w.meta.Totals().Replies
	w.serve()
	w.answered()
	t.Logf("%d of %d were answered before the stop", between, customers*each)
}

func TestTwoProcessesDoNotShareAFolder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.serve()
	second := slices.Concat(w.environ, []string{"PORT=" + freePort(t)})
	code, _, err := execute(t, second, "serve")
	require.Equal(t, 1, code)
	require.Contains(t, err, "in use by another parley")
}
