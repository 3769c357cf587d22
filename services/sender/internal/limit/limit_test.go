package limit_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/parley-dm/parley/pkg/meta/graph"
	"github.com/parley-dm/parley/services/sender/internal/limit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNoSecondSeesMoreThanTheRate(t *testing.T) {
	t.Parallel()
	const perSecond = 200
	rates := limit.NewRates(perSecond)
	var mu sync.Mutex
	var went []time.Time
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			_, err := rates.Wait(t.Context(), "a", limit.Texts, nil)
			mu.Lock()
			defer mu.Unlock()
			went = append(went, time.Now())
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	// 100 messages at 200 a second are 99 gaps of 5 ms; timers are late at worst, never early.
	require.GreaterOrEqual(t, went[len(went)-1].Sub(went[0]), 99*5*time.Millisecond-20*time.Millisecond)
	waited, err := rates.Wait(t.Context(), "b", limit.Texts, nil)
	require.NoError(t, err)
	require.False(t, waited, "another account is not held up")
}

func TestNoRateNoWait(t *testing.T) {
	t.Parallel()
	rates := limit.NewRates(0)
	for range 1000 {
		waited, err := rates.Wait(t.Context(), "a", limit.Texts, nil)
		require.NoError(t, err)
		require.False(t, waited)
	}
}

func TestAStopEndsTheWait(t *testing.T) {
	t.Parallel()
	rates := limit.NewRates(2)
	_, err := rates.Wait(t.Context(), "a", limit.Texts, nil)
	require.NoError(t, err)
	stop := make(chan struct{})
	close(stop)
	_, err = rates.Wait(t.Context(), "a", limit.Texts, stop)
	require.ErrorIs(t, err, limit.ErrStopped)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = rates.Wait(ctx, "a", limit.Texts, nil)
	require.ErrorIs(t, err, limit.ErrStopped)
}

// hand is a clock that tests turn.
type hand struct{ at time.Time }

func (h *hand) now() time.Time { return h.at }

func TestAPauseGrowsUntilItsTrialSucceeds(t *testing.T) {
	t.Parallel()
	h := &hand{at: time.Unix(1_000_000, 0)}
	gate := limit.NewGate(h.now)
	key := limit.Account("a")
	closed := func() time.Duration {
		until := gate.Closed(key, "t").Until
		if until.IsZero() {
			return 0
		}
		return until.Sub(h.at)
	}
	require.Zero(t, closed())

	_, news := gate.Pause(key, limit.Pause{Reason: "why", For: time.Minute})
	require.True(t, news)
	_, news = gate.Pause(key, limit.Pause{Reason: "why", For: time.Minute})
	require.False(t, news, "messages that were under way together make one pause")
	require.Equal(t, time.Minute, closed())
	require.False(t, gate.Open(key), "a success from before the pause does not end it")
	require.Zero(t, gate.Closed(limit.Account("b"), "t"))

	h.at = h.at.Add(time.Minute)
	require.Zero(t, closed(), "one goes first")
	require.Positive(t, closed(), "the others wait for it")
	gate.Pause(key, limit.Pause{Reason: "why", For: time.Minute})
	require.Equal(t, 2*time.Minute, closed(), "it failed: longer")

	h.at = h.at.Add(2 * time.Minute)
	require.Zero(t, closed())
	require.True(t, gate.Open(key))
	require.Zero(t, closed())
	require.Zero(t, closed())
	require.Zero(t, gate.Size())
}

func TestAPauseByMetaIsExact(t *testing.T) {
	t.Parallel()
	h := &hand{at: time.Unix(1_000_000, 0)}
	gate := limit.NewGate(h.now)
	key := limit.App("facebook")
	gate.Pause(key, limit.Pause{For: time.Minute, Exact: true})
	until, _ := gate.Pause(key, limit.Pause{For: 3 * time.Minute, Exact: true})
	require.Equal(t, 3*time.Minute, until.Sub(h.at), "the longer one holds")
	until, _ = gate.Pause(key, limit.Pause{For: time.Second, Exact: true})
	require.Equal(t, 3*time.Minute, until.Sub(h.at))
}

func TestANewTokenEndsThePause(t *testing.T) {
	t.Parallel()
	gate := limit.NewGate(time.Now)
	key := limit.Account("a")
	gate.Pause(key, limit.Pause{For: time.Hour, Token: "dead", Reason: "why"})
	closed := gate.Closed(key, "dead")
	require.False(t, closed.Until.IsZero())
	require.Equal(t, "why", closed.Reason)
	require.Equal(t, limit.Verdict{Renewed: true}, gate.Closed(key, "fresh"))
	require.Zero(t, gate.Size())
}

