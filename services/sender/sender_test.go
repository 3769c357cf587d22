package sender_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/pkg/bus/bustest"
	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/envelope"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/pkg/run"
	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/services/sender"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const account = "17841400000000001"

func environ(more ...string) []string {
	return append([]string{
		"FACEBOOK_APP_SECRET=secret,older", "INSTAGRAM_PAGE_ID=" + account, "INSTAGRAM_PAGE_ACCESS_TOKEN=EAAB", "ADMIN_ADDR=127.0.0.1:0",
	}, more...)
}

func TestConfig(t *testing.T) {
	t.Parallel()
	cfg, err := config.Load[sender.Config](environ())
	require.NoError(t, err)
	require.Equal(t, []any{"v26.0", 100.0, 256, 10 * time.Second, time.Minute, accounts.LoginFacebook, false, time.Duration(0)},
		[]any{cfg.GraphVersion, cfg.RatePerAccount, cfg.MaxInFlight, cfg.SendTimeout, cfg.DoubtTimeout, cfg.Login, cfg.MarkSeen, cfg.TypingTime})
}

func TestEveryMistakeIsNamed(t *testing.T) {
	t.Parallel()
	_, err := config.Load[sender.Config]([]string{
		"GRAPH_API_URL=graph.facebook.com", "GRAPH_API_VERSION=26", "SEND_RATE_PER_ACCOUNT=-1", "MAX_IN_FLIGHT=0", "SEND_TIMEOUT=1h", "DOUBT_TIMEOUT=1s", "TYPING_TIME=1m", "INSTAGRAM_LOGIN=x",
		"PROFILE_TTL=1s", "BACKFILL_EVERY=-1s", "BACKFILL_AFTER=0s",
	})
	for _, name := range []string{
		"GRAPH_API_URL", "GRAPH_API_VERSION", "SEND_RATE_PER_ACCOUNT", "MAX_IN_FLIGHT", "SEND_TIMEOUT", "DOUBT_TIMEOUT", "TYPING_TIME", "INSTAGRAM_LOGIN", "PROFILE_TTL", "BACKFILL_EVERY", "BACKFILL_AFTER",
		"FACEBOOK_APP_SECRET", "INSTAGRAM_PAGE_ID", "INSTAGRAM_PAGE_ACCESS_TOKEN",
	} {
		require.ErrorContains(t, err, name+":")
	}
	_, err = config.Load[sender.Config](environ("SEND_RATE_PER_ACCOUNT=NaN"))
	require.ErrorContains(t, err, "SEND_RATE_PER_ACCOUNT")
}

// bench is a running sender with NATS and a played Send API.
type bench struct {
	t      *testing.T
	server *bustest.Server
	graph  *httptest.Server
	p      *pipeline.Pipeline // the test's own side of the bus

	mu         sync.Mutex
	sent       map[string][]string // texts by customer
	shown      int                 // seen and typing
	deliveries map[string]envelope.Envelope[dm.Delivery]
	hold       chan struct{} // when set, calls wait for it
	calling    chan struct{}
	// refuse, when set, answers a call in place of sending, and says whether it did; it is told the token that was shown.
	refuse func(w http.ResponseWriter, token string) bool
}

func start(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, server: bustest.Start(t), sent: map[string][]string{}, deliveries: map[string]envelope.Envelope[dm.Delivery]{}, calling: make(chan struct{}, 1000)}
	b.graph = httptest.NewServer(http.HandlerFunc(b.send))
	t.Cleanup(b.graph.Close)
	p, err := pipeline.Open(t.Context(), pipeline.Options{Service: "test", Common: config.Common{ShutdownTimeout: 10 * time.Second}, Host: &pipeline.Host{Telemetry: telemetry.Discard(), Conn: b.server.Connect()}})
	require.NoError(t, err)
	b.p = p
	require.NoError(t, p.HandleDeliveries("deliveries", pipeline.Consume{Shared: true}, func(_ context.Context, e envelope.Envelope[dm.Delivery]) ([]pipeline.Outgoing, error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.deliveries[e.ID] = e
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
	return b
}

func (b *bench) send(w http.ResponseWriter, r *http.Request) {
	var body struct {
		SenderAction string `json:"sender_action"`
		Recipient    struct{ ID string }
		Message      struct{ Text string }
	}
	_ = json.NewDecoder(r.Body).Decode(&body)
	if body.SenderAction != "" {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.shown++
		_, _ = io.WriteString(w, `{"recipient_id":"`+body.Recipient.ID+`"}`)
		return
	}
	if !strings.HasSuffix(r.URL.Path, "/messages") { // questions about tokens
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":{"message":"not played here","code":100,"error_subcode":33}}`)
		return
	}
	select {
	case b.calling <- struct{}{}:
	default: // nobody counts them
	}
	if b.hold != nil {
		<-b.hold
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refuse != nil && b.refuse(w, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")) {
		return
	}
	b.sent[body.Recipient.ID] = append(b.sent[body.Recipient.ID], body.Message.Text)
	_, _ = io.WriteString(w, `{"recipient_id":"`+body.Recipient.ID+`","message_id":"mid `+body.Message.Text+`"}`)
}

// sender runs one until stop is called.
func (b *bench) sender(more ...string) (stop func() error) {
	b.t.Helper()
	cfg, err := config.Load[sender.Config](environ(append([]string{"NATS_URL=" + b.server.URL(), "GRAPH_API_URL=" + b.graph.URL + "/", "SEND_RATE_PER_ACCOUNT=0", "LOG_LEVEL=ERROR"}, more...)...))
	require.NoError(b.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- sender.Run(ctx, cfg) }()
	return func() error {
		cancel()
		return <-done
	}
}

func (b *bench) intents(customers, each int) (ids int) {
	b.t.Helper()
	var out []pipeline.Outgoing
	for n := range each {
		for c := range customers {
			text := fmt.Sprintf("%d", n)
			i := dm.ReplyIntent{
				ID: fmt.Sprintf("in_%d_%d", c, n), Conversation: dm.Conversation{Channel: dm.ChannelInstagram, Account: account, Customer: fmt.Sprint(c)},
				Origin: dm.OriginRule, CreatedAt: time.Now(), Parts: []dm.Part{{Kind: dm.PartText, Text: text}},
			}
			out = append(out, b.p.Intent(i, "ev_"+text, "ev_"+text))
		}
	}
	require.NoError(b.t, b.p.Publish(b.t.Context(), out...))
	return len(out)
}

func (b *bench) delivered() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.deliveries)
}

func TestIntentsBecomeDeliveries(t *testing.T) {
	t.Parallel()
	b := start(t)
	stop := b.sender()
	want := b.intents(20, 10)
	require.Eventually(t, func() bool { return b.delivered() == want }, time.Minute, 10*time.Millisecond)
	require.NoError(t, stop())
	for c := range 20 {
		require.Equal(t, []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}, b.sent[fmt.Sprint(c)], "in order, once")
	}
	for _, e := range b.deliveries {
		require.Equal(t, dm.OutcomeSent, e.Data.Outcome)
		require.Equal(t, e.Data.IntentID, e.CausationID)
		require.NotEmpty(t, e.CorrelationID)
	}
}

