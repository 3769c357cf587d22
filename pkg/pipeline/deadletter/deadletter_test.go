package deadletter_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/bus/bustest"
	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/envelope"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/pkg/pipeline/deadletter"
	"github.com/parley-dm/parley/pkg/pipeline/replay"
	"github.com/parley-dm/parley/pkg/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stage is a service that refuses events for as long as it is told to.
type stage struct {
	p    *pipeline.Pipeline
	conn *bus.Conn

	mu      sync.Mutex
	refuse  bool
	handled []string
}

func start(t *testing.T, conn *bus.Conn, service string, refuse bool) *stage {
	t.Helper()
	s := &stage{conn: conn, refuse: refuse}
	var err error
	s.p, err = pipeline.Open(t.Context(), pipeline.Options{
		Service: service, Common: config.Common{ShutdownTimeout: 10 * time.Second}, NATS: config.NATS{Replicas: 1},
		Host: &pipeline.Host{Telemetry: telemetry.Discard(), Conn: conn},
	})
	require.NoError(t, err)
	require.NoError(t, s.p.HandleEvents("test", pipeline.Consume{}, s.handle))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
		require.NoError(t, s.p.Close())
	})
	return s
}

func (s *stage) handle(_ context.Context, e envelope.Envelope[dm.Event]) ([]pipeline.Outgoing, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse {
		return nil, bus.Permanent(errors.New("the rule set is broken"))
	}
	s.handled = append(s.handled, e.ID)
	return nil, nil
}

func (s *stage) mend() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = false
}

func (s *stage) ids() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.handled...)
}

func event(account string, n int) dm.Event {
	c := dm.Conversation{Channel: dm.ChannelInstagram, Account: account, Customer: "7001"}
	return dm.Event{ID: fmt.Sprintf("ev_%s_%d", account, n), Conversation: c, Kind: dm.KindMessage, Text: "hi", Time: time.Now(), ReceivedAt: time.Now()}
}

func letters(t *testing.T, conn *bus.Conn, f deadletter.Filter) []deadletter.Letter {
	t.Helper()
	var out []deadletter.Letter
	require.NoError(t, deadletter.List(t.Context(), conn, f, func(l deadletter.Letter) (bool, error) {
		out = append(out, l)
		return true, nil
	}))
	return out
}

func TestListShowReplayDrop(t *testing.T) {
	t.Parallel()
	conn := bustest.Start(t).Connect()
	ctx := t.Context()
	broken := start(t, conn, "broken", true)
	healthy := start(t, conn, "healthy", false)
	for n := range 3 {
		require.NoError(t, broken.p.Publish(ctx, broken.p.Event(event("1784", n), "webhook"), broken.p.Event(event("1785", n), "webhook")))
	}
	require.Eventually(t, func() bool { return len(letters(t, conn, deadletter.Filter{})) == 6 }, 20*time.Second, 20*time.Millisecond)
	require.Eventually(t, func() bool { return len(healthy.ids()) == 6 }, 10*time.Second, 10*time.Millisecond)

	of1784 := letters(t, conn, deadletter.Filter{Stage: "broken", Account: "1784"})
	require.Len(t, of1784, 3)
	require.Len(t, letters(t, conn, deadletter.Filter{Reason: "RULE SET"}), 6)
	require.Empty(t, letters(t, conn, deadletter.Filter{Reason: "another"}))
	require.Empty(t, letters(t, conn, deadletter.Filter{OlderThan: time.Hour}))
	require.Empty(t, letters(t, conn, deadletter.Filter{Stage: "healthy"}))

	l, err := deadletter.Get(ctx, conn, of1784[0].Number)
	require.NoError(t, err)
	require.Equal(t, "broken", l.Stage)
	require.Equal(t, "permanent", l.Class)
	require.Equal(t, 1, l.Attempts)
	require.Contains(t, l.Reason, "the rule set is broken")
	decoded, err := envelope.Decode[dm.Event](l.Envelope)
	require.NoError(t, err, "the envelope is there as it was")
	require.Equal(t, l.ID, decoded.ID)
	_, err = deadletter.Get(ctx, conn, 999)
	require.ErrorIs(t, err, deadletter.ErrNone)

	// Mended: one account's letters are replayed, to the stage that gave up on them and to no other.
	broken.mend()
	n, err := deadletter.Replay(ctx, conn, deadletter.Filter{Account: "1784"}, "somebody")
	require.NoError(t, err)
	require.Equal(t, 3, n)
	require.Eventually(t, func() bool { return len(broken.ids()) == 3 }, 10*time.Second, 10*time.Millisecond)
	require.Equal(t, []string{"ev_1784_0", "ev_1784_1", "ev_1784_2"}, broken.ids())
	require.Len(t, letters(t, conn, deadletter.Filter{}), 3)

	// The replay says why it came and who asked.
	marked := 0
	require.NoError(t, replay.Each(ctx, conn.JetStream(), replay.Scan{Stream: "DM_EVENTS"}, func(msg jetstream.Msg, _ *jetstream.MsgMetadata) (bool, error) {
		if msg.Headers().Get(replay.HeaderTo) == "broken" {
			require.Equal(t, "somebody", msg.Headers().Get(replay.HeaderBy))
			require.Contains(t, msg.Headers().Get(replay.HeaderCause), "dead letter")
			marked++
		}
		return true, nil
	}))
	require.Equal(t, 3, marked)

	n, err = deadletter.Drop(ctx, conn, deadletter.Filter{Account: "1785"})
	require.NoError(t, err)
	require.Equal(t, 3, n)
	require.Empty(t, letters(t, conn, deadletter.Filter{}))
	require.Len(t, healthy.ids(), 6, "the other stage saw nothing of it")
}

func TestReplayOfAStretchReachesOneStage(t *testing.T) {
	t.Parallel()
	conn := bustest.Start(t).Connect()
	ctx := t.Context()
	responder, archiver := start(t, conn, "responder", false), start(t, conn, "archiver", false)
	for n := range 4 {
		require.NoError(t, responder.p.Publish(ctx, responder.p.Event(event("1784", n), ""), responder.p.Event(event("1785", n), "")))
	}
	require.Eventually(t, func() bool { return len(responder.ids()) == 8 && len(archiver.ids()) == 8 }, 20*time.Second, 10*time.Millisecond)

	request := replay.Request{Stage: "archiver", Account: "1784", By: "somebody", DryRun: true}
	result, err := replay.Run(ctx, conn, request)
	require.NoError(t, err)
	require.Equal(t, 4, result.Total())
	require.Zero(t, result.Published)

	request.DryRun = false
	result, err = replay.Run(ctx, conn, request)
	require.NoError(t, err)
	require.Equal(t, 4, result.Published)
	require.Eventually(t, func() bool { return len(archiver.ids()) == 12 }, 10*time.Second, 10*time.Millisecond)
	require.Equal(t, []string{"ev_1784_0", "ev_1784_1", "ev_1784_2", "ev_1784_3"}, archiver.ids()[8:])
	require.Len(t, responder.ids(), 8)

	// Replays are not replayed.
	request.DryRun = true
	result, err = replay.Run(ctx, conn, request)
	require.NoError(t, err)
	require.Equal(t, 4, result.Total())

	for _, bad := range []replay.Request{
		{Stage: "sender"}, {Stage: "archiver", Conversation: "nonsense"}, {Stage: "archiver", From: time.Now(), To: time.Now().Add(-time.Hour)},
	} {
		_, err := replay.Run(ctx, conn, bad)
		require.Error(t, err)
	}
}
