package simulator_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/services/simulator"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	account = "17841400000000001"
	token   = "demo-token"
	secret  = "demo-secret"
)

// webhook is what a receiver got.
type webhook struct {
	body []byte
	item item
}

type item struct {
	Sender, Recipient struct{ ID string }
	Timestamp         int64
	Message           struct {
		MID, Text string
		IsEcho    bool        `json:"is_echo"`
		AppID     json.Number `json:"app_id"`
	}
}

// bundle is a simulator on a socket, beside a receiver of its webhooks that checks them.
type bundle struct {
	sim  *simulator.Simulator
	url  string
	got  chan webhook
	hook string
	// status is what the receiver answers with; answer, if set, is called for each message of a customer.
	status atomic.Int32
	mu     sync.Mutex
	answer func(it item)
}

func setup(t *testing.T, environ ...string) *bundle {
	t.Helper()
	b := &bundle{got: make(chan webhook, 10_000)}
	b.status.Store(http.StatusOK)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		mac := hmac.New(sha256.New, []byte(secret))
		_, _ = mac.Write(body)
		if r.Header.Get("X-Hub-Signature-256") != "sha256="+hex.EncodeToString(mac.Sum(nil)) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		hook := webhook{body: body, item: itemOf(body)}
		status := int(b.status.Load())
		w.WriteHeader(status)
		b.got <- hook
		b.mu.Lock()
		answer := b.answer
		b.mu.Unlock()
		if status == http.StatusOK && answer != nil && !hook.item.Message.IsEcho {
			answer(hook.item)
		}
	}))
	b.hook = receiver.URL
	cfg, err := config.Load[simulator.Config](append([]string{"WEBHOOK_URL=" + receiver.URL, "GRAPH_RATE=0"}, environ...))
	require.NoError(t, err)
	b.sim, err = simulator.New(cfg)
	require.NoError(t, err)
	server := httptest.NewServer(b.sim.Handler())
	b.url = server.URL
	t.Cleanup(func() {
		require.NoError(t, b.sim.Close())
		receiver.Close()
		server.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return b
}

func itemOf(body []byte) item {
	var hook struct {
		Entry []struct{ Messaging []item }
	}
	if json.Unmarshal(body, &hook) != nil || len(hook.Entry) == 0 || len(hook.Entry[0].Messaging) == 0 {
		return item{}
	}
	return hook.Entry[0].Messaging[0]
}

// answerWith lets the receiver answer messages through the Graph API, as Parley does.
func (b *bundle) answerWith(t *testing.T, reply func(it item) []string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answer = func(it item) {
		for _, text := range reply(it) {
			body, _ := json.Marshal(map[string]any{"recipient": map[string]string{"id": it.Sender.ID}, "message": map[string]string{"text": text}})
			b.graph(t, http.MethodPost, "/v26.0/me/messages", string(body))
		}
	}
}

// graph calls the Graph API with the right token.
func (b *bundle) graph(t *testing.T, method, path, body string) (int, map[string]any) {
	t.Helper()
	return b.call(t, method, path, body, "Authorization", "Bearer "+token)
}

func (b *bundle) call(t *testing.T, method, path, body string, header ...string) (int, map[string]any) {
	t.Helper()
	status, _, raw := b.raw(t, method, path, body, header...)
	var out map[string]any
	if len(raw) > 0 {
		require.NoError(t, json.Unmarshal(raw, &out), "%s", raw)
	}
	return status, out
}

func (b *bundle) raw(t *testing.T, method, path, body string, header ...string) (int, http.Header, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, b.url+path, strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	raw, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode, resp.Header, raw
}

// dig finds what is at the end of a path of keys and indices in decoded JSON, or nil.
func dig(v any, path ...any) any {
	for _, step := range path {
		switch at := step.(type) {
		case string:
			o, _ := v.(map[string]any)
			v = o[at]
		case int:
			l, _ := v.([]any)
			if at >= len(l) {
				return nil
			}
			v = l[at]
		}
	}
	return v
}

func str(v any) string {
	s, _ := v.(string)
	return s
}

func (b *bundle) say(t *testing.T, customer, text string) simulator.Message {
	t.Helper()
	m, err := b.sim.Say(simulator.Action{Key: simulator.Key{Customer: customer}, Text: text})
	require.NoError(t, err)
	return m
}

func (b *bundle) next(t *testing.T) webhook {
	t.Helper()
	select {
	case h := <-b.got:
		return h
	case <-time.After(10 * time.Second):
		require.Fail(t, "no webhook came")
		return webhook{}
	}
}

func TestMessageBecomesSignedEscapedWebhook(t *testing.T) {
	t.Parallel()
	b := setup(t)
	m := b.say(t, "7001", "Wie viel? äöü 🚲 a/b <i> @x 5%")
	h := b.next(t)
	require.Len(t, m.MID, 164)
	require.Equal(t, m.MID, h.item.Message.MID)
	require.Equal(t, "Wie viel? äöü 🚲 a/b <i> @x 5%", h.item.Message.Text)
	require.Equal(t, "7001", h.item.Sender.ID)
	require.Equal(t, account, h.item.Recipient.ID)
	require.Equal(t, m.At.UnixMilli(), h.item.Timestamp)
	require.Contains(t, string(h.body), `\u00e4\u00f6\u00fc \ud83d\udeb2 a\/b \u003Ci> \u0040x 5\u0025`)
	require.Equal(t, -1, bytes.IndexFunc(h.body, func(r rune) bool { return r > 127 }))
}

func TestReplyIsRecordedAndEchoed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.say(t, "7001", "price?")
	b.next(t)
	status, out := b.graph(t, http.MethodPost, "/v26.0/"+account+"/messages", `{"recipient":{"id":"7001"},"message":{"text":"3.80 €"}}`)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "7001", out["recipient_id"])
	require.Len(t, out["message_id"], 164)

	echo := b.next(t)
	require.Equal(t, out["message_id"], echo.item.Message.MID)
	require.True(t, echo.item.Message.IsEcho)
	require.Equal(t, "3.80 €", echo.item.Message.Text)
	require.Equal(t, account, echo.item.Sender.ID)
	require.Equal(t, "7001", echo.item.Recipient.ID)
	require.Equal(t, "100000000000001", echo.item.Message.AppID.String())

	record := b.sim.Messages(simulator.Key{Account: account, Customer: "7001"})
	require.Len(t, record, 2)
	require.Equal(t, "3.80 €", record[1].Text)
	require.GreaterOrEqual(t, record[1].LatencyMS, int64(0))
	require.True(t, b.sim.Verdict().Good)
}

