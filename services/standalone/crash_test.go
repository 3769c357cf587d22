package standalone_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/bus/bustest"
	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/envelope"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/pkg/topology"
	"github.com/parley-dm/parley/services/ingress"
	"github.com/parley-dm/parley/services/sender"
	"github.com/parley-dm/parley/services/simulator"
)

// crashEnv makes the test binary a sender that kills itself at a step; with an empty one it does not.
const crashEnv = "PARLEY_TEST_CRASH_AT"

// sendUntil is that sender. It kills itself with SIGKILL: nothing is flushed, closed or told.
func sendUntil(step string) int {
	cfg, err := config.Load[sender.Config](os.Environ())
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		return 2
	}
	if step != "" {
		cfg.At = func(at string) {
			if at == step {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {} // until it arrives
			}
		}
	}
	if err := sender.Run(context.Background(), cfg); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// outbound is what surrounds a sender: a bus, an ingress for the echoes, and Meta. Intents are made by the test.
type outbound struct {
	t       *testing.T
	meta    *simulator.Simulator
	environ []string
	p       *pipeline.Pipeline

	mu         sync.Mutex
	deliveries map[string]dm.Delivery
	deaf       map[string]bool // customers that the conversations endpoint does not answer for
	// late keeps the Send API's answers back, while the echoes of what was sent come.
	late chan struct{}
}

func newOutbound(t *testing.T) *outbound {
	t.Helper()
	o := &outbound{t: t, deliveries: map[string]dm.Delivery{}, deaf: map[string]bool{}}
	server, port := bustest.Start(t), freePort(t)
	meta, err := config.Load[simulator.Config]([]string{"WEBHOOK_URL=http://127.0.0.1:" + port + "/webhooks/instagram"})
	require.NoError(t, err)
	o.meta, err = simulator.New(meta)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, o.meta.Close()) })
	played := o.meta.Handler()
	graph := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		deaf := o.deaf[r.URL.Query().Get("user_id")]
		o.mu.Unlock()
		if deaf {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		played.ServeHTTP(w, r)
		if r.Method == http.MethodPost {
			o.answering()
		}
	}))
	t.Cleanup(graph.Close)
	o.environ = []string{
		"NATS_URL=" + server.URL(), "GRAPH_API_URL=" + graph.URL, "FACEBOOK_APP_SECRET=demo-secret", "INSTAGRAM_PAGE_ID=" + page,
		"INSTAGRAM_PAGE_ACCESS_TOKEN=demo-token", "SEND_TIMEOUT=1s", "DOUBT_TIMEOUT=31s", "LEASE_TTL=1s", "ADMIN_ADDR=127.0.0.1:0", "LOG_LEVEL=ERROR",
	}
	in, err := config.Load[ingress.Config]([]string{
		"HOST=127.0.0.1", "PORT=" + port, "FACEBOOK_APP_SECRET=demo-secret", "FACEBOOK_VERIFY_TOKEN=v", "INSTAGRAM_PAGE_ID=" + page,
		"SPOOL_DIR=" + t.TempDir(),
	})
	require.NoError(t, err)
	host := &pipeline.Host{Telemetry: telemetry.Discard(), Conn: server.Connect()}
	in.Host = host
	o.p, err = pipeline.Open(t.Context(), pipeline.Options{Service: "test", Common: in.Common, NATS: in.NATS, Host: host})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, o.p.Close()) })
	require.NoError(t, o.p.HandleDeliveries("deliveries", pipeline.Consume{Shared: true}, func(_ context.Context, e envelope.Envelope[dm.Delivery]) ([]pipeline.Outgoing, error) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.deliveries[e.ID] = e.Data
		return nil, nil
	}))
	o.background(func(ctx context.Context) error { return ingress.Run(ctx, in) })
	o.background(o.p.Run)
	return o
}

// answering waits, if answers are to be late, until they may come.
func (o *outbound) answering() {
	o.mu.Lock()
	late := o.late
	o.mu.Unlock()
	if late != nil {
		<-late
	}
}

// background runs something until the test ends.
func (o *outbound) background(f func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	o.t.Cleanup(func() {
		cancel()
		require.NoError(o.t, <-done)
	})
}

