package live_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/parley-dm/parley/pkg/rules"
	"github.com/parley-dm/parley/services/responder/internal/live"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errAway = errors.New("postgres is away")

// memory is a repository and a listener in memory, which can both be away.
type memory struct {
	mu      sync.Mutex
	rules   []rules.Rule
	away    error
	deaf    error
	loads   int
	changed func()
}

func (m *memory) Active(context.Context) ([]rules.Rule, []rules.Problem, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.loads++
	return m.rules, nil, m.away
}

func (m *memory) Listen(ctx context.Context, changed func()) error {
	m.mu.Lock()
	m.changed = changed
	deaf := m.deaf
	m.mu.Unlock()
	if deaf != nil {
		return deaf
	}
	changed()
	<-ctx.Done()
	return ctx.Err()
}

func (m *memory) set(name string, away error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rules = []rules.Rule{{ID: "1", Name: name, MatchType: rules.MatchContains, Keywords: []string{"price"}, Response: "5"}}
	m.away = away
}

func (m *memory) notify() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.changed()
}

func (m *memory) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.loads
}

const poll = 15 * time.Second

type bundle struct {
	*live.Rules
	memory   *memory
	log      *strings.Builder
	registry *prometheus.Registry
	stop     func()
}

// setup runs in a bubble, where time passes as fast as nobody needs it.
func setup(t *testing.T, m *memory) *bundle {
	t.Helper()
	b := &bundle{memory: m, log: &strings.Builder{}, registry: prometheus.NewRegistry()}
	var err error
	b.Rules, err = live.New(live.Deps{Repository: m, Listener: m, Log: slog.New(slog.NewTextHandler(b.log, nil)), Metrics: b.registry}, poll)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	b.stop = func() {
		cancel()
		require.NoError(t, <-done)
	}
	return b
}

func (b *bundle) winner() string {
	m, _ := b.Current().Match("price")
	return m.Rule.Name
}

// after lets time pass, and everything happen that it brings.
func after(d time.Duration) {
	timer := time.NewTimer(d)
	<-timer.C
	synctest.Wait()
}

func TestChangesThatAreHeardAreInUseAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		m.set("first", nil)
		b := setup(t, m)
		<-b.Loaded()
		require.Equal(t, "first", b.winner())
		after(time.Second)
		before := m.count()
		for range 100 {
			m.notify()
		}
		m.set("second", nil)
		after(100 * time.Millisecond)
		require.Equal(t, "second", b.winner())
		require.LessOrEqual(t, m.count()-before, 2, "a hundred notifications are one change")
		b.stop()
	})
}

func TestChangesThatNobodyHearsOfAreFoundByThePoll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &memory{deaf: errors.New("a pooler that does not pass notifications on")}
		m.set("first", nil)
		b := setup(t, m)
		<-b.Loaded()
		m.set("second", nil)
		after(poll)
		require.Equal(t, "second", b.winner())
		b.stop()
	})
}

func TestOldRulesStayInUseWhileThereAreNoNewOnes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		m.set("first", nil)
		b := setup(t, m)
		<-b.Loaded()
		m.set("second", errAway)
		after(time.Hour)
		require.Equal(t, "first", b.winner())
		require.NoError(t, b.Check(t.Context()))
		m.set("third", nil)
		after(poll)
		require.Equal(t, "third", b.winner())
		b.stop()
		require.Equal(t, 1, strings.Count(b.log.String(), "rules.unavailable"), "told once, not at every try")
		require.Equal(t, 1, strings.Count(b.log.String(), "rules.available"))
	})
}

func TestNotReadyUntilTheFirstRules(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		m.set("first", errAway)
		b := setup(t, m)
		after(time.Minute)
		require.Nil(t, b.Current())
		require.ErrorIs(t, b.Check(t.Context()), errAway)
		m.set("first", nil)
		after(10 * time.Second)
		require.NoError(t, b.Check(t.Context()))
		require.Equal(t, "first", b.winner())
		b.stop()
	})
}

func TestNoRulesAtAllAreRulesToo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, &memory{})
		<-b.Loaded()
		require.NoError(t, b.Check(t.Context()))
		require.Zero(t, b.Current().Len())
		b.stop()
	})
}

func TestUnchangedRulesAreNotCompiledAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		m.set("first", nil)
		b := setup(t, m)
		<-b.Loaded()
		set := b.Current()
		after(10 * poll)
		require.Same(t, set, b.Current())
		b.stop()
	})
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		m.set("first", nil)
		m.rules = append(m.rules, rules.Rule{ID: "2", Name: "bad", MatchType: rules.MatchRegex, Keywords: []string{"("}, Response: "x"})
		b := setup(t, m)
		<-b.Loaded()
		after(time.Second)
		b.stop()
		require.NoError(t, testutil.GatherAndCompare(b.registry, strings.NewReader(`
# HELP parley_rules Rules by state: active, or broken and left out.
# TYPE parley_rules gauge
parley_rules{state="active"} 1
parley_rules{state="broken"} 1
# HELP parley_rules_listening 1 while changes of the rules are heard at once, 0 while they are only polled.
# TYPE parley_rules_listening gauge
parley_rules_listening 0
`), "parley_rules", "parley_rules_listening"))
	})
}
