package backfill_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/pkg/alert"
	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/meta/graph"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/services/sender/internal/backfill"
	"github.com/parley-dm/parley/services/sender/internal/limit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	shop     = "17841400000000001"
	patience = 20 * time.Second
)

// thread is a conversation as Meta has it.
type thread struct {
	updated  time.Time
	messages []graph.Message
}

// world is Meta, the streams, the account and the clock. Its first n pages hold 50 conversations each.
type world struct {
	mu      sync.Mutex
	now     time.Time
	token   config.Secret
	owned   bool
	threads []thread
	// known came in or went out, since begun.
	known map[string]struct{}
	begun time.Time
	// plain: the app may not ask for more than the text. gone are messages that have no details any more; fail is what every
	// look at one answers with. long: more is known than can be looked through at once, further back than that.
	plain bool
	gone  map[string]bool
	fail  error
	long  time.Duration
	// spooled: webhooks wait in a spool; asked is how often that was wanted to be known.
	spooled bool
	asked   int
	// erased are messages that an operator has erased.
	erased map[string]bool

	sinces []time.Time
	pages  []int
	opened []string
	events [][]dm.Event
}

func (w *world) All() []accounts.Account {
	w.mu.Lock()
	defer w.mu.Unlock()
	return []accounts.Account{{ID: shop, Channel: dm.ChannelInstagram, Login: accounts.LoginFacebook, Token: w.token}}
}

func (w *world) Past(_ context.Context, _ string, since time.Time) (pipeline.Past, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.long > 0 && w.now.Sub(since) > w.long {
		return pipeline.Past{}, pipeline.ErrLongPast
	}
	if w.begun.IsZero() {
		return pipeline.Past{}, nil
	}
	if since.Before(w.begun) {
		since = w.begun
	}
	w.sinces = append(w.sinces, since)
	return pipeline.Past{Since: since, Latest: w.now, MIDs: w.known}, nil
}

func (w *world) Spooled(context.Context) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked++
	return w.spooled, nil
}

func (w *world) WithoutErased(_ context.Context, events []dm.Event) ([]dm.Event, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(events, func(e dm.Event) bool { return w.erased[e.MID] }), nil
}

func (w *world) Recent(_ context.Context, _ graph.Credentials, since time.Time, pages int, turn func(func() error) error) ([]graph.ConversationRef, bool, error) {
	if err := turn(func() error { return nil }); err != nil {
		return nil, false, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pages = append(w.pages, pages)
	var refs []graph.ConversationRef
	for n, t := range w.threads { // the latest first
		if t.updated.Before(since) {
			return refs, true, nil
		}
		if n == 50*pages {
			return refs, false, nil
		}
		refs = append(refs, graph.ConversationRef{ID: fmt.Sprint(n), Updated: t.updated})
	}
	return refs, true, nil
}

func (w *world) Messages(_ context.Context, _ graph.Credentials, conversation string) ([]graph.MessageRef, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.opened = append(w.opened, conversation)
	var n int
	_, _ = fmt.Sscan(conversation, &n)
	var refs []graph.MessageRef
	for _, m := range slices.Backward(w.threads[n].messages) {
		refs = append(refs, graph.MessageRef{ID: m.ID, Created: m.Created})
	}
	return refs, nil
}

func (w *world) FullMessage(_ context.Context, _ graph.Credentials, mid string) (graph.Message, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.plain {
		return graph.Message{}, &graph.Error{Code: 100, Rule: graph.Rule{Class: graph.ClassPermanent}}
	}
	return w.look(mid)
}

func (w *world) Message(_ context.Context, _ graph.Credentials, mid string) (graph.Message, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	m, err := w.look(mid)
	m.Attachments, m.StoryID = nil, ""
	return m, err
}

// look needs mu.
func (w *world) look(mid string) (graph.Message, error) {
	if w.fail != nil {
		return graph.Message{}, w.fail
	}
	if w.gone[mid] {
		return graph.Message{}, &graph.Error{Code: 9000001, Rule: graph.Rule{Class: graph.ClassNotFound}}
	}
	for _, t := range w.threads {
		for _, m := range t.messages {
			if m.ID == mid {
				return m, nil
			}
		}
	}
	return graph.Message{}, &graph.Error{Code: 100, Subcode: 33, Rule: graph.Rule{Class: graph.ClassPermanent}}
}

func (w *world) Aside(_ context.Context, _ string, call func() error) error { return call() }

func (w *world) publish(_ context.Context, events []dm.Event) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, events)
	for _, e := range events {
		w.known[e.MID] = struct{}{}
	}
	return nil
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

