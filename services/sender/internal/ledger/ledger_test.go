package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/bus/bustest"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/topology"
	"github.com/parley-dm/parley/services/sender/internal/ledger"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const doubt = 20 * time.Second

// clock is a time that tests move. It stands still otherwise, so that no verdict depends on how fast the machine is.
type clock struct {
	start  time.Time
	offset atomic.Int64
}

func newClock() *clock { return &clock{start: time.Now()} }

func (c *clock) Now() time.Time { return c.start.Add(time.Duration(c.offset.Load())) }

func (c *clock) advance(d time.Duration) { c.offset.Add(int64(d)) }

type testBundle struct {
	server *bustest.Server
	bucket *bus.Bucket
	clock  *clock
}

func setup(t *testing.T) *testBundle {
	t.Helper()
	server := bustest.Start(t)
	conn := server.Connect()
	_, err := topology.Ensure(t.Context(), conn.JetStream(), topology.Options{})
	require.NoError(t, err)
	bucket, err := bus.OpenBucket(t.Context(), conn, topology.Ledger.Name)
	require.NoError(t, err)
	return &testBundle{server: server, bucket: bucket, clock: newClock()}
}

// process is a ledger of its own, as another process has it.
func (b *testBundle) process() *ledger.Ledger { return newLedger(b.bucket, b.clock) }

func newLedger(bucket ledger.Bucket, c *clock) *ledger.Ledger {
	return ledger.New(bucket, ledger.Options{Doubt: doubt, SettleTimeout: 2 * time.Second, Now: c.Now})
}

func claim(t *testing.T, l *ledger.Ledger, key string) *ledger.Claim {
	t.Helper()
	c, err := l.Claim(t.Context(), key)
	require.NoError(t, err)
	return c
}

func settle(t *testing.T, l *ledger.Ledger, c *ledger.Claim, e ledger.Entry) ledger.Entry {
	t.Helper()
	got, err := l.Settle(t.Context(), c, e)
	require.NoError(t, err)
	return got
}

func TestClaimThenSettleThenFound(t *testing.T) {
	t.Parallel()
	b := setup(t)
	l := b.process()
	for _, state := range []ledger.State{ledger.Sent, ledger.Failed, ledger.Expired, ledger.Unknown} {
		key := "in_" + string(state) + ".0"
		c := claim(t, l, key)
		require.True(t, c.Held())
		attempts := []dm.Attempt{{Status: 200, DurationMS: 3}}
		written := settle(t, l, c, ledger.Entry{State: state, MID: "m", Reason: "why", Attempts: attempts})

		for _, reader := range []*ledger.Ledger{l, b.process()} {
			again := claim(t, reader, key)
			require.False(t, again.Held())
			require.Equal(t, written, again.Entry)
			require.Equal(t, []any{state, "m", "why", attempts}, []any{again.State, again.MID, again.Reason, again.Attempts})
		}
	}
}

func TestOpenIsClaimedAgainWithItsTries(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := b.process()
	settle(t, first, claim(t, first, "in_a.0"), ledger.Entry{State: ledger.Open, Tries: 2, Attempts: []dm.Attempt{{Code: 2}}})

	c := claim(t, b.process(), "in_a.0")

	require.True(t, c.Held())
	require.Equal(t, 2, c.Tries)
	require.Len(t, c.Attempts, 1)
}

