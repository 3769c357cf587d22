package intake_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	realbus "github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/dm"
	meta "github.com/parley-dm/parley/pkg/meta/webhook"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/services/ingress/internal/intake"
	"github.com/parley-dm/parley/services/ingress/internal/spool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bus is one that takes what it is given, or waits until the caller gives up, or refuses.
type bus struct {
	mu      sync.Mutex
	joined  bool
	away    bool
	err     error
	poison  string        // the id of an event that is never taken
	hold    chan struct{} // those that come wait for it, and get no acknowledgement
	calls   int
	flights [][]string // the ids of each that was taken
}

// Event makes what a stage that has not joined makes.
func (b *bus) Event(e dm.Event, cause string) pipeline.Outgoing {
	return (&pipeline.Pipeline{}).Event(e, cause)
}

func (b *bus) set(change func(b *bus)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(b)
}

func (b *bus) Joined() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.joined
}

func (b *bus) Publish(ctx context.Context, out ...pipeline.Outgoing) error {
	b.mu.Lock()
	away, hold := b.away, b.hold
	b.calls++
	b.mu.Unlock()
	if away {
		<-ctx.Done()
		return ctx.Err()
	}
	if hold != nil {
		<-hold
		return context.DeadlineExceeded
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	ids := make([]string, len(out))
	for i, o := range out {
		if ids[i] = o.ID(); b.poison != "" && ids[i] == b.poison {
			return realbus.Permanent(errors.New("too large"))
		}
	}
	if b.err == nil {
		b.flights = append(b.flights, ids)
	}
	return errors.Join(b.err, ctx.Err())
}

func (b *bus) taken() [][]string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.flights)
}

// alone is the fence of a replica that has no others, or has some that hold everything.
type alone struct {
	mu       sync.Mutex
	closed   bool
	tellings int
}

func (a *alone) shut(yes bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = yes
}

func (a *alone) Open([]uint16) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.closed
}

func (a *alone) Live() bool { return true }

func (a *alone) May(records []spool.Record) (int, <-chan struct{}) {
	if !a.Open(nil) {
		return 0, nil
	}
	return len(records), nil
}

func (a *alone) Tell(context.Context) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tellings++
}

func (a *alone) Note() {}

func (a *alone) told() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.tellings
}

type bundle struct {
	*intake.Intake
	bus     *bus
	fence   *alone
	spool   *spool.Spool
	metrics *prometheus.Registry
}

func setup(t *testing.T, change ...func(*intake.Deps, *spool.Options)) *bundle {
	t.Helper()
	b := &bundle{bus: &bus{joined: true}, fence: &alone{}, metrics: prometheus.NewRegistry()}
	log := slog.New(slog.DiscardHandler)
	o := spool.Options{Dir: t.TempDir(), MaxBytes: 16 << 20, Log: log, Metrics: b.metrics}
	d := intake.Deps{
		Bus: b.bus, Log: log, Metrics: b.metrics, Answers: func(dm.Channel, string) bool { return true }, BusWithin: time.Millisecond, AnswerWithin: time.Minute, LeastWait: time.Second,
	}
	for _, f := range change {
		f(&d, &o)
	}
	var err error
	b.spool, err = spool.Open(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.spool.Close()) })
	d.Spool, d.Fence = b.spool, b.fence
	b.Intake = intake.New(d)
	return b
}

// drain publishes the spool until the test ends.
func (b *bundle) drain(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Drain(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
}

func (b *bundle) awaitEmpty(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool { return b.spool.Stats().Webhooks == 0 }, 20*time.Second, time.Millisecond)
}

// webhook has one message for each "customer mid".
func webhook(t *testing.T, messages ...string) intake.Webhook {
	t.Helper()
	body := meta.Body{Object: "instagram", Entry: []meta.Entry{{ID: "1", Time: 1762000000500}}}
	for _, m := range messages {
		customer, mid, _ := strings.Cut(m, " ")
		body.Entry[0].Messaging = append(body.Entry[0].Messaging, meta.Item{
			Sender: &meta.Party{ID: customer}, Recipient: &meta.Party{ID: "1"}, Timestamp: 1762000000000, Message: &meta.Message{MID: mid, Text: "x"},
		})
	}
	raw, err := body.Encode()
	require.NoError(t, err)
	at := time.Now()
	events, err := meta.Parse(raw, meta.Options{ReceivedAt: at, Known: func(dm.Channel, string) bool { return true }})
	require.NoError(t, err)
	return intake.Webhook{Request: "r", ReceivedAt: at, Raw: raw, Events: events}
}