// ask has a customer write and publishes the intents that answer, one for each text.
func (o *outbound) ask(customer string, texts ...string) {
	o.t.Helper()
	m, err := o.meta.Say(simulator.Action{Key: simulator.Key{Account: page, Customer: customer}, Text: "hello?"})
	require.NoError(o.t, err)
	var out []pipeline.Outgoing
	for n, text := range texts {
		i := dm.ReplyIntent{
			ID: dm.IntentID(dm.EventID(dm.ChannelInstagram, page, dm.KindMessage, m.MID), n), Origin: dm.OriginRule, CreatedAt: time.Now().UTC(),
			Conversation: dm.Conversation{Channel: dm.ChannelInstagram, Account: page, Customer: customer},
			Parts:        []dm.Part{{Kind: dm.PartText, Text: text}},
		}
		out = append(out, o.p.Intent(i, m.MID, m.MID))
	}
	require.NoError(o.t, o.p.Publish(o.t.Context(), out...))
}

// received are the messages that a customer has from us.
func (o *outbound) received(customer string) (texts, mids []string) {
	for _, m := range o.meta.Messages(simulator.Key{Account: page, Customer: customer}) {
		if !m.FromCustomer {
			texts, mids = append(texts, m.Text), append(mids, m.MID)
		}
	}
	return texts, mids
}

// told are the outcomes and mids of a customer's deliveries.
func (o *outbound) told(customer string) (outcomes []dm.Outcome, mids []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, d := range o.deliveries {
		if d.Customer == customer {
			outcomes = append(outcomes, d.Outcome)
			if d.MID != "" {
				mids = append(mids, d.MID)
			}
		}
	}
	return outcomes, mids
}

// settled waits for so many deliveries of a customer.
func (o *outbound) settled(customer string, n int) {
	o.t.Helper()
	require.Eventually(o.t, func() bool {
		outcomes, _ := o.told(customer)
		return len(outcomes) >= n
	}, 2*patience, poll, "customer %s", customer)
}

// process starts a sender as a process of its own.
func (o *outbound) process(step string) (*exec.Cmd, *bytes.Buffer) {
	o.t.Helper()
	exe, err := os.Executable()
	require.NoError(o.t, err)
	var stderr bytes.Buffer
	cmd := exec.CommandContext(o.t.Context(), exe)
	cmd.Env, cmd.Stderr = append(slices.Clone(o.environ), crashEnv+"="+step), &stderr
	require.NoError(o.t, cmd.Start())
	return cmd, &stderr
}

// A sender that is killed at any point between an intent and its acknowledgement, once for good and then started again:
// every message reaches the customer exactly once, in order, and what is told of it is true. Two of the three texts are the
// same, and the customer hears both.
func TestASenderIsKilledAtEachPoint(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"before the claim", "after the claim", "after the call", "after the outcome is written", sender.BeforeAck} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			o := newOutbound(t)
			texts := []string{"the same", "the same", "another"}
			o.ask("7001", texts...)
			killed, stderr := o.process(step)
			_ = killed.Wait()
			status, _ := killed.ProcessState.Sys().(syscall.WaitStatus)
			require.Equal(t, syscall.SIGKILL, status.Signal(), "%s", stderr.String())
			got, _ := o.received("7001")
			require.Equal(t, slices.Contains([]string{"before the claim", "after the claim"}, step), len(got) == 0, "it was killed where it should be")

			heir, stderr := o.process("")
			o.settled("7001", len(texts))
			require.NoError(t, heir.Process.Kill())
			_ = heir.Wait()
			got, sent := o.received("7001")
			require.Equal(t, texts, got, "%s", stderr.String())
			outcomes, mids := o.told("7001")
			require.Equal(t, []dm.Outcome{dm.OutcomeSent, dm.OutcomeSent, dm.OutcomeSent}, outcomes)
			require.ElementsMatch(t, sent, mids, "each delivery names the message that it is about")
		})
	}
}

