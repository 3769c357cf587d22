package responder_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/pkg/postgres/pgtest"
)

// An echo of ours that nobody knew for one, because who sent it could not say so for long, puts the bot to sleep. When it turns
// out whose it was, what was said meanwhile is answered, and nothing else is again.
func TestWhatWasSaidDuringAMistakeIsAnswered(t *testing.T) {
	t.Parallel()
	b := setup(t, pgtest.Database(t))
	b.cfg.TakeoverQuiet = 12 * time.Hour
	b.run()
	b.publish(event(1, 1, "hello"))
	first := b.next(1)[0].Data
	echo := event(1, 2, "Thanks!")
	echo.ID, echo.Kind, echo.MID = dm.EventID(dm.ChannelInstagram, shop, dm.KindEcho, "sent-1"), dm.KindEcho, "sent-1"
	b.publish(echo)
	require.Equal(t, dm.HoldTakeover, b.told(dm.KindHold, 1)[0].Hold.Reason)
	during := []dm.Event{event(1, 3, "are you there?"), event(1, 4, "hello?")}
	b.publish(during...)
	for n, d := range b.told(dm.KindDecision, 2) {
		require.Equal(t, []string{during[n].ID, "person"}, []string{d.Decision.EventID, d.Decision.Reason})
	}

	d := dm.Delivery{
		ID: "de_1", Conversation: first.Conversation, IntentID: first.ID, Of: 1, Origin: first.Origin, Outcome: dm.OutcomeSent,
		MID: "sent-1", SentAt: echo.Time,
	}
	after := []dm.Event{event(1, 5, "thanks"), event(1, 6, "bye"), event(1, 7, "one more")}
	out := []pipeline.Outgoing{b.ingress.Delivery(d, "request", first.ID)}
	for _, e := range after {
		out = append(out, b.ingress.Event(e, "request"))
	}
	require.NoError(t, b.ingress.Publish(t.Context(), out...))
	for n, i := range b.next(5) {
		require.Equal(t, append(during, after...)[n].ID, i.Data.EventID, "what comes while it is mended is answered after what came before")
		require.Equal(t, i.Data.EventID, i.CorrelationID)
	}
	require.Equal(t, dm.HoldOurs, b.told(dm.KindHold, 2)[1].Hold.Reason)
	b.publish(event(1, 8, "and another"))
	require.Equal(t, event(1, 8, "").ID, b.next(1)[0].Data.EventID)
	b.only(7)
}