func TestOneOfManyHoldsTheClaim(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, open := range []bool{false, true} {
		key := "in_fresh.0"
		if open {
			key = "in_open.0"
			l := b.process()
			settle(t, l, claim(t, l, key), ledger.Entry{State: ledger.Open})
		}
		var held, doubtful atomic.Int32
		shared := b.process()
		var wg sync.WaitGroup
		for n := range 40 {
			l := shared // two handlers of one process, or two processes
			if n%2 == 0 {
				l = b.process()
			}
			wg.Go(func() {
				c, err := l.Claim(t.Context(), key)
				var inDoubt *ledger.DoubtError
				switch {
				case errors.As(err, &inDoubt):
					doubtful.Add(1)
				case err == nil && c.Held():
					held.Add(1)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, held.Load(), "open: %v", open)
		require.EqualValues(t, 39, doubtful.Load(), "open: %v", open)
	}
}

func TestAClaimWithoutAnOutcomeBecomesUnknown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	dead := claim(t, b.process(), "in_a.0")
	require.True(t, dead.Held())
	heir := b.process()

	_, err := heir.Claim(t.Context(), "in_a.0")
	var inDoubt *ledger.DoubtError
	require.ErrorAs(t, err, &inDoubt)
	require.Equal(t, b.clock.Now().Add(doubt), inDoubt.Until)
	for range 2 {
		b.clock.advance(doubt/2 - time.Second)
		_, err = heir.Claim(t.Context(), "in_a.0")
		require.ErrorAs(t, err, &inDoubt, "still in doubt")
	}

	b.clock.advance(3 * time.Second)
	c := claim(t, heir, "in_a.0")
	require.False(t, c.Held(), "it may have been sent")
	require.Equal(t, ledger.Unknown, c.State)
	require.NotEmpty(t, c.Reason)
}

// givenUp lets the time of a doubt pass, in which a process looks into it now and then.
func (b *testBundle) givenUp(t *testing.T, l *ledger.Ledger, key string) {
	t.Helper()
	for range 3 {
		require.Error(t, inDoubt(t, l, key))
		b.clock.advance(doubt/3 + time.Second)
	}
	require.Equal(t, ledger.Unknown, claim(t, l, key).State)
}

// One that comes back to a doubt that it saw long ago, because the message was another's meanwhile or everything stood still, looks
// into it once more before it gives it up.
func TestADoubtThatNobodyLookedInto(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.True(t, claim(t, b.process(), "in_a.0").Held())
	heir := b.process()
	seen := inDoubt(t, heir, "in_a.0").Seen
	b.clock.advance(3 * doubt)
	d := inDoubt(t, heir, "in_a.0")
	require.Equal(t, seen, d.Seen)
	require.Equal(t, b.clock.Now().Add(doubt/2), d.Until)
	b.clock.advance(doubt/2 - time.Millisecond)
	require.Error(t, inDoubt(t, heir, "in_a.0"))
	b.clock.advance(time.Second)
	require.Equal(t, ledger.Unknown, claim(t, heir, "in_a.0").State)

	require.True(t, claim(t, b.process(), "in_b.0").Held())
	require.Error(t, inDoubt(t, heir, "in_b.0"))
	b.clock.advance(11 * doubt)
	require.Equal(t, ledger.Unknown, claim(t, heir, "in_b.0").State, "not for ever")
}

// A sender that comes back to a doubt shortly before its end looks into it more than once.
func TestADoubtThatOneComesBackTo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.True(t, claim(t, b.process(), "in_a.0").Held())
	heir := b.process()
	d := inDoubt(t, heir, "in_a.0")
	end := d.Until
	b.clock.advance(doubt / 2)
	require.Equal(t, end, inDoubt(t, heir, "in_a.0").Until, "it was looked into all the time")
	b.clock.advance(doubt/2 - time.Millisecond)
	require.Equal(t, end, inDoubt(t, heir, "in_a.0").Until)

	require.True(t, claim(t, b.process(), "in_b.0").Held())
	require.Error(t, inDoubt(t, heir, "in_b.0"))
	b.clock.advance(doubt - time.Millisecond)
	require.Equal(t, b.clock.Now().Add(doubt/2), inDoubt(t, heir, "in_b.0").Until)
}

// A doubt that nobody could look into is not over because its time is: it begins anew, but not for ever.
func TestADoubtThatWaitsForItsTurn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.True(t, claim(t, b.process(), "in_a.0").Held())
	heir := b.process()
	for range 10 {
		d := inDoubt(t, heir, "in_a.0")
		d.Prolong()
		require.Equal(t, b.clock.Now().Add(doubt), d.Until)
		b.clock.advance(doubt - time.Second)
	}
	d := inDoubt(t, heir, "in_a.0")
	d.Prolong()
	require.Equal(t, d.Seen.Add(10*doubt), d.Until, "not for ever")
	b.clock.advance(d.Until.Sub(b.clock.Now()))
	require.Equal(t, ledger.Unknown, claim(t, heir, "in_a.0").State)
	d.Prolong() // too late, and harmless
	require.Equal(t, ledger.Unknown, claim(t, heir, "in_a.0").State)
}

// A process that only stalled between its call and the writing of the outcome knows better than the one that gave up on it.
func TestALateOutcomeReplacesTheDoubt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stalled := b.process()
	held := claim(t, stalled, "in_a.0")
	heir := b.process()
	b.givenUp(t, heir, "in_a.0")

	require.Equal(t, ledger.Sent, settle(t, stalled, held, ledger.Entry{State: ledger.Sent, MID: "m"}).State)

	require.Equal(t, "m", claim(t, heir, "in_a.0").MID)
}

