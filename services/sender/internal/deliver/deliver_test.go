package deliver_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
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

func TestSent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i := intent("a", "hello")

	out := b.deliver(i)

	require.Len(t, out, 1)
	d := out[0]
	require.Equal(t, dm.OutcomeSent, d.Outcome)
	require.Equal(t, []any{"mid-1", 0, 1, i.ID, i.Parts[0], i.Conversation, dm.OriginRule}, []any{d.MID, d.Part, d.Of, d.IntentID, d.Message, d.Conversation, d.Origin})
	require.Equal(t, dm.DeliveryID(i.ID, 0, dm.OutcomeSent), d.ID)
	require.Len(t, d.Attempts, 1)
	require.Equal(t, 200, d.Attempts[0].Status)
	require.Equal(t, i.ReceivedAt, d.ReceivedAt)
}

func TestARedeliveredIntentSendsNothingAndSaysTheSame(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.meta.answer = func(n int, text string, w http.ResponseWriter) {
		if text == "bad" {
			refuse(w, 400, 100, 2534015)
			return
		}
		ok(w, n)
	}
	for _, i := range []dm.ReplyIntent{intent("a", "hello"), intent("b", "one", "bad", "never")} {
		first := b.deliver(i)
		calls := len(b.meta.sent())
		b.d = b.process()
		require.Equal(t, first, b.deliver(i))
		require.Len(t, b.meta.sent(), calls)
	}
}

func TestTransientThenSent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.meta.answer = func(n int, _ string, w http.ResponseWriter) {
		if n < 3 {
			refuse(w, 500, 2, 0)
			return
		}
		ok(w, n)
	}
	i := intent("a", "hello")
	b.deferred(i)
	b.d = b.process() // the attempts outlive the process that made them
	b.deferred(i)
	out := b.deliver(i)
	require.Equal(t, dm.OutcomeSent, out[0].Outcome)
	require.Len(t, out[0].Attempts, 3)
	require.Equal(t, []int{2, 2, 0}, []int{out[0].Attempts[0].Code, out[0].Attempts[1].Code, out[0].Attempts[2].Code})
	require.Equal(t, "Trace", out[0].Attempts[0].TraceID)
}

func TestTransientForTooLongFails(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.meta.answer = func(_ int, text string, w http.ResponseWriter) {
		if text == "unknown error" {
			refuse(w, 500, 1, 0)
			return
		}
		refuse(w, 500, 2, 0)
	}
	for text, calls := range map[string]int{"temporary": 4, "unknown error": 3} {
		i := intent(text[:3], text)
		for range calls - 1 {
			b.deferred(i)
		}
		out := b.deliver(i)
		require.Equal(t, dm.OutcomeFailed, out[0].Outcome)
		require.Len(t, out[0].Attempts, calls)
		require.Contains(t, out[0].Reason, "given up after")
		require.Contains(t, out[0].Reason, "Meta's words")
	}
}

func TestPermanent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.meta.answer = func(_ int, _ string, w http.ResponseWriter) { refuse(w, 403, 100, 2018109) }
	out := b.deliver(intent("a", "hello"))
	require.Equal(t, dm.OutcomeFailed, out[0].Outcome)
	require.Contains(t, out[0].Reason, "Meta's words")
	require.Contains(t, out[0].Reason, "the attachment is too large")
	require.Len(t, b.meta.sent(), 1)
}

func TestResetAfterTheRequestIsUnknownAndNeverSentAgain(t *testing.T) {
	t.Parallel()
	answers := map[string]func(http.ResponseWriter){
		"reset":             reset,
		"sent all the same": func(w http.ResponseWriter) { refuse(w, 500, 1, 1357046) },
		"gateway":           func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) },
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.meta.answer = func(n int, text string, w http.ResponseWriter) {
				if text == "doubtful" {
					answer(w)
					return
				}
				ok(w, n)
			}
			i := intent("a", "doubtful", "next")
			b.deferred(i)
			require.Contains(t, b.log.String(), `"outcome":"in_doubt"`)
			b.d = b.process() // the doubt outlives the process that had it
			b.deferred(i)
			b.advance(doubt + time.Second)
			for range 3 {
				require.Equal(t, []dm.Outcome{dm.OutcomeUnknown, dm.OutcomeSent}, outcomes(b.deliver(i)))
				b.d = b.process()
			}
			require.Equal(t, []string{"doubtful", "next"}, b.meta.sent())
			require.Contains(t, b.log.String(), `"level":"ERROR","msg":"delivery.unknown"`)
			require.Contains(t, b.log.String(), `"intent_id":"in_a"`)
		})
	}
}

