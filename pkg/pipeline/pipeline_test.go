package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/bus/bustest"
	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/envelope"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/pkg/topology"
)

const account = "17841400000000001"

// process opens stages that share a connection, as standalone's do.
type process struct {
	t    testing.TB
	host *pipeline.Host
}

func newProcess(t testing.TB, server *bustest.Server) *process {
	t.Helper()
	tel, err := telemetry.Start(t.Context(), telemetry.Options{Service: "test", Common: common(), LogTo: io.Discard, NoAdmin: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, tel.Close(context.Background())) })
	return &process{t: t, host: &pipeline.Host{Telemetry: tel, Conn: server.Connect()}}
}

func common() config.Common {
	return config.Common{AppName: "test", Environment: "development", LogLevel: "INFO", AdminAddr: "127.0.0.1:0", ShutdownTimeout: 10 * time.Second}
}

func (p *process) open(service string) *pipeline.Pipeline {
	p.t.Helper()
	stage, err := pipeline.Open(p.t.Context(), pipeline.Options{Service: service, Common: common(), NATS: config.NATS{Replicas: 1}, Host: p.host})
	require.NoError(p.t, err)
	p.t.Cleanup(func() { require.NoError(p.t, stage.Close()) })
	return stage
}

// run runs a stage until the returned function is called, or the test ends.
func (p *process) run(stage *pipeline.Pipeline) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- stage.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(p.t, <-done)
	})
	p.t.Cleanup(stop)
	return stop
}

func event(customer string, n int) dm.Event {
	c := dm.Conversation{Channel: dm.ChannelInstagram, Account: account, Customer: customer}
	mid := fmt.Sprintf("m_%s_%d", customer, n)
	now := time.Now().UTC()
	return dm.Event{ID: dm.EventID(c.Channel, account, dm.KindMessage, mid), Conversation: c, Kind: dm.KindMessage, MID: mid, Text: fmt.Sprint(n), KnownAccount: true, Time: now, ReceivedAt: now}
}

func answer(e envelope.Envelope[dm.Event]) dm.ReplyIntent {
	return dm.ReplyIntent{
		ID: dm.IntentID(e.ID, 0), EventID: e.ID, Conversation: e.Data.Conversation, Origin: dm.OriginFallback,
		Parts: []dm.Part{{Kind: dm.PartText, Text: "re: " + e.Data.Text}}, CreatedAt: time.Now().UTC(),
	}
}

// TestARoundTrip sends events through a stage that answers them and one that delivers, and reads what comes out.
func TestARoundTrip(t *testing.T) {
	t.Parallel()
	p := newProcess(t, bustest.Start(t))
	ingress, responder, sender, archiver := p.open("ingress"), p.open("responder"), p.open("sender"), p.open("archiver")

	require.NoError(t, responder.HandleEvents("events", pipeline.Consume{}, func(_ context.Context, e envelope.Envelope[dm.Event]) ([]pipeline.Outgoing, error) {
		return []pipeline.Outgoing{responder.Intent(answer(e), e.CorrelationID, e.ID)}, nil
	}))
	require.NoError(t, sender.HandleIntents("intents", pipeline.Consume{}, func(_ context.Context, e envelope.Envelope[dm.ReplyIntent]) ([]pipeline.Outgoing, error) {
		d := dm.Delivery{ID: dm.DeliveryID(e.ID, 0, dm.OutcomeSent), IntentID: e.ID, Of: 1, Conversation: e.Data.Conversation, Outcome: dm.OutcomeSent, Message: e.Data.Parts[0], SentAt: time.Now().UTC()}
		return []pipeline.Outgoing{sender.Delivery(d, e.CorrelationID, e.ID)}, nil
	}))
	got := make(chan envelope.Envelope[dm.Delivery], 100)
	handle := func(_ context.Context, e envelope.Envelope[dm.Delivery]) ([]pipeline.Outgoing, error) {
		got <- e
		return nil, nil
	}
	require.ErrorContains(t, archiver.HandleDeliveries("owned", pipeline.Consume{}, handle), "Shared")
	require.NoError(t, archiver.HandleDeliveries("deliveries", pipeline.Consume{Shared: true}, handle))
	for _, stage := range []*pipeline.Pipeline{responder, sender, archiver} {
		p.run(stage)
	}

	const customers, each = 5, 4
	var out []pipeline.Outgoing
	first := map[string]string{}
	for n := range each {
		for c := range customers {
			e := event(fmt.Sprint(7000+c), n)
			first[e.ID] = e.Text
			out = append(out, ingress.Event(e, "req_1"), ingress.Event(e, "req_2")) // delivered twice by Meta
		}
	}
	require.NoError(t, ingress.Publish(t.Context(), out...))
	for range customers * each {
		select {
		case e := <-got:
			require.Equal(t, "re: "+first[e.CorrelationID], e.Data.Message.Text)
			require.Equal(t, e.Data.IntentID, e.CausationID)
			delete(first, e.CorrelationID)
		case <-time.After(30 * time.Second):
			require.FailNow(t, "deliveries are missing")
		}
	}
	require.Empty(t, first, "each event came out once")
}