func setup() *world {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	return &world{now: now, token: "token", owned: true, known: map[string]struct{}{}, begun: now.Add(-12 * time.Hour), gone: map[string]bool{}}
}

// run looks after the account, once a second of the world's clock.
func (w *world) run(t *testing.T) {
	t.Helper()
	log, metrics := slog.New(slog.DiscardHandler), prometheus.NewRegistry()
	alerts, err := alert.New(alert.Settings{}, alert.Options{Service: "sender", Log: log, Metrics: metrics})
	require.NoError(t, err)
	k, err := backfill.New(backfill.Deps{
		Accounts: w, Graph: w, Streams: w, Turns: w, Gate: limit.NewGate(w.clock), Alerts: alerts, Log: log, Metrics: metrics, Publish: w.publish,
		Owns: func(dm.Channel, string) bool { w.mu.Lock(); defer w.mu.Unlock(); return w.owned },
	}, backfill.Options{Every: time.Second, After: time.Minute, Now: w.clock, Credentials: func(accounts.Account) graph.Credentials { return graph.Credentials{} }})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- k.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
}

// looks waits until so many looks have asked for conversations.
func (w *world) looks(t *testing.T, n int) {
	t.Helper()
	require.Eventually(t, func() bool { w.mu.Lock(); defer w.mu.Unlock(); return len(w.pages) >= n }, patience, time.Millisecond)
}

// later has time go by, second by second, until so many looks have asked for conversations.
func (w *world) later(t *testing.T, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.now = w.now.Add(time.Second)
		return len(w.pages) >= n
	}, patience, 5*time.Millisecond)
}

func (w *world) said(mid string, ago time.Duration, text string, attachments ...dm.Attachment) graph.Message {
	return graph.Message{ID: mid, Created: w.now.Add(-ago), From: "7001", To: []string{shop}, Text: text, Attachments: attachments}
}

func (w *world) answered(mid string, ago time.Duration, text string) graph.Message {
	return graph.Message{ID: mid, Created: w.now.Add(-ago), From: shop, To: []string{"7001"}, Text: text}
}

// Where more conversations changed than the pages held, the older ones are not taken for seen: the next look reads on.
func TestWhatThePagesDidNotReachIsNotTakenForSeen(t *testing.T) {
	t.Parallel()
	w := setup()
	for n := range 1100 { // 22 pages
		at := w.now.Add(-10*time.Minute - time.Duration(n)*time.Second)
		w.threads = append(w.threads, thread{at, []graph.Message{{ID: fmt.Sprint("m_", n), Created: at, From: fmt.Sprint(7000 + n), To: []string{shop}, Text: "x"}}})
	}
	w.run(t)
	for n, pages := range []int{10, 20, 40} {
		w.later(t, n+1)
		w.mu.Lock()
		require.Equal(t, pages, w.pages[n])
		require.Equal(t, w.begun, w.sinces[n], "nothing is seen before the pages reach back")
		w.mu.Unlock()
	}
	// From now on the oldest come first, 300 at a time, and the mark follows.
	require.Eventually(t, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.now = w.now.Add(time.Second)
		return len(w.known) == 1100
	}, patience, 5*time.Millisecond)
	w.mu.Lock()
	defer w.mu.Unlock()
	require.Contains(t, w.events[2][0].MID, "m_1099", "the oldest first")
	require.True(t, w.sinces[len(w.sinces)-1].After(w.begun))
	require.Equal(t, 10, w.pages[len(w.pages)-1], "one that reaches back is enough again")
}