// ids are those of the events of webhooks.
func ids(webhooks ...intake.Webhook) []string {
	var out []string
	for _, w := range webhooks {
		for i := range w.Events {
			out = append(out, w.Events[i].ID)
		}
	}
	return out
}

func TestTakesAllInOneFlight(t *testing.T) {
	t.Parallel()
	b := setup(t)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	w := webhook(t, "7001 a", "7002 b")
	w.Events[1].Kind, w.Events[1].KnownAccount = dm.KindUnknown, false
	require.NoError(t, b.Take(gone, w), "a client that has hung up does not undo what has begun")
	require.Equal(t, [][]string{ids(w)}, b.bus.taken())
	require.NoError(t, b.Take(t.Context(), intake.Webhook{}))
	require.Len(t, b.bus.taken(), 1, "nothing in it, nothing to publish")
	require.NoError(t, testutil.GatherAndCompare(b.metrics, strings.NewReader(`
# HELP ingress_events_total Events that the bus has acknowledged, by kind and by whether their account is answered for.
# TYPE ingress_events_total counter
ingress_events_total{kind="message",known_account="true"} 1
ingress_events_total{kind="unknown",known_account="false"} 1
`), "ingress_events_total"))
}

// A server may refuse one message of a flight for a moment and take the next: no two of a conversation are in one.
func TestTheNextOfAConversationGoesWhenTheOneBeforeIsAcknowledged(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := webhook(t, "7001 a", "7002 b", "7001 c", "7003 d", "7001 e", "7002 f")
	require.NoError(t, b.Take(t.Context(), w))
	all := ids(w)
	require.Equal(t, [][]string{{all[0], all[1], all[3]}, {all[2], all[5]}, {all[4]}}, b.bus.taken())
}

func TestWhileTheBusIsAway(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.bus.set(func(b *bus) { b.away = true })
	first, second, other := webhook(t, "7001 a", "7002 b"), webhook(t, "7001 c"), webhook(t, "7003 d")
	require.NoError(t, b.Take(t.Context(), first), "it waits for the bus, then goes to the spool")
	require.NoError(t, b.Take(t.Context(), second))
	require.NoError(t, b.Check(t.Context()))
	require.Equal(t, 2, b.spool.Stats().Webhooks)
	require.True(t, b.spool.Stats().Oldest.Equal(first.ReceivedAt))

	// It is back: but the spool, which finds that out, goes first.
	b.bus.set(func(b *bus) { b.away = false })
	require.NoError(t, b.Take(t.Context(), other))
	require.Empty(t, b.bus.taken())
	require.Equal(t, 3, b.spool.Stats().Webhooks)
	b.drain(t)
	b.awaitEmpty(t)
	require.Equal(t, append(ids(first, other), ids(second)...), slices.Concat(b.bus.taken()...))

	late := webhook(t, "7001 e")
	require.NoError(t, b.Take(t.Context(), late))
	require.Equal(t, ids(late), b.bus.taken()[len(b.bus.taken())-1], "and then everything goes straight again")
	require.Zero(t, b.spool.Stats().Webhooks)
}

// When the bus is back, only conversations that have something in the spool take the way through it.
func TestOthersGoStraightWhileTheSpoolIsEmptied(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.bus.set(func(b *bus) { b.joined = false })
	waits := webhook(t, "7001 a")
	require.NoError(t, b.Take(t.Context(), waits), "at once: it is known to be away")
	b.bus.set(func(b *bus) { b.joined = true })
	behind, other := webhook(t, "7001 b", "7002 x"), webhook(t, "7003 c")
	require.NoError(t, b.Take(t.Context(), behind))
	require.NoError(t, b.Take(t.Context(), other))
	require.Equal(t, [][]string{ids(other)}, b.bus.taken())
	b.drain(t)
	b.awaitEmpty(t)
	require.Equal(t, [][]string{ids(other), {ids(waits)[0], ids(behind)[1]}, {ids(behind)[0]}}, b.bus.taken())
}