func TestAHandlersErrorAndAPayloadThatIsNoEnvelope(t *testing.T) {
	t.Parallel()
	p := newProcess(t, bustest.Start(t))
	stage := p.open("responder")
	handled := make(chan string, 10)
	require.NoError(t, stage.HandleEvents("events", pipeline.Consume{Shared: true}, func(_ context.Context, e envelope.Envelope[dm.Event]) ([]pipeline.Outgoing, error) {
		if e.Data.Text == "1" {
			return nil, bus.Permanent(errors.New("no answer to this"))
		}
		handled <- e.Data.Text
		return nil, nil
	}))
	p.run(stage)
	_, err := p.host.Conn.JetStream().Publish(t.Context(), "dm.event.0."+account+".message", []byte("not an envelope"))
	require.NoError(t, err)
	require.NoError(t, stage.Publish(t.Context(), stage.Event(event("7001", 1), ""), stage.Event(event("7001", 2), "")))
	require.Equal(t, "2", <-handled)

	dead, err := p.host.Conn.JetStream().Stream(t.Context(), topology.Dead.Name)
	require.NoError(t, err)
	reasons := map[string]*jetstream.RawStreamMsg{}
	require.Eventually(t, func() bool {
		for seq := range uint64(2) {
			if m, err := dead.GetMsg(context.Background(), seq+1); err == nil {
				reasons[m.Header.Get(bus.DeadReason)] = m
			}
		}
		return len(reasons) == 2
	}, 20*time.Second, 5*time.Millisecond)
	letter := reasons["no answer to this"]
	require.NotNil(t, letter)
	require.Equal(t, topology.DeadSubject("responder", account), letter.Subject)
	back, err := envelope.Decode[dm.Event](letter.Data)
	require.NoError(t, err, "the envelope is as it was")
	require.Equal(t, "1", back.Data.Text)
}

func TestAStopWaitsForWhatRuns(t *testing.T) {
	t.Parallel()
	server := bustest.Start(t)
	p := newProcess(t, server)
	stage := p.open("responder")
	started, release := make(chan struct{}), make(chan struct{})
	require.NoError(t, stage.HandleEvents("events", pipeline.Consume{}, func(ctx context.Context, e envelope.Envelope[dm.Event]) ([]pipeline.Outgoing, error) {
		close(started)
		<-release
		return []pipeline.Outgoing{stage.Intent(answer(e), e.CorrelationID, e.ID)}, ctx.Err()
	}))
	stop := p.run(stage)
	require.NoError(t, stage.Publish(t.Context(), stage.Event(event("7001", 1), "")))
	<-started
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	select {
	case <-stopped:
		require.Fail(t, "the stop did not wait")
	case <-time.After(50 * time.Millisecond):
	}
	close(release)
	<-stopped
	intents, err := p.host.Conn.JetStream().Stream(t.Context(), topology.Intents.Name)
	require.NoError(t, err)
	require.Equal(t, uint64(1), intents.CachedInfo().State.Msgs)

	// Another takes over at once and gets nothing of what was settled.
	other := p.open("responder")
	got := make(chan string, 10)
	require.NoError(t, other.HandleEvents("events", pipeline.Consume{}, func(_ context.Context, e envelope.Envelope[dm.Event]) ([]pipeline.Outgoing, error) {
		got <- e.Data.Text
		return nil, nil
	}))
	p.run(other)
	require.NoError(t, other.Publish(t.Context(), other.Event(event("7001", 2), "")))
	require.Equal(t, "2", <-got)
}

func TestAStageWithoutHandlersRunsUntilItIsStopped(t *testing.T) {
	t.Parallel()
	p := newProcess(t, bustest.Start(t))
	p.run(p.open("ingress"))()
}
