package ledger_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/services/sender/internal/ledger"
)

// unreliable is a bucket whose answers get lost: before or after the write. It stands in for a network that a real server
// cannot be made to have at will.
type unreliable struct {
	values map[string]bus.Entry
	rev    uint64
	// fault draws what happens to the next call.
	fault func() fault
}

type fault int

const (
	fine fault = iota
	lostBefore
	lostAfter
)

var errLost = errors.New("lost")

func (u *unreliable) Get(_ context.Context, key string) (bus.Entry, error) {
	if u.fault() != fine {
		return bus.Entry{}, errLost
	}
	e, ok := u.values[key]
	if !ok {
		return e, bus.ErrKeyNotFound
	}
	return e, nil
}

func (u *unreliable) Create(ctx context.Context, key string, value []byte) (uint64, error) {
	rev, err := u.Update(ctx, key, value, 0)
	if errors.Is(err, bus.ErrWrongRevision) {
		return 0, bus.ErrKeyExists
	}
	return rev, err
}

func (u *unreliable) Update(_ context.Context, key string, value []byte, revision uint64) (uint64, error) {
	f := u.fault()
	if f == lostBefore {
		return 0, errLost
	}
	if u.values[key].Revision != revision {
		return 0, bus.ErrWrongRevision
	}
	u.rev++
	u.values[key] = bus.Entry{Key: key, Value: value, Revision: u.rev}
	if f == lostAfter {
		return 0, errLost
	}
	return u.rev, nil
}

// TestNeverSentTwice drives two processes over one message through losses, crashes and waits. Whatever happens, it goes out
// at most once; and when one process alone had it and did not crash between call and outcome, it ends as sent.
func TestNeverSentTwice(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		faults := rapid.SampledFrom([]fault{fine, fine, lostBefore, lostAfter})
		reliable := false
		u := &unreliable{values: map[string]bus.Entry{}, fault: func() fault {
			if reliable {
				return fine
			}
			return faults.Draw(t, "fault")
		}}
		c := newClock()
		fresh := func() *ledger.Ledger {
			return ledger.New(u, ledger.Options{Doubt: doubt, SettleTimeout: time.Millisecond, Now: c.Now})
		}
		processes := []*ledger.Ledger{fresh(), fresh()}
		alone := rapid.Bool().Draw(t, "alone")
		sends, crashes := 0, 0
		step := func(n int) *ledger.Claim {
			l := processes[n]
			held, err := l.Claim(context.Background(), "in_a.0")
			if err != nil || !held.Held() {
				return held
			}
			state := rapid.SampledFrom([]ledger.State{ledger.Sent, ledger.Open}).Draw(t, "result")
			if reliable {
				state = ledger.Sent
			}
			if state == ledger.Sent {
				sends++
			}
			if !reliable && rapid.IntRange(0, 9).Draw(t, "crash") == 0 {
				crashes++
				processes[n] = fresh()
				return nil
			}
			_, _ = l.Settle(context.Background(), held, ledger.Entry{State: state, MID: "m"})
			return nil
		}
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "wait") {
				c.advance(doubt / 3)
			}
			// One process owns the account at a time, but ownership may move.
			if alone {
				step(0)
			} else {
				step(rapid.IntRange(0, 1).Draw(t, "process"))
			}
		}
		reliable = true
		var last *ledger.Claim
		for range 30 {
			for n := range processes {
				if n == 0 || !alone {
					last = step(n)
				}
			}
			c.advance(doubt / 3)
		}
		require.LessOrEqual(t, sends, 1)
		require.NotNil(t, last)
		require.True(t, last.State.Final())
		if last.State == ledger.Sent || alone && crashes == 0 {
			require.Equal(t, ledger.Sent, last.State)
			require.Equal(t, 1, sends)
		}
	})
}
