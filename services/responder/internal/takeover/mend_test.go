package takeover_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/dm"
)

func TestAMistakeIsMended(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, "")
		echo := event(dm.KindEcho, "m1")
		change, _ := b.hear(echo)
		require.NotNil(t, change)
		<-time.After(10 * time.Minute) // what came of a message may be known long after its echo
		d := b.delivered("m1")
		told := <-b.ours
		require.Equal(t, []any{dm.KindEcho, dm.SourceParley, conversation, "m1", d.ID}, []any{told.Kind, told.Source, told.Conversation, told.MID, told.cause})
		require.Equal(t, dm.HolderPerson, b.holder(), "until it is its turn in the conversation's lane")

		b.streams.heard = []dm.Event{*event(dm.KindMessage, "c1"), *event(dm.KindMessage, "c2")}
		for range 2 { // whoever is the first to do it may end in the middle
			given, missed, err := b.GiveBack(t.Context(), &told.Event, told.cause, 77)
			require.NoError(t, err)
			require.Equal(t, []any{dm.HolderBot, dm.HoldOurs, d.ID}, []any{given.Hold.Holder, given.Hold.Reason, given.Hold.Cause})
			require.Equal(t, b.streams.heard, missed)
			require.WithinDuration(t, echo.Time, b.streams.since, time.Minute, "since the mistake, not since it was found")
			require.EqualValues(t, 77, b.streams.before)
			require.Empty(t, b.holder())
		}
		b.delivered("m1")
		synctest.Wait()
		require.Empty(t, b.ours, "it is not told of for ever")
		b.stop()
	})
}

// What was sent may be told after the echo was judged and before the conversation is taken.
func TestAMistakeInTheMomentOfItsDeliveryIsMended(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, "")
		echo := event(dm.KindEcho, "m1")
		b.changing = func() { b.delivered("m1") }
		change, _ := b.hear(echo)
		require.NotNil(t, change)
		synctest.Wait()
		require.Len(t, b.ours, 1)
		require.Equal(t, echo.ID, (<-b.ours).cause)
		b.stop()
	})
}

func TestAMistakeThatCannotBeMendedNowIsLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, "")
		b.hear(event(dm.KindEcho, "m1"))
		b.delivered("m1")
		told := <-b.ours
		b.streams.err = bus.ErrUnavailable
		_, _, err := b.GiveBack(t.Context(), &told.Event, told.cause, 77)
		class, _ := bus.Classify(err)
		require.Equal(t, bus.Deferred, class)
		b.streams.err = nil
		given, _, err := b.GiveBack(t.Context(), &told.Event, told.cause, 77)
		require.NoError(t, err)
		require.NotNil(t, given, "by whoever does it next")
		b.stop()
	})
}

// What a person has taken by now stays theirs.
func TestAMistakeThatIsNoneAnyMoreStays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, "")
		b.hear(event(dm.KindEcho, "m1"))
		b.delivered("m1")
		told := <-b.ours
		<-time.After(quiet / 2)
		later, _ := b.hear(event(dm.KindEcho, "m2"))
		require.NotNil(t, later)
		given, missed, err := b.GiveBack(t.Context(), &told.Event, told.cause, 77)
		require.NoError(t, err)
		require.Nil(t, given)
		require.Empty(t, missed)
		require.Equal(t, dm.HolderPerson, b.holder())
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
		select {
		case told := <-b.ours:
			require.Equal(t, d.ID, told.cause)
		case <-time.After(time.Hour):
			require.FailNow(t, "it is given up")
		}
		require.Empty(t, b.ours)
		b.stop()
	})
}