func TestALateReleaseDoesNotReopenAnUnknown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stalled, heir := b.process(), b.process()
	held := claim(t, stalled, "in_a.0")
	b.givenUp(t, heir, "in_a.0")

	require.Equal(t, ledger.Unknown, settle(t, stalled, held, ledger.Entry{State: ledger.Open}).State)
}

func TestTheServerGoesAwayBetweenCallAndOutcome(t *testing.T) {
	t.Parallel()
	b := setup(t)
	l := b.process()
	held := claim(t, l, "in_a.0")
	b.server.Down()
	_, err := l.Settle(t.Context(), held, ledger.Entry{State: ledger.Sent, MID: "m"})
	require.Error(t, err)
	b.server.Up()

	var c *ledger.Claim
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		c, err = l.Claim(ctx, "in_a.0")
		return err == nil
	}, time.Minute, 20*time.Millisecond)
	require.False(t, c.Held(), "sent once is sent")
	require.Equal(t, "m", c.MID)
	require.Equal(t, "m", claim(t, b.process(), "in_a.0").MID, "and everybody can read it")
}

// inDoubt finds a key in doubt.
func inDoubt(t *testing.T, l *ledger.Ledger, key string) *ledger.DoubtError {
	t.Helper()
	_, err := l.Claim(t.Context(), key)
	var d *ledger.DoubtError
	require.ErrorAs(t, err, &d)
	return d
}

func TestADoubtIsResolved(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, own := range []bool{false, true} { // a killed process, or a call whose outcome is not known
		for _, state := range []ledger.State{ledger.Sent, ledger.Open, ledger.Unknown} {
			key := fmt.Sprintf("in_%s_%v.0", state, own)
			l := b.process()
			began := time.Now()
			held := claim(t, l, key)
			if own {
				b.clock.advance(3 * time.Second)
				settle(t, l, held, ledger.Entry{State: ledger.InDoubt, Reason: "reset", Tries: 1})
			} else {
				l = b.process()
			}
			d := inDoubt(t, l, key)
			require.False(t, d.Since.After(time.Now()))
			require.WithinDuration(t, began, d.Since, 5*time.Second, "it is the claim's time, or a little earlier")
			require.Equal(t, b.clock.Now(), d.Seen)

			written, err := l.Resolve(t.Context(), d, ledger.Entry{State: state, MID: "m"})
			require.NoError(t, err)
			require.Equal(t, state, written.State)
			again := claim(t, b.process(), key)
			require.Equal(t, state == ledger.Open, again.Held())
			if again.Held() {
				require.Equal(t, d.Since, again.Doubted)
			}
			_, err = l.Resolve(t.Context(), d, ledger.Entry{State: ledger.Sent})
			require.ErrorIs(t, err, bus.ErrWrongRevision, "what was found out of an older state does not hold")
		}
	}
}

// One who was found not to have sent and says that he did after all is right, unless another has begun.
func TestALateOutcomeAfterTheDoubtWasResolved(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, taken := range []bool{false, true} {
		key := fmt.Sprintf("in_%v.0", taken)
		stalled, heir := b.process(), b.process()
		held := claim(t, stalled, key)
		_, err := heir.Resolve(t.Context(), inDoubt(t, heir, key), ledger.Entry{State: ledger.Open})
		require.NoError(t, err)
		want := ledger.Sent
		if taken {
			claim(t, heir, key)
			want = ledger.Claimed
		}
		require.Equal(t, want, settle(t, stalled, held, ledger.Entry{State: ledger.Sent, MID: "m"}).State)
	}
}

// A doubt that could not be written is not taken for a claim without a call.
func TestADoubtThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	b := setup(t)
	l := b.process()
	held := claim(t, l, "in_a.0")
	b.server.Down()
	_, err := l.Settle(t.Context(), held, ledger.Entry{State: ledger.InDoubt, Reason: "reset"})
	require.Error(t, err)
	b.server.Up()

	var d *ledger.DoubtError
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		c, err := l.Claim(ctx, "in_a.0")
		require.Nil(t, c)
		return errors.As(err, &d)
	}, time.Minute, 20*time.Millisecond)
	require.Equal(t, ledger.InDoubt, d.Entry.State)
}

func TestAnEntryOfTheFutureIsNotGuessed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for key, value := range map[string]string{"in_a.0": `{"state":"reconciling"}`, "in_b.0": `nonsense`} {
		_, err := b.bucket.Put(t.Context(), key, []byte(value))
		require.NoError(t, err)
		_, err = b.process().Claim(t.Context(), key)
		require.Error(t, err)
	}
}