// What waits in another replica's spool is older: the webhook waits for it, then takes its place here, and others are told before it
// is answered.
func TestBehindTheSpoolOfAnotherReplica(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.fence.shut(true)
	first := webhook(t, "7001 a")
	require.NoError(t, b.Take(t.Context(), first))
	require.Empty(t, b.bus.taken())
	require.Equal(t, 1, b.spool.Stats().Webhooks)
	require.Equal(t, 1, b.fence.told())
	b.drain(t)
	second := webhook(t, "7001 b")
	require.NoError(t, b.Take(t.Context(), second))
	require.Empty(t, b.bus.taken(), "nor does the spool overtake it")
	b.fence.shut(false)
	b.awaitEmpty(t)
	require.Equal(t, ids(first, second), slices.Concat(b.bus.taken()...))

	b.fence.shut(true)
	done, third := make(chan error, 1), webhook(t, "7002 c")
	go func() { done <- b.Take(t.Context(), third) }()
	b.fence.shut(false)
	require.NoError(t, <-done)
	b.awaitEmpty(t)
	require.Len(t, slices.Concat(b.bus.taken()...), 3)
}

// A webhook that the bus is slow with keeps those behind it in its conversation waiting, and no others.
func TestOneConversationInTurn(t *testing.T) {
	t.Parallel()
	b := setup(t, func(d *intake.Deps, _ *spool.Options) { d.BusWithin = time.Minute })
	hold := make(chan struct{})
	b.bus.set(func(b *bus) { b.hold = hold })
	first, second := webhook(t, "7001 a"), webhook(t, "7001 b")
	done := make(chan error, 2)
	go func() { done <- b.Take(t.Context(), first) }()
	require.Eventually(t, func() bool {
		calls := 0
		b.bus.set(func(b *bus) { calls = b.calls })
		return calls == 1
	}, 10*time.Second, time.Millisecond)
	b.bus.set(func(b *bus) { b.hold = nil })
	go func() { done <- b.Take(t.Context(), second) }()
	require.NoError(t, b.Take(t.Context(), webhook(t, "7002 c")))
	require.Len(t, b.bus.taken(), 1, "the second of the conversation does not overtake the first")
	close(hold)
	require.NoError(t, <-done)
	require.NoError(t, <-done)
	b.drain(t)
	b.awaitEmpty(t)
	require.Equal(t, ids(first, second), slices.Concat(b.bus.taken()[1:]...))
}

func TestNowhereToPutIt(t *testing.T) {
	t.Parallel()
	b := setup(t, func(_ *intake.Deps, o *spool.Options) { o.MaxBytes = 8 << 10 })
	b.bus.set(func(b *bus) { b.joined = false })
	require.Eventually(t, func() bool { return errors.Is(b.Take(t.Context(), webhook(t, "7001 a")), intake.ErrUnavailable) }, 10*time.Second, time.Nanosecond)
	require.ErrorContains(t, b.Check(t.Context()), "the bus is away, and the spool is full")
	b.bus.set(func(b *bus) { b.joined, b.away = true, true })
	err := b.Take(t.Context(), webhook(t, "7002 a"))
	require.ErrorIs(t, err, intake.ErrUnavailable)
	require.ErrorIs(t, err, context.DeadlineExceeded, "and says why")
	require.ErrorIs(t, err, spool.ErrFull)
	b.bus.set(func(b *bus) { b.away = false })
	require.NoError(t, b.Take(t.Context(), webhook(t, "7002 b")), "the bus alone will do")
}

func TestWhatTheBusWillNeverTakeIsNotSpooled(t *testing.T) {
	t.Parallel()
	b := setup(t)
	w := webhook(t, "7001 a")
	b.bus.set(func(b *bus) { b.poison = ids(w)[0] })
	require.ErrorIs(t, b.Take(t.Context(), w), intake.ErrUnavailable)
	require.Zero(t, b.spool.Stats().Webhooks)
}

// If it is in the spool all the same, it holds nothing up, and is kept for a person.
func TestWhatTheBusWillNeverTakeIsSetAside(t *testing.T) {
	t.Parallel()
	var dir string
	b := setup(t, func(_ *intake.Deps, o *spool.Options) { dir = o.Dir })
	b.bus.set(func(b *bus) { b.joined = false })
	w, after := webhook(t, "7001 a", "7002 b", "7001 c"), webhook(t, "7001 d")
	require.NoError(t, b.Take(t.Context(), w))
	require.NoError(t, b.Take(t.Context(), after))
	b.bus.set(func(b *bus) { b.joined, b.poison = true, ids(w)[0] })
	b.drain(t)
	b.awaitEmpty(t)
	require.Equal(t, append(ids(w)[1:], ids(after)...), slices.Concat(b.bus.taken()...))
	kept, err := filepath.Glob(filepath.Join(dir, "*.damaged"))
	require.NoError(t, err)
	require.Len(t, kept, 1)
	n, err := testutil.GatherAndCount(b.metrics, "ingress_spool_refused_total")
	require.NoError(t, err)
	require.Equal(t, 1, n)
}