func TestNothingListensThenSent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	good := b.url
	dead := httptest.NewServer(nil)
	dead.Close()
	b.url = dead.URL
	b.d = b.process()
	i := intent("a", "hello")
	for range 10 { // more than MaxAttempts: it says nothing of the message
		b.deferred(i)
	}
	b.url = good
	b.d = b.process()
	out := b.deliver(i)
	require.Equal(t, dm.OutcomeSent, out[0].Outcome)
	require.Equal(t, []string{"hello"}, b.meta.sent())
	require.Len(t, out[0].Attempts, 11)
}

func TestALaterPieceFails(t *testing.T) {
	t.Parallel()
	b := setup(t)
	long := strings.TrimSpace(strings.Repeat("First sentence here. ", 60)) + " " + strings.Repeat("Second sentence now. ", 80)
	b.meta.answer = func(n int, _ string, w http.ResponseWriter) {
		if n == 2 {
			refuse(w, 400, 100, 2534015)
			return
		}
		ok(w, n)
	}
	i := intent("a", long)
	for range 2 {
		out := b.deliver(i)
		require.Equal(t, []dm.Outcome{dm.OutcomeSent, dm.OutcomeFailed, dm.OutcomeFailed}, outcomes(out))
		require.Equal(t, []int{3, 3, 3}, []int{out[0].Of, out[1].Of, out[2].Of})
		require.Contains(t, out[2].Reason, "message 2 of 3")
		require.Empty(t, out[2].Attempts)
	}
	require.Len(t, b.meta.sent(), 2)
}

// While a later piece waits, what is settled is handed out with the error, so that it can be told.
func TestALaterPieceWaits(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.meta.answer = func(n int, _ string, w http.ResponseWriter) {
		if n == 2 {
			refuse(w, 500, 2, 0)
			return
		}
		ok(w, n)
	}
	out, err := b.d.Deliver(t.Context(), intent("a", "one", "two"))
	require.Error(t, err)
	require.Equal(t, []dm.Outcome{dm.OutcomeSent}, outcomes(out))
	require.Equal(t, []dm.Outcome{dm.OutcomeSent, dm.OutcomeSent}, outcomes(b.deliver(intent("a", "one", "two"))))
	require.Equal(t, []string{"one", "two", "two"}, b.meta.sent())
}

func TestTwoProcessesRaceForAnIntent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	release := make(chan struct{})
	b.meta.answer = func(n int, _ string, w http.ResponseWriter) {
		<-release
		ok(w, n)
	}
	i := intent("a", "hello")
	processes := []*deliver.Deliverer{b.process(), b.process(), b.process()}
	type result struct {
		out []dm.Delivery
		err error
	}
	results := make(chan result, len(processes))
	for _, d := range processes {
		go func() {
			out, err := d.Deliver(t.Context(), i)
			results <- result{out, err}
		}()
	}
	for range 2 { // the losers do not wait for the winner
		r := <-results
		class, until := bus.Classify(r.err)
		require.Equal(t, bus.Deferred, class)
		require.False(t, until.IsZero())
	}
	close(release)
	winner := <-results
	require.NoError(t, winner.err)
	for _, d := range processes {
		out, err := d.Deliver(t.Context(), i)
		require.NoError(t, err)
		require.Equal(t, winner.out, out)
	}
	require.Equal(t, []string{"hello"}, b.meta.sent())
}

func TestAClaimOfADeadProcessBecomesUnknown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i := intent("a", "hello")
	_, err := ledger.New(b.bucket, ledger.Options{}).Claim(t.Context(), i.ID+".0")
	require.NoError(t, err)

	b.deferred(i)
	b.advance(doubt + time.Second)
	out := b.deliver(i)

	require.Equal(t, dm.OutcomeUnknown, out[0].Outcome)
	require.Empty(t, b.meta.sent())
	require.Contains(t, b.log.String(), `"level":"ERROR","msg":"delivery.unknown"`)
}

func TestAStopDoesNotTearACallApart(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx, stop := context.WithCancel(t.Context())
	b.meta.answer = func(n int, _ string, w http.ResponseWriter) {
		stop()
		ok(w, n)
	}
	out, err := b.d.Deliver(ctx, intent("a", "one", "two"))
	require.Error(t, err, "the second message is for whoever comes next")
	require.Equal(t, []dm.Outcome{dm.OutcomeSent}, outcomes(out))
	b.meta.answer = nil
	b.d = b.process()
	require.Equal(t, []dm.Outcome{dm.OutcomeSent, dm.OutcomeSent}, outcomes(b.deliver(intent("a", "one", "two"))))
	require.Equal(t, []string{"one", "two"}, b.meta.sent())
}