// Whatever is lost on the way back, it is found out what came of the message. Only where Meta answers neither with an echo
// nor when it is asked is the outcome unknown.
func TestWhatIsLostOnTheWayBackIsFoundOut(t *testing.T) {
	t.Parallel()
	o := newOutbound(t)
	cfg, err := config.Load[sender.Config](o.environ)
	require.NoError(t, err)
	type faults = []simulator.Fault
	after, before := simulator.Fault{Kind: "reset_after"}, simulator.Fault{Kind: "reset_before"}
	anyway, mute := simulator.Fault{Kind: "sent_but_error"}, simulator.Fault{Kind: "no_echo"}
	cases := []struct {
		name    string
		faults  faults
		deaf    bool
		outcome dm.Outcome
	}{
		{"the answer is lost", faults{after}, false, dm.OutcomeSent},
		{"the answer and the echo are lost", faults{after, mute}, false, dm.OutcomeSent},
		{"the request is lost", faults{before}, false, dm.OutcomeSent},
		{"an error although it was sent", faults{anyway}, false, dm.OutcomeSent},
		{"an error although it was sent, without an echo", faults{anyway, mute}, false, dm.OutcomeSent},
		{"the answer is lost, the endpoint is down", faults{after}, true, dm.OutcomeSent},
		{"everything is lost", faults{after, mute}, true, dm.OutcomeUnknown},
	}
	customer := func(n int) string { return fmt.Sprint(7001 + n) }
	for n, c := range cases {
		for _, f := range c.faults {
			f.Customer, f.Count = customer(n), 1
			_, err := o.meta.AddFault(f)
			require.NoError(t, err)
		}
		o.deaf[customer(n)] = c.deaf
		o.ask(customer(n), "the same", "the same")
	}
	o.background(func(ctx context.Context) error { return sender.Run(ctx, cfg) })
	for n, c := range cases {
		o.settled(customer(n), 2)
		got, sent := o.received(customer(n))
		require.Equal(t, []string{"the same", "the same"}, got, c.name)
		outcomes, mids := o.told(customer(n))
		require.ElementsMatch(t, []dm.Outcome{c.outcome, dm.OutcomeSent}, outcomes, c.name)
		if c.outcome == dm.OutcomeSent {
			require.ElementsMatch(t, sent, mids, c.name)
		}
	}
}

// What is parked survives senders that are killed, one while it waits and one while it empties the queue: all of it leaves
// in order, once.
func TestSendersAreKilledWithAQueueParked(t *testing.T) {
	t.Parallel()
	o := newOutbound(t)
	_, err := o.meta.AddFault(simulator.Fault{Kind: "error", Code: 613, Subcode: 2534040, Account: page})
	require.NoError(t, err)
	customers, texts := []string{"7001", "7002", "7003"}, []string{"one", "two", "three", "four"}
	for _, c := range customers {
		o.ask(c, texts...)
	}
	nc, err := nats.Connect(strings.TrimPrefix(o.environ[0], "NATS_URL="))
	require.NoError(t, err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	parked := func() uint64 {
		stream, err := js.Stream(t.Context(), topology.Parked.Name)
		require.NoError(t, err)
		return stream.CachedInfo().State.Msgs
	}
	first, stderr := o.process("")
	require.Eventually(t, func() bool { return parked() == 12 }, patience, poll, "all are parked")
	require.NoError(t, first.Process.Kill())
	_ = first.Wait()
	o.meta.RemoveFaults()
	require.Zero(t, o.meta.Totals().Replies, "%s", stderr.String())

	second, stderr := o.process("after the call")
	_ = second.Wait()
	status, _ := second.ProcessState.Sys().(syscall.WaitStatus)
	require.Equal(t, syscall.SIGKILL, status.Signal(), "%s", stderr.String())
	require.Equal(t, 1, o.meta.Totals().Replies, "one tries whether the pause is over")

	heir, stderr := o.process("")
	for _, c := range customers {
		o.settled(c, len(texts))
	}
	require.Eventually(t, func() bool { return parked() == 0 }, patience, poll, "nothing stays behind")
	require.NoError(t, heir.Process.Kill())
	_ = heir.Wait()
	for _, c := range customers {
		got, sent := o.received(c)
		require.Equal(t, texts, got, "%s", stderr.String())
		outcomes, mids := o.told(c)
		require.Equal(t, []dm.Outcome{dm.OutcomeSent, dm.OutcomeSent, dm.OutcomeSent, dm.OutcomeSent}, outcomes)
		require.ElementsMatch(t, sent, mids)
	}
}
