package state_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/pipeline/holds/holdstest"
	"github.com/parley-dm/parley/pkg/rules"
	"github.com/parley-dm/parley/pkg/topology"
	"github.com/parley-dm/parley/services/responder/internal/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	conv = dm.Conversation{Channel: dm.ChannelInstagram, Account: "17841400000000001", Customer: "7001"}
)

func at(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }

func view(t *testing.T, s *state.Store, event string) state.View {
	t.Helper()
	r, err := s.Get(t.Context(), conv)
	require.NoError(t, err)
	return r.Before(event)
}

func TestAnEventCountsOnceAndIsDecidedAsItWas(t *testing.T) {
	t.Parallel()
	bucket := holdstest.New()
	s := state.New(bucket, state.Options{TTL: time.Hour})
	for n := range 3 {
		for range 3 {
			require.NoError(t, s.Add(t.Context(), conv, state.Entry{Event: fmt.Sprint("ev_", n), At: at(n), Rule: "r", Replied: true}))
		}
	}
	require.Equal(t, 3, bucket.Writes())
	require.Equal(t, time.Hour, bucket.TTL(topology.ConversationKey(conv)))
	require.Equal(t, rules.Past{Last: at(2), Times: 3}, view(t, s, "ev_new").Rule("r"))
	for n := range 3 {
		past := view(t, s, fmt.Sprint("ev_", n)).Rule("r")
		require.Equal(t, n, past.Times, "what came of the event itself does not count")
	}

	next := state.New(bucket, state.Options{TTL: time.Hour})
	require.Equal(t, rules.Past{Last: at(0), Times: 1}, view(t, next, "ev_1").Rule("r"), "the next owner decides it as it was, too")
	require.NoError(t, next.Add(t.Context(), conv, state.Entry{Event: "ev_1", At: at(9), Rule: "r"}))
	require.Equal(t, 3, bucket.Writes())
}

func TestWhatTheJournalForgetsStillCounts(t *testing.T) {
	t.Parallel()
	s := state.New(holdstest.New(), state.Options{TTL: time.Hour})
	for n := range 200 {
		e := state.Entry{Event: fmt.Sprint("ev_", n), At: at(n), Rule: fmt.Sprint("r", n%100), Replied: true, Contact: at(n), Fallback: n == 7, Added: []string{fmt.Sprint("l", n)}}
		if n > 0 {
			e.Removed = []string{fmt.Sprint("l", n-1)}
		}
		require.NoError(t, s.Add(t.Context(), conv, e))
	}
	v := view(t, s, "ev_new")
	require.Equal(t, []string{"l199"}, v.Labels())
	require.Equal(t, rules.Past{Last: at(199), Times: 2}, v.Rule("r99"))
	facts := v.Facts()
	require.Equal(t, []time.Time{at(0), at(199), at(199), at(7)}, []time.Time{facts.FirstContact, facts.LastContact, facts.LastReply, facts.LastFallback})
	require.True(t, v.Contacted() && v.Answered())
	r, err := s.Get(t.Context(), conv)
	require.NoError(t, err)
	b, err := json.Marshal(r)
	require.NoError(t, err)
	require.Less(t, len(b), 16<<10, "it is bounded")
}

func TestOfALabelTheNewestChangeCounts(t *testing.T) {
	t.Parallel()
	s := state.New(holdstest.New(), state.Options{TTL: time.Hour})
	require.NoError(t, s.Add(t.Context(), conv, state.Entry{Event: "a", At: at(5), Removed: []string{"vip"}}))
	require.NoError(t, s.Add(t.Context(), conv, state.Entry{Event: "b", At: at(3), Added: []string{"vip", "new"}}))
	require.Equal(t, []string{"new"}, view(t, s, "c").Labels())
	require.NoError(t, s.Add(t.Context(), conv, state.Entry{Event: "c", At: at(6), Added: []string{"vip"}}))
	require.Equal(t, []string{"new", "vip"}, view(t, s, "d").Labels())
}