func TestTheBreakerIsAboutTheHost(t *testing.T) {
	t.Parallel()
	breakers := limit.NewBreakers(slog.New(slog.DiscardHandler))
	call := func(host string, result error) error {
		done, err := breakers.Allow(host)
		if err == nil {
			done(result)
		}
		return err
	}
	refused := &graph.Error{Status: 400, Code: 190, Rule: graph.Classify(400, 190, 0, false)}
	lost := &graph.Error{Err: errors.New("reset"), Rule: graph.Rule{Class: graph.ClassUnknown}}
	for range 100 {
		require.NoError(t, call("a", refused), "an account's trouble is not the host's")
	}
	for range 19 {
		require.NoError(t, call("a", lost))
	}
	require.NoError(t, call("a", nil), "a success in between")
	for range 20 {
		require.NoError(t, call("a", limit.ErrNotCalled))
		require.NoError(t, call("a", lost))
	}
	require.Error(t, call("a", nil))
	require.NoError(t, call("b", nil), "another host")
}

func TestEachKindHasARateOfItsOwn(t *testing.T) {
	t.Parallel()
	rates := limit.NewRates(100)
	// go on until the kind's turn is too far away to wait for: what is let through at once, and how far it is then.
	until := func(kind limit.Kind) (n int, err error) {
		for ; n < 1000; n++ {
			stop := make(chan struct{})
			close(stop) // a turn that has to be waited for is enough to know
			if _, err = rates.Wait(t.Context(), "a", kind, stop); err != nil {
				return n, err
			}
		}
		return n, nil
	}
	n, err := until(limit.PrivateReplies)
	require.Equal(t, 50, n, "an hour's worth may not come at once, some of it may")
	var turn *limit.TurnError
	require.ErrorAs(t, err, &turn)
	require.NotErrorIs(t, err, limit.ErrPaused, "it holds up private replies only")
	require.InDelta(t, 3600.0/700, time.Until(turn.At).Seconds(), 0.5)
	n, err = until(limit.Media)
	require.Equal(t, 1, n)
	require.ErrorIs(t, err, limit.ErrStopped, "a tenth of a second is waited for")
	waited, err := rates.Wait(t.Context(), "a", limit.Texts, nil)
	require.NoError(t, err)
	require.False(t, waited, "texts are not held up by the other kinds")
}

func TestUsageSlowsAnAccountDown(t *testing.T) {
	t.Parallel()
	rates := limit.NewRates(100)
	for _, step := range []struct {
		percent int
		factor  float64
		news    bool
	}{{0, 1, false}, {79, 1, false}, {80, 1, false}, {90, .25, true}, {95, .0625, false}, {99, .005, false}, {250, .005, false}, {20, 1, true}} {
		factor, news := rates.Used("a", step.percent)
		require.InDelta(t, step.factor, factor, 1e-9, "%d %%", step.percent)
		require.Equal(t, step.news, news, "%d %%", step.percent)
	}
	_, err := rates.Wait(t.Context(), "a", limit.Texts, nil)
	require.NoError(t, err)
	rates.Used("a", 100)
	_, err = rates.Wait(t.Context(), "a", limit.Texts, nil)
	require.ErrorIs(t, err, limit.ErrPaused)
	var turn *limit.TurnError
	require.ErrorAs(t, err, &turn)
	require.InDelta(t, 2, time.Until(turn.At).Seconds(), 0.5, "one in two seconds")
	waited, err := rates.Wait(t.Context(), "b", limit.Texts, nil)
	require.NoError(t, err)
	require.False(t, waited, "another account is not slowed down")
}

func TestAPauseThatComesBackSoonGoesOnGrowing(t *testing.T) {
	t.Parallel()
	h := &hand{at: time.Unix(1_000_000, 0)}
	gate := limit.NewGate(h.now)
	key := limit.Account("a")
	begin := func() time.Duration {
		until, news := gate.Pause(key, limit.Pause{Reason: "why", For: 5 * time.Second, Most: 15 * time.Second})
		require.True(t, news)
		return until.Sub(h.at)
	}
	end := func() {
		h.at = gate.Closed(key, "").Until
		require.Zero(t, gate.Closed(key, "").Until)
		require.True(t, gate.Open(key))
	}
	require.Equal(t, 5*time.Second, begin())
	end()
	h.at = h.at.Add(time.Minute)
	require.Equal(t, 10*time.Second, begin())
	end()
	require.Equal(t, 15*time.Second, begin(), "as far as it may")
	end()
	h.at = h.at.Add(time.Hour)
	require.Equal(t, 5*time.Second, begin())
}

func TestAPauseThatAnotherFoundHoldsHereToo(t *testing.T) {
	t.Parallel()
	h := &hand{at: time.Unix(1_000_000, 0)}
	gate := limit.NewGate(h.now)
	key := limit.Account("a")
	gate.Keep(key, limit.Pause{Reason: "theirs", For: time.Minute}, h.at.Add(time.Minute))
	require.Equal(t, limit.Verdict{Until: h.at.Add(time.Minute), Reason: "theirs"}, gate.Closed(key, ""))
	gate.Keep(key, limit.Pause{Reason: "later", For: time.Hour}, h.at.Add(time.Hour))
	require.Equal(t, "theirs", gate.Closed(key, "").Reason, "what is known already is not touched")
	gate.Clear(key)
	gate.Clear(key)
	require.Zero(t, gate.Closed(key, ""))
	require.Zero(t, gate.Size())
}