func TestWebhookIsRepeatedUntilAcceptedAndOrderIsKept(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.status.Store(http.StatusServiceUnavailable)
	first := b.say(t, "7001", "one")
	second := b.say(t, "7001", "two")
	other := b.say(t, "7002", "not held up")
	var mids []string
	for range 4 { // two attempts each, of the first and of the other customer's
		mids = append(mids, b.next(t).item.Message.MID)
	}
	require.NotContains(t, mids, second.MID)
	require.Contains(t, mids, other.MID)
	b.status.Store(http.StatusOK)
	require.Eventually(t, func() bool { return b.sim.Totals().Accepted == 3 }, 20*time.Second, 10*time.Millisecond)
	record := b.sim.Messages(simulator.Key{Account: account, Customer: "7001"})
	require.Equal(t, first.MID, record[0].MID)
	require.Greater(t, record[0].Attempts, 1)
	require.EqualValues(t, "accepted", record[0].State)
	require.Equal(t, 1, record[1].Attempts)
	require.GreaterOrEqual(t, b.sim.Totals().Refused, 4)
}

func TestWrongSecretIsSeenAsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t, "FACEBOOK_APP_SECRET=another")
	b.say(t, "7001", "hello")
	require.Eventually(t, func() bool {
		return b.sim.Messages(simulator.Key{Account: account, Customer: "7001"})[0].Status == http.StatusUnauthorized
	}, 10*time.Second, 5*time.Millisecond)
}