// A look that fails has seen nothing, and tells what it found all the same.
func TestALookThatFailsIsMadeAgain(t *testing.T) {
	t.Parallel()
	w := setup()
	w.threads = []thread{{w.now.Add(-2 * time.Minute), []graph.Message{w.said("m_1", 2*time.Minute, "a")}}}
	w.fail = &graph.Error{Code: 2, Rule: graph.Rule{Class: graph.ClassTransient}}
	w.run(t)
	w.looks(t, 1)
	w.set(func() { w.fail = nil })
	w.later(t, 2)
	require.Eventually(t, func() bool { w.mu.Lock(); defer w.mu.Unlock(); return len(w.events) == 1 }, patience, time.Millisecond)
	w.mu.Lock()
	defer w.mu.Unlock()
	require.Equal(t, w.sinces[0], w.sinces[1])
	require.Equal(t, "m_1", w.events[0][0].MID)
}

// What waits in a spool has come, though no stream has it: it is not missed, and what follows it must not overtake it.
func TestWhatWaitsInASpoolIsNotMissed(t *testing.T) {
	t.Parallel()
	w := setup()
	w.spooled = true
	w.threads = []thread{{w.now.Add(-2 * time.Minute), []graph.Message{w.said("m_spooled", 3*time.Minute, "a"), w.said("m_missed", 2*time.Minute, "b")}}}
	w.run(t)
	asked := func(n int) bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.now = w.now.Add(time.Second)
		return w.asked >= n
	}
	require.Eventually(t, func() bool { return asked(3) }, patience, 5*time.Millisecond, "it is looked at again soon")
	w.set(func() {
		require.Empty(t, w.events)
		require.Empty(t, w.pages, "Meta is not asked either")
		w.spooled = false
		w.known["m_spooled"] = struct{}{}
	})
	w.later(t, 1)
	require.Eventually(t, func() bool { w.mu.Lock(); defer w.mu.Unlock(); return len(w.events) == 1 }, patience, time.Millisecond)
	w.mu.Lock()
	defer w.mu.Unlock()
	require.Len(t, w.events[0], 1)
	require.Equal(t, "m_missed", w.events[0][0].MID)
}

// The mark follows what was seen, with room for clocks that differ; of an account with too much past only the latest is compared.
func TestTheNextLookBeginsWhereTheLastOneEnded(t *testing.T) {
	t.Parallel()
	w := setup()
	w.begun, w.long = w.now.Add(-72*time.Hour), 7*time.Hour
	w.run(t)
	w.looks(t, 1)
	first := w.clock()
	w.later(t, 2)
	w.mu.Lock()
	defer w.mu.Unlock()
	require.Equal(t, first.Add(-6*time.Hour), w.sinces[0], "a quarter of a day is what can be looked through")
	require.Equal(t, first.Add(-time.Minute-2*time.Minute), w.sinces[1])
}

func TestAccountsThatAreNotOursAreLeftAlone(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(w *world){
		"another process has it": func(w *world) { w.owned = false },
		"no token":               func(w *world) { w.token = "" },
		"nothing ever came":      func(w *world) { w.begun = time.Time{} },
	} {
		w := setup()
		w.threads = []thread{{w.now.Add(-2 * time.Minute), []graph.Message{w.said("m_1", 2*time.Minute, "a")}}}
		change(w)
		w.run(t)
		other := setup() // has the same time to look, and does
		other.run(t)
		other.looks(t, 1)
		other.later(t, 2)
		w.mu.Lock()
		require.Empty(t, w.pages, name)
		w.mu.Unlock()
	}
}