func TestTwoOwnersForAMomentLoseNothing(t *testing.T) {
	t.Parallel()
	bucket := holdstest.New()
	old, next := state.New(bucket, state.Options{TTL: time.Hour}), state.New(bucket, state.Options{TTL: time.Hour})
	require.NoError(t, old.Add(t.Context(), conv, state.Entry{Event: "a", At: at(0), Rule: "r"}))
	require.NoError(t, next.Add(t.Context(), conv, state.Entry{Event: "b", At: at(1), Rule: "r"}))
	require.NoError(t, old.Add(t.Context(), conv, state.Entry{Event: "c", At: at(2), Rule: "r"}), "the old one's memory is stale, and it notices")
	require.Equal(t, 3, view(t, old, "new").Rule("r").Times)

	require.Equal(t, 2, view(t, next, "new").Rule("r").Times, "what it knows")
	next.Forget(conv.Partition(16), 16)
	require.Equal(t, 3, view(t, next, "new").Rule("r").Times, "taken again, it reads again")
}

// What another owner wrote since the record was read may change the decision: it is made again.
func TestADecisionOnWhatIsNotTrueAnyMoreIsRefused(t *testing.T) {
	t.Parallel()
	bucket := holdstest.New()
	old, next := state.New(bucket, state.Options{TTL: time.Hour}), state.New(bucket, state.Options{TTL: time.Hour})
	seen := func(s *state.Store) *state.Record {
		r, err := s.Get(t.Context(), conv)
		require.NoError(t, err)
		return r
	}
	nothing, same := seen(old), seen(next)
	require.NoError(t, old.Decided(t.Context(), conv, nothing, state.Entry{Event: "a", At: at(0), Rule: "r"}))
	require.ErrorIs(t, next.Decided(t.Context(), conv, same, state.Entry{Event: "b", At: at(1), Rule: "r"}), state.ErrStale, "there was nothing, and now there is")
	require.Equal(t, 1, seen(next).Before("b").Rule("r").Times, "it is read again by itself")
	require.NoError(t, next.Decided(t.Context(), conv, seen(next), state.Entry{Event: "b", At: at(1), Rule: "r"}))
	require.ErrorIs(t, old.Decided(t.Context(), conv, seen(old), state.Entry{Event: "c", At: at(2), Rule: "r"}), state.ErrStale, "it was changed meanwhile")
	require.NoError(t, old.Decided(t.Context(), conv, seen(old), state.Entry{Event: "c", At: at(2), Rule: "r"}))
	require.NoError(t, old.Decided(t.Context(), conv, seen(old), state.Entry{Event: "c", At: at(9), Rule: "r"}), "what is remembered already is no change")
	require.Equal(t, 3, view(t, state.New(bucket, state.Options{}), "new").Rule("r").Times)
	require.Equal(t, 3, bucket.Writes())
}

// Messages without an answer count in a row: until one has an answer, and while they come within a day of each other.
func TestMessagesWithoutAnAnswerCountInARow(t *testing.T) {
	t.Parallel()
	s := state.New(holdstest.New(), state.Options{TTL: time.Hour})
	add := func(n, minute int, missed bool) {
		require.NoError(t, s.Add(t.Context(), conv, state.Entry{Event: fmt.Sprint("ev_", n), At: at(minute), Missed: missed, Met: !missed}))
	}
	add(0, 0, true)
	add(1, 1, true)
	require.Equal(t, 2, view(t, s, "new").MissedBefore(at(2)))
	require.Equal(t, 1, view(t, s, "ev_1").MissedBefore(at(1)), "what comes again counts what was before it")
	require.Equal(t, 2, view(t, s, "new").MissedBefore(at(1+24*60)))
	require.Zero(t, view(t, s, "new").MissedBefore(at(2+24*60)))
	add(2, 3, false)
	require.Zero(t, view(t, s, "new").MissedBefore(at(4)))
	add(3, 5, true)
	add(4, 6+24*60, true)
	require.Equal(t, 1, view(t, s, "new").MissedBefore(at(6+24*60)), "a day later is not in a row")
	for n := range 30 { // what the journal forgets still counts
		add(10+n, 2000+n, true)
	}
	require.Equal(t, 31, view(t, s, "new").MissedBefore(at(2040)))
}

