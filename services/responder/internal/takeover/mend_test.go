package takeover_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/dm"
)

func TestAMistakeIsMended(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, "")
		change, _ := b.hear(event(dm.KindEcho, "m1"))
		require.NotNil(t, change)
		d := b.delivered("m1")
		told := <-b.told
		require.Equal(t, []any{dm.HolderBot, dm.HoldOurs, d.ID}, []any{told.Hold.Holder, told.Hold.Reason, told.Hold.Cause})
		require.Equal(t, d.ID, <-b.decided, "what was not answered meanwhile is")
		require.Empty(t, b.holder())
		b.stop()
	})
}

// What came of a message may be known long after its echo: what is decided again begins with the mistake. Whoever began to mend it may
// have ended before that, and the next one who hears of the message finds the conversation given back.
func TestAMistakeIsMendedFromItsBeginning(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, "")
		b.hear(event(dm.KindEcho, "m1"))
		at := time.Now()
		<-time.After(10 * time.Minute)
		for range 2 {
			d := b.delivered("m1")
			require.Equal(t, d.ID, <-b.decided)
			require.WithinDuration(t, at, *b.since.Load(), time.Minute)
			require.Empty(t, b.holder())
		}
		b.stop()
	})
}

// A bus that is away just then is no reason to stay silent for hours.
func TestAMistakeIsMendedInTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, "")
		b.hear(event(dm.KindEcho, "m1"))
		b.fails.Store(5)
		d := b.delivered("m1")
		for range 2 {
			select {
			case e := <-b.told:
				require.Equal(t, d.ID, e.Hold.Cause)
			case cause := <-b.decided:
				require.Equal(t, d.ID, cause)
			case <-time.After(time.Hour):
				require.FailNow(t, "it is given up")
			}
		}
		require.Empty(t, b.told)
		require.Empty(t, b.holder())
		b.stop()
	})
}