// A stop in the middle: what had begun is finished and told, what had not is sent by the next one, nothing twice.
func TestAStopInTheMiddle(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.hold = make(chan struct{})
	stop := b.sender("MAX_IN_FLIGHT=4")
	want := b.intents(10, 3)
	for range 4 {
		<-b.calling
	}
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	select {
	case err := <-stopped:
		require.Fail(t, "calls were torn apart", "%v", err)
	case <-time.After(200 * time.Millisecond):
	}
	close(b.hold)
	require.NoError(t, <-stopped)
	require.Eventually(t, func() bool { return b.delivered() == 4 }, time.Minute, 10*time.Millisecond)

	stop = b.sender()
	require.Eventually(t, func() bool { return b.delivered() == want }, time.Minute, 10*time.Millisecond)
	require.NoError(t, stop())
	for c := range 10 {
		require.Equal(t, []string{"0", "1", "2"}, b.sent[fmt.Sprint(c)])
	}
	for _, e := range b.deliveries {
		require.Equal(t, dm.OutcomeSent, e.Data.Outcome)
	}
}

// NATS goes away while calls are under way: their outcomes are not lost, the rest waits, and nothing is sent twice.
func TestNATSRestartsDuringCalls(t *testing.T) {
	t.Parallel()
	b := start(t)
	b.hold = make(chan struct{})
	stop := b.sender("MAX_IN_FLIGHT=8")
	want := b.intents(16, 4)
	for range 8 {
		<-b.calling
	}
	b.server.Down()
	close(b.hold)
	b.server.Up()
	require.Eventually(t, func() bool { return b.delivered() == want }, time.Minute, 20*time.Millisecond)
	require.NoError(t, stop())
	for c := range 16 {
		require.Equal(t, []string{"0", "1", "2", "3"}, b.sent[fmt.Sprint(c)])
	}
	for _, e := range b.deliveries {
		require.Equal(t, dm.OutcomeSent, e.Data.Outcome, e.Data.Reason)
	}
}

// While a customer sees typing, others are answered: with room for one message at a time, all of them wait at once.
func TestTypingHoldsNobodyElseUp(t *testing.T) {
	t.Parallel()
	const customers, typing = 15, 2 * time.Second
	b := start(t)
	stop := b.sender("MAX_IN_FLIGHT=1", "TYPING_TIME="+typing.String(), "MARK_SEEN=true")
	began := time.Now()
	want := b.intents(customers, 1)
	require.Eventually(t, func() bool { return b.delivered() == want }, time.Minute, 10*time.Millisecond)
	took := time.Since(began)
	require.NoError(t, stop())
	require.GreaterOrEqual(t, took, typing)
	require.Less(t, took, customers*typing, "one after another")
	require.Equal(t, 2*customers, b.shown)
}

func TestHelpNamesEveryVariable(t *testing.T) {
	t.Parallel()
	var out, errs safe
	s := run.Service[sender.Config]{Name: sender.Name, Summary: "x", Run: sender.Run}
	require.Equal(t, run.ExitOK, s.Execute(t.Context(), []string{"--help"}, nil, &out, &errs))
	for _, name := range []string{"GRAPH_API_URL", "GRAPH_API_VERSION", "FACEBOOK_APP_ID", "FACEBOOK_APP_SECRET", "INSTAGRAM_PAGE_ACCESS_TOKEN", "SEND_RATE_PER_ACCOUNT", "MAX_IN_FLIGHT", "SEND_TIMEOUT", "DOUBT_TIMEOUT", "MARK_SEEN", "TYPING_TIME"} {
		require.Contains(t, out.text, name)
	}
}

type safe struct{ text string }

func (s *safe) Write(p []byte) (int, error) {
	s.text += string(p)
	return len(p), nil
}