func TestExpired(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i := intent("a", "hello", "again")
	i.Expires = b.now().Add(-time.Second)
	out := b.deliver(i)
	require.Equal(t, dm.OutcomeExpired, out[0].Outcome)
	require.Contains(t, out[0].Reason, "messaging window")
	require.NotEqual(t, dm.OutcomeSent, out[1].Outcome)
	require.Empty(t, b.meta.sent())
}

func TestADeadTokenHoldsItsAccountOnly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.book.set(accounts.Account{ID: "99", Channel: dm.ChannelInstagram, Login: accounts.LoginFacebook, Token: "other"})
	b.meta.answer = func(n int, text string, w http.ResponseWriter) {
		if text == "dead" {
			refuse(w, 400, 190, 463)
			return
		}
		ok(w, n)
	}
	i := intent("a", "dead")
	i.Expires = b.now().Add(24 * time.Hour)
	b.deferred(i)
	b.deferred(intent("b", "behind it"))
	require.Len(t, b.meta.sent(), 1, "a paused account is not called")
	require.Contains(t, b.log.String(), `"level":"ERROR","msg":"account.paused"`)
	require.Contains(t, b.log.String(), account)
	require.NotContains(t, b.log.String(), token)

	other := intent("c", "fine")
	other.Account = "99"
	require.Equal(t, dm.OutcomeSent, b.deliver(other)[0].Outcome)

	b.meta.answer = nil
	b.book.set(accounts.Account{ID: account, Channel: dm.ChannelInstagram, Login: accounts.LoginFacebook, Token: "fresh", Reply: true})
	require.Equal(t, dm.OutcomeSent, b.deliver(i)[0].Outcome, "a new token is used at once")
	require.Equal(t, dm.OutcomeSent, b.deliver(intent("b", "behind it"))[0].Outcome)
}

func TestADeadTokenUntilTheWindowCloses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.meta.answer = func(_ int, _ string, w http.ResponseWriter) { refuse(w, 400, 190, 463) }
	i := intent("a", "hello")
	i.Expires = b.now().Add(time.Hour)
	for b.now().Before(i.Expires) {
		until := b.deferred(i)
		require.False(t, until.After(i.Expires))
		b.advance(max(until.Sub(b.now()), 0) + time.Millisecond)
	}
	out := b.deliver(i)
	require.Equal(t, dm.OutcomeExpired, out[0].Outcome)
	require.Less(t, len(b.meta.sent()), 20, "the pause grows")
	require.Contains(t, out[0].Attempts[0].Error, "Meta's words")
}

func TestRateLimitedAccountWaits(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.meta.answer = func(n int, _ string, w http.ResponseWriter) {
		if n == 1 {
			w.Header().Set("X-Business-Use-Case-Usage", `{"17":[{"type":"messenger","call_count":100,"estimated_time_to_regain_access":3}]}`)
			refuse(w, 429, 80006, 0)
			return
		}
		ok(w, n)
	}
	i, behind := intent("a", "hello"), intent("b", "behind")
	b.deferred(i)
	b.advance(2 * time.Minute)
	b.deferred(i)
	b.deferred(behind)
	require.Len(t, b.meta.sent(), 1, "calling on lengthens it")
	b.advance(time.Minute + time.Second)
	require.Equal(t, dm.OutcomeSent, b.deliver(i)[0].Outcome)
	require.Equal(t, dm.OutcomeSent, b.deliver(behind)[0].Outcome)
}

func TestAllowanceUsedUpPausesBeforeMetaRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.meta.answer = func(n int, _ string, w http.ResponseWriter) {
		w.Header().Set("X-Business-Use-Case-Usage", `{"17":[{"type":"messenger","call_count":100,"estimated_time_to_regain_access":1}]}`)
		ok(w, n)
	}
	require.Equal(t, dm.OutcomeSent, b.deliver(intent("a", "hello"))[0].Outcome)
	b.deferred(intent("b", "next"))
	require.Len(t, b.meta.sent(), 1)
}