func TestLoadIsGoodWhenEachIsAnsweredOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.answerWith(t, func(it item) []string { return []string{strings.Replace(it.Message.Text, "load", "answer", 1)} })
	var last simulator.LoadProgress
	result, err := b.sim.Load(t.Context(), numbered(20, 5), func(p simulator.LoadProgress) { last = p })
	require.NoError(t, err)
	require.True(t, result.Good, "%+v", result)
	require.Equal(t, 100, result.Sent)
	require.Equal(t, 100, result.Answered)
	require.Equal(t, 100, result.Ordered)
	require.Positive(t, result.P50)
	require.EqualValues(t, "done", last.Phase)
	require.Equal(t, 100, last.Replies)
}

func TestLoadSeesMissingDoubledAndWrong(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.answerWith(t, func(it item) []string {
		reply := strings.Replace(it.Message.Text, "load", "answer", 1)
		switch it.Message.Text {
		case "load 1":
			return nil
		case "load 2":
			return []string{reply, reply}
		case "load 3":
			return []string{"something else"}
		default:
			return []string{reply}
		}
	})
	o := numbered(3, 5)
	require.NoError(t, json.Unmarshal([]byte(`"300ms"`), &o.Settle))
	result, err := b.sim.Load(t.Context(), o, nil)
	require.NoError(t, err)
	require.False(t, result.Good)
	require.Equal(t, 3*2, result.Missing)
	require.Equal(t, 3, result.Doubled)
	require.Equal(t, 3, result.Wrong)
	var out bytes.Buffer
	require.NoError(t, result.Write(&out))
	require.Contains(t, out.String(), "NOT GOOD")
	require.Contains(t, out.String(), "missing")
}

func TestTwoLoadsAreJudgedApart(t *testing.T) {
	t.Parallel()
	b := setup(t)
	o := numbered(2, 1)
	require.NoError(t, json.Unmarshal([]byte(`"200ms"`), &o.Settle))
	result, err := b.sim.Load(t.Context(), o, nil) // nobody answers
	require.NoError(t, err)
	require.Equal(t, 2, result.Missing)
	b.answerWith(t, func(it item) []string { return []string{strings.Replace(it.Message.Text, "load", "answer", 1)} })
	result, err = b.sim.Load(t.Context(), o, nil)
	require.NoError(t, err)
	require.True(t, result.Good)
}

func numbered(customers, messages int) simulator.LoadOptions {
	o := simulator.LoadOptions{Customers: customers, Messages: messages}
	body := `{"linger":"100ms","pairs":[{"say":"load 0","expect":"answer 0"},{"say":"load 1","expect":"answer 1"},{"say":"load 2","expect":"answer 2"},{"say":"load 3","expect":"answer 3"},{"say":"load 4","expect":"answer 4"}]}`
	if err := json.Unmarshal([]byte(body), &o); err != nil {
		panic(err)
	}
	return o
}

func TestRunServesAndStops(t *testing.T) {
	t.Parallel()
	b := setup(t)
	cfg, err := config.Load[simulator.Config]([]string{"SIMULATOR_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0", "LOG_LEVEL=ERROR", "WEBHOOK_URL=" + b.hook})
	require.NoError(t, err)
	sim, err := simulator.New(cfg)
	require.NoError(t, err)
	ctx, cancel := contextOf(t)
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- sim.Serve(ctx, ready) }()
	<-ready
	cancel()
	require.NoError(t, <-done)
}

func TestEveryProblemOfTheSettingsIsNamed(t *testing.T) {
	t.Parallel()
	_, err := config.Load[simulator.Config]([]string{"SIMULATOR_ADDR=nowhere", "WEBHOOK_URL=ftp://x", "INSTAGRAM_PAGE_ID=shop", "WEBHOOK_CONCURRENCY=0", "SIMULATOR_ACCOUNTS=12:a,12:b"})
	require.Error(t, err)
	for _, name := range []string{"SIMULATOR_ADDR", "WEBHOOK_URL", "INSTAGRAM_PAGE_ID", "WEBHOOK_CONCURRENCY", "SIMULATOR_ACCOUNTS"} {
		require.ErrorContains(t, err, name)
	}
}
