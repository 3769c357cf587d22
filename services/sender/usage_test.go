package sender_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/topology"
)

// allowance is Meta's for one token: so many calls, told in the headers; calls beyond it are refused, and make it last longer.
type allowance struct {
	calls, most, refused int
	last                 time.Time
}

// meter has an allowance hold for a token. Called with the bench's lock held.
func (a *allowance) meter(token string) func(w http.ResponseWriter, shown string) bool {
	return func(w http.ResponseWriter, shown string) bool {
		if shown != token {
			return false
		}
		a.calls++
		a.last = time.Now()
		percent, minutes := a.calls*100/a.most, 0
		if percent >= 100 {
			minutes = 2
		}
		w.Header().Set("X-App-Usage", `{"call_count":1,"total_time":1,"total_cputime":1}`)
		w.Header().Set("X-Business-Use-Case-Usage", fmt.Sprintf(`{%q:[{"type":"messenger","call_count":%d,"total_cputime":1,"total_time":1,"estimated_time_to_regain_access":%d}]}`, account, percent, minutes))
		if a.calls <= a.most {
			return false
		}
		a.refused++
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprint(w, `{"error":{"message":"Calls to this API have exceeded the rate limit","type":"OAuthException","code":613,"error_subcode":2534040}}`)
		return true
	}
}

// An account that sends as fast as it may uses up what Meta allows: it is slowed down before, stops when the headers say
// so, for as long as they say, and is never refused. Its neighbour sends on.
func TestNoRefusalIsEarnedWhenTheAllowanceRunsOut(t *testing.T) {
	t.Parallel()
	s := newShops(t)
	s.tokens("busy", "fine")
	a := &allowance{most: 100}
	s.refuse = a.meter("busy")
	stop := s.run("SEND_RATE_PER_ACCOUNT=100")
	theirs, ours := customers("1", 20), customers("2", 5)
	s.ask(account, time.Time{}, theirs, 15)
	used := func() (calls, refused int, last time.Time) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return a.calls, a.refused, a.last
	}
	begun := time.Now()
	s.eventually("it uses up what it may", func() bool { calls, _, _ := used(); return calls >= 100 })
	require.Greater(t, time.Since(begun), 2*time.Second, "at full rate it would have taken one")

	states, err := bus.OpenBucket(t.Context(), s.server.Connect(), topology.Accounts.Name)
	require.NoError(t, err)
	var state accounts.State
	s.eventually("it is told how it stands", func() bool {
		e, err := states.Get(t.Context(), accounts.StateKey(dm.ChannelInstagram, account))
		if err == nil {
			state, err = accounts.ParseState(e.Value)
		}
		return err == nil && state.Pause != nil && state.Parked == 200
	})
	require.WithinDuration(t, begun.Add(2*time.Minute), state.Pause.Until, 30*time.Second, "for the minutes that Meta gives")
	require.Equal(t, "rate_limited", state.Pause.Class)
	require.NotNil(t, state.Usage)
	require.GreaterOrEqual(t, state.Usage.Percent, 95, "how much is used up is told")
	require.Less(t, state.Usage.Rate, 0.1, "and how much slower it sends for that")

	s.ask(neighbour, time.Time{}, ours, 20)
	s.ask(account, time.Time{}, theirs, 1)
	s.eventually("the neighbour's are all sent", func() bool { return s.outcomes(neighbour)[dm.OutcomeSent] == 100 })
	s.eventually("the others wait", func() bool { return s.parked() == 220 })
	require.NoError(t, stop())

	stop = s.run("SEND_RATE_PER_ACCOUNT=100") // a restart does not make a call to find out
	s.ask(neighbour, time.Time{}, ours, 1)
	s.eventually("the neighbour's are sent", func() bool { return s.outcomes(neighbour)[dm.OutcomeSent] == 105 })
	require.NoError(t, stop())
	calls, refused, _ := used()
	require.Equal(t, []int{100, 0}, []int{calls, refused}, "calls, and those of them that were refused")
	for _, c := range theirs {
		require.Positive(t, s.received(c))
	}
}