func TestAppLimitPausesEveryAccountOfTheApp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.book.set(accounts.Account{ID: "99", Channel: dm.ChannelInstagram, Login: accounts.LoginFacebook, Token: "other"})
	b.book.set(accounts.Account{ID: "98", Channel: dm.ChannelInstagram, Login: accounts.LoginInstagram, Token: "another app's"})
	b.meta.answer = func(n int, _ string, w http.ResponseWriter) {
		if n == 1 {
			refuse(w, 400, 4, 0)
			return
		}
		ok(w, n)
	}
	b.deferred(intent("a", "hello"))
	sibling, stranger := intent("b", "sibling"), intent("c", "stranger")
	sibling.Account, stranger.Account = "99", "98"
	b.deferred(sibling)
	require.Equal(t, dm.OutcomeSent, b.deliver(stranger)[0].Outcome)
}

func TestRefusedWithoutACall(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.book.set(accounts.Account{ID: "99", Channel: dm.ChannelInstagram})
	unknown, tokenless, empty, image, hologram := intent("a", "hi"), intent("b", "hi"), intent("c", " \x00"), intent("d"), intent("e")
	unknown.Account, tokenless.Account = "12345", "99"
	image.Parts, hologram.Parts = []dm.Part{{Kind: dm.PartImage}}, []dm.Part{{Kind: "hologram"}}
	for reason, i := range map[string]dm.ReplyIntent{
		"not configured": unknown, "no access token": tokenless, "empty": empty, `"hologram"`: hologram,
		`media of a part of kind "image": got 0 elements, expected 1 to 10 elements (Meta, Instagram Messaging: Send a Message)`: image,
	} {
		out := b.deliver(i)
		require.Equal(t, dm.OutcomeFailed, out[0].Outcome)
		require.Contains(t, out[0].Reason, reason)
	}
	require.Empty(t, b.meta.sent())
}

func TestMalformedIntentsAreDeadLetters(t *testing.T) {
	t.Parallel()
	b := setup(t)
	noID, noAccount, noCustomer := intent("a", "x"), intent("b", "x"), intent("c", "x")
	noID.ID, noAccount.Account, noCustomer.Customer = "", "", ""
	for _, i := range []dm.ReplyIntent{noID, noAccount, noCustomer, intent("d")} {
		_, err := b.d.Deliver(t.Context(), i)
		class, _ := bus.Classify(err)
		require.Equal(t, bus.Poison, class)
	}
	odd := intent("", "hello") // an id that no key can hold as it is
	odd.ID = "an id * with > odd.characters"
	require.Equal(t, dm.OutcomeSent, b.deliver(odd)[0].Outcome)
}

// A host that takes messages and never answers must not put each in doubt.
func TestTheBreakerOpensOnARunOfFailures(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.meta.answer = func(_ int, _ string, w http.ResponseWriter) { reset(w) }
	for n := range 50 {
		b.deferred(intent(fmt.Sprint("x", n), "hello"))
	}
	require.Len(t, b.meta.sent(), 20)
}

func TestLinesHoldNeitherTextNorToken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.meta.answer = func(n int, text string, w http.ResponseWriter) {
		switch {
		case strings.Contains(text, "refused"):
			refuse(w, 400, 100, 0)
		case strings.Contains(text, "lost"):
			reset(w)
		default:
			ok(w, n)
		}
	}
	for n, text := range []string{"private fine", "private refused", "private lost"} {
		_, err := b.d.Deliver(t.Context(), intent(fmt.Sprint(n), text))
		require.Equal(t, text == "private lost", err != nil)
	}
	require.Contains(t, b.log.String(), `"outcome":"sent"`)
	require.Contains(t, b.log.String(), `"outcome":"in_doubt"`)
	require.NotContains(t, b.log.String(), "private")
	require.NotContains(t, b.log.String(), token)
	require.NotContains(t, b.log.String(), b.url)
}

// errAway is what the ledger says while NATS is away.
var errAway = errors.New("away")

type awayLedger struct{}

func (awayLedger) Claim(context.Context, string) (*ledger.Claim, error) { return nil, errAway }

func (awayLedger) Settle(context.Context, *ledger.Claim, ledger.Entry) (ledger.Entry, error) {
	return ledger.Entry{}, errAway
}

func (awayLedger) Resolve(context.Context, *ledger.DoubtError, ledger.Entry) (ledger.Entry, error) {
	return ledger.Entry{}, errAway
}

func TestWithoutALedgerNothingIsSent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	d, err := deliver.New(deliver.Deps{Accounts: b.book, Graph: b.client, Ledger: awayLedger{}, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry()},
		deliver.Options{GraphURL: b.url})
	require.NoError(t, err)
	t.Cleanup(d.Close)
	b.d = d
	b.deferred(intent("a", "hello"))
	require.Empty(t, b.meta.sent())
}
