// Package live keeps a compiled set of rules current while they are being used: it loads them at start, again within
// moments of a change, and now and then in case a change was not heard of.
//
// Whoever answers never waits for it: the set in use is swapped in one step. When the rules cannot be read, the last ones
// that could be stay in use.
package live

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dm/parley/pkg/rules"
	"github.com/parley-dm/parley/pkg/run"
	"github.com/parley-dm/parley/pkg/telemetry"
)

const (
	// settle lets the statements of one change arrive before the rules are read: a hundred inserts cost a few loads.
	settle = 20 * time.Millisecond
	// The bounds of the time between two tries of what failed.
	firstRetry, lastRetry = 100 * time.Millisecond, 5 * time.Second
)

// RuleRepository holds the rules of a business: those that are to be used, and apart from them those that could not be read.
type RuleRepository interface {
	Active(ctx context.Context) (ready []rules.Rule, broken []rules.Problem, err error)
}

// Listener hears of changes. Listen calls changed when it begins to hear and at each change; it blocks until it can hear no
// longer or the context ends.
type Listener interface {
	Listen(ctx context.Context, changed func()) error
}

// Deps is what Rules works with.
type Deps struct {
	Repository RuleRepository
	Listener   Listener
	Log        *slog.Logger
	Metrics    prometheus.Registerer
}

// Rules is the set in use.
type Rules struct {
	deps    Deps
	poll    time.Duration
	set     atomic.Pointer[rules.Set]
	loaded  chan struct{}
	changed chan struct{}
	metrics metrics

	mu sync.Mutex
	// problem is why the rules could not be read when it was last tried.
	problem error

	// What follows belongs to the loading goroutine.
	latest []rules.Rule
	unread []rules.Problem
	// reported holds the broken rules that were told of, as they were then.
	reported map[string]rules.Rule
}

// New makes the keeper of the rules; poll is how often they are read without a reason. [Rules.Run] does the work.
func New(d Deps, poll time.Duration) (*Rules, error) {
	l := &Rules{deps: d, poll: poll, loaded: make(chan struct{}), changed: make(chan struct{}, 1), reported: map[string]rules.Rule{}}
	return l, l.metrics.register(d.Metrics)
}

// Current is the set in use; nil before the first was loaded.
func (l *Rules) Current() *rules.Set { return l.set.Load() }

// Loaded is closed when there is a set to use.
func (l *Rules) Loaded() <-chan struct{} { return l.loaded }

// Check is a readiness check: there are rules to answer by. Old ones will do while PostgreSQL is away.
func (l *Rules) Check(context.Context) error {
	if l.set.Load() != nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.problem == nil {
		return fmt.Errorf("the rules are being read for the first time")
	}
	return fmt.Errorf("no rules could be read yet: %w", l.problem)
}

// Run keeps the rules current until the context ends.
func (l *Rules) Run(ctx context.Context) error {
	group := run.NewGroup(ctx)
	group.Go("listen for rules", l.listen)
	group.Go("load rules", l.load)
	return group.Wait()
}

// listen hears changes, and connects again with back-off when it cannot.
func (l *Rules) listen(ctx context.Context) error {
	wait := retry()
	for ctx.Err() == nil {
		err := l.deps.Listener.Listen(ctx, func() {
			wait.Reset()
			l.metrics.listening.Set(1)
			select {
			case l.changed <- struct{}{}:
			default: // a load is due already
			}
		})
		l.metrics.listening.Set(0)
		if ctx.Err() == nil {
			l.deps.Log.Warn("rules.not_listening", telemetry.KeyError, err, "poll", l.poll.String())
			pause(ctx, wait.NextBackOff())
		}
	}
	return nil
}

// load reads the rules at start, at changes and at intervals, and sooner again when that failed.
func (l *Rules) load(ctx context.Context) error {
	wait := retry()
	for ctx.Err() == nil {
		next := l.poll
		if err := l.refresh(ctx); err != nil {
			next = min(next, wait.NextBackOff())
		} else {
			wait.Reset()
		}
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-l.changed:
			pause(ctx, settle)
			select {
			case <-l.changed: // heard meanwhile; the load that comes now sees it
			default:
			}
		}
		timer.Stop()
	}
	return nil
}

// refresh reads the rules once and puts them in use if they differ from those in use.
func (l *Rules) refresh(ctx context.Context) error {
	all, unread, err := l.deps.Repository.Active(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	l.note(err)
	if err != nil {
		l.metrics.loads.WithLabelValues("failed").Inc()
		return err
	}
	l.metrics.loads.WithLabelValues("loaded").Inc()
	l.metrics.loadedAt.SetToCurrentTime()
	if l.set.Load() != nil && same(l.latest, all) && same(rulesOf(l.unread), rulesOf(unread)) {
		return nil
	}
	set, problems := rules.Compile(all)
	problems = append(problems, unread...)
	l.latest, l.unread = all, unread
	l.report(problems)
	l.metrics.rules.WithLabelValues("active").Set(float64(set.Len()))
	l.metrics.rules.WithLabelValues("broken").Set(float64(len(problems)))
	first := l.set.Swap(set) == nil
	l.deps.Log.Info("rules.loaded", "rules", set.Len(), "broken", len(problems))
	if first {
		close(l.loaded)
	}
	return nil
}

// note remembers why the rules cannot be read, and tells of it once.
func (l *Rules) note(err error) {
	l.mu.Lock()
	before := l.problem
	l.problem = err
	l.mu.Unlock()
	switch {
	case err != nil && before == nil:
		l.deps.Log.Error("rules.unavailable", telemetry.KeyError, err, "old_rules_in_use", l.set.Load() != nil)
	case err == nil && before != nil:
		l.deps.Log.Info("rules.available")
	}
}

// report tells of each version of a broken rule once.
func (l *Rules) report(problems []rules.Problem) {
	broken := make(map[string]rules.Rule, len(problems))
	for _, p := range problems {
		broken[p.Rule.ID] = p.Rule
		if told, ok := l.reported[p.Rule.ID]; !ok || !told.Same(p.Rule) {
			l.deps.Log.Warn("rule.broken", "rule_id", p.Rule.ID, "rule_name", p.Rule.Name, telemetry.KeyError, p.Err)
		}
	}
	l.reported = broken
}

func rulesOf(problems []rules.Problem) []rules.Rule {
	out := make([]rules.Rule, len(problems))
	for i := range problems {
		out[i] = problems[i].Rule
	}
	return out
}

func same(a, b []rules.Rule) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !a[i].Same(b[i]) {
			return false
		}
	}
	return true
}

func retry() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval = firstRetry, lastRetry
	return b
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
