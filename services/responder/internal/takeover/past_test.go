package takeover_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/pipeline"
)

// behind is a responder that starts ten minutes behind, and the echoes of the three messages a second that were sent meanwhile.
func behind(t *testing.T) (b *bundle, echoes []*dm.Event) {
	t.Helper()
	const lag, every = 10 * time.Minute, time.Second / 3
	b = setup(t, "")
	for at := time.Now().Add(-lag); at.Before(time.Now().Add(-time.Minute)); at = at.Add(every) {
		mid := fmt.Sprint("m", len(echoes))
		e := event(dm.KindEcho, mid)
		e.Time, e.ReceivedAt = at, at.Add(time.Second)
		echoes = append(echoes, e)
		b.streams.earlier = append(b.streams.earlier, dm.Delivery{Conversation: conversation, MID: mid, Outcome: dm.OutcomeSent, SentAt: at.Add(500 * time.Millisecond)})
	}
	return b, echoes
}

// One who starts far behind reads what was sent once, and does not ask the ledger about every echo.
func TestOneWhoIsFarBehindCatchesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, echoes := behind(t)
		for _, e := range echoes {
			if e.Time.After(time.Now().Add(-90 * time.Second)) {
				break // these are read by the one who follows what is sent
			}
			change, took := b.hear(e)
			require.Nil(t, change, e.MID)
			require.Zero(t, took)
		}
		require.Empty(t, b.holder())
		require.Zero(t, b.streams.looks)
		require.LessOrEqual(t, b.streams.reads, 11, "every minute once")

		foreign := echoes[len(echoes)/2]
		foreign.MID = "a person's"
		change, _ := b.hear(foreign)
		require.NotNil(t, change)
		require.Equal(t, 1, b.streams.looks)
		require.LessOrEqual(t, b.streams.reads, 11)
		b.stop()
	})
}

// A message that was decided long before it was sent, and was in doubt for long after, is not in the ledger's minutes, and nobody
// will hear of its delivery any more.
func TestADeliveryThatCameAndWent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, echoes := behind(t)
		e := echoes[0]
		e.MID = "late"
		b.streams.earlier = append(b.streams.earlier, dm.Delivery{Conversation: conversation, MID: "late", SentAt: e.Time.Add(6 * time.Minute)})
		change, _ := b.hear(e)
		require.Nil(t, change)
		require.Empty(t, b.holder())
		require.Equal(t, 1, b.streams.looks)
		b.stop()
	})
}

// A minute that could not be read is not taken for one in which nothing was sent.
func TestThePastCannotBeRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, echoes := behind(t)
		b.streams.err = errors.New("stalled")
		for range 3 {
			_, err := b.Heard(t.Context(), echoes[0])
			require.ErrorIs(t, err, b.streams.err)
			class, _ := bus.Classify(err)
			require.Equal(t, bus.Deferred, class, "it comes again, however often")
		}
		b.streams.err = nil
		change, _ := b.hear(echoes[0])
		require.Nil(t, change)
		require.Zero(t, b.streams.looks)
		b.stop()
	})
}

// A minute in which more may yet be stored is not remembered as it is now: the ledger is asked meanwhile.
func TestAMinuteThatHasNotEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, "") // on the minute, as every bubble begins
		begun := time.Now()
		for n := range 100_001 { // more at once than is remembered
			b.streams.sent(dm.Delivery{Conversation: conversation, MID: fmt.Sprint("other", n), Outcome: dm.OutcomeSent, SentAt: begun})
		}
		echo := func(mid string) *dm.Event {
			e := event(dm.KindEcho, mid)
			e.Time, e.ReceivedAt = begun.Add(-70*time.Second), begun.Add(-69*time.Second)
			return e
		}
		b.streams.ledger(pipeline.Spoken{MID: "m1"})
		change, _ := b.hear(echo("m1"))
		require.Nil(t, change)
		require.Equal(t, []int{1, 1}, []int{b.streams.looks, b.streams.reads}, "of two minutes one has ended")

		b.streams.earlier = []dm.Delivery{{Conversation: conversation, MID: "m2", Outcome: dm.OutcomeSent, SentAt: begun.Add(-10 * time.Second)}}
		pause := time.NewTimer(time.Minute)
		<-pause.C
		change, _ = b.hear(echo("m2"))
		require.Nil(t, change)
		require.Equal(t, []int{1, 2}, []int{b.streams.looks, b.streams.reads})
		b.stop()
	})
}