// A partition that is taken while a record is being written, even another one, must not leave the record of before in memory.
func TestWhatWasWrittenWhileAPartitionWasTakenIsSeen(t *testing.T) {
	t.Parallel()
	bucket := &during{Bucket: holdstest.New()}
	s := state.New(bucket, state.Options{TTL: time.Hour})
	require.False(t, view(t, s, "a").Answered())
	bucket.then = func() { s.Forget((conv.Partition(16)+1)%16, 16) }
	require.NoError(t, s.Add(t.Context(), conv, state.Entry{Event: "a", At: at(0), Replied: true}))
	require.True(t, view(t, s, "b").Answered())
	require.NoError(t, s.Add(t.Context(), conv, state.Entry{Event: "b", At: at(1), Fallback: true}))
	require.Equal(t, at(1), view(t, s, "c").Facts().LastFallback)
}

// during does something while a value is written.
type during struct {
	*holdstest.Bucket
	then func()
}

func (d *during) CreateFor(ctx context.Context, key string, value []byte, ttl time.Duration) (uint64, error) {
	d.then()
	return d.Bucket.CreateFor(ctx, key, value, ttl)
}

func (d *during) UpdateFor(ctx context.Context, key string, value []byte, revision uint64, ttl time.Duration) (uint64, error) {
	d.then()
	return d.Bucket.UpdateFor(ctx, key, value, revision, ttl)
}

func TestTheMemoryIsBounded(t *testing.T) {
	t.Parallel()
	bucket := &counting{Bucket: holdstest.New()}
	s := state.New(bucket, state.Options{TTL: time.Hour, Max: 10})
	get := func(n int) {
		_, err := s.Get(t.Context(), dm.Conversation{Channel: dm.ChannelInstagram, Account: "1", Customer: fmt.Sprint(n)})
		require.NoError(t, err)
	}
	for n := range 11 {
		get(n)
		get(n)
	}
	require.Equal(t, 11, bucket.reads, "that there is nothing is remembered as well")
	get(0)
	require.Equal(t, 12, bucket.reads)
	get(10)
	require.Equal(t, 12, bucket.reads)
}

type counting struct {
	*holdstest.Bucket
	reads int
}

func (c *counting) Get(ctx context.Context, key string) (bus.Entry, error) {
	c.reads++
	return c.Bucket.Get(ctx, key)
}

func TestWhatCannotBeReadIsAsGoodAsNothing(t *testing.T) {
	t.Parallel()
	for _, value := range []string{`{"version":99}`, `]`, ``} {
		bucket := holdstest.New()
		_, err := bucket.CreateFor(t.Context(), topology.ConversationKey(conv), []byte(value), 0)
		require.NoError(t, err)
		s := state.New(bucket, state.Options{TTL: time.Hour})
		require.Empty(t, view(t, s, "a").Labels())
		require.NoError(t, s.Add(t.Context(), conv, state.Entry{Event: "a", At: at(0), Added: []string{"vip"}}))
		require.Equal(t, []string{"vip"}, view(t, state.New(bucket, state.Options{}), "b").Labels())
	}
}

func TestWhatCouldNotBeWrittenIsNotBelieved(t *testing.T) {
	t.Parallel()
	bucket := holdstest.New()
	s := state.New(bucket, state.Options{TTL: time.Hour})
	require.False(t, view(t, s, "a").Answered())
	away := errors.New("away")
	bucket.Fail(away)
	require.ErrorIs(t, s.Add(t.Context(), conv, state.Entry{Event: "a", At: at(0), Replied: true}), away)
	_, err := s.Get(t.Context(), conv)
	require.ErrorIs(t, err, away, "it may have been written: it is read again")
	bucket.Fail(nil)
	require.False(t, view(t, s, "b").Answered())
	require.NoError(t, s.Add(t.Context(), conv, state.Entry{Event: "a", At: at(0), Replied: true}))
	require.True(t, view(t, s, "b").Answered())
}
