package pipeline_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/bus/bustest"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/topology"
)

// What was said in a conversation since a time is read back: neither what is older, nor others' words, nor other kinds.
func TestWhatWasSaidSince(t *testing.T) {
	t.Parallel()
	p := newProcess(t, bustest.Start(t))
	stage := p.open("test")
	js := p.host.Conn.JetStream()
	echo := func(customer string, n int) dm.Event {
		e := event(customer, n)
		e.Kind = dm.KindEcho
		e.ID = dm.EventID(e.Channel, e.Account, e.Kind, e.MID)
		return e
	}
	sent := func(e dm.Event, o dm.Outcome) dm.Delivery {
		return dm.Delivery{ID: dm.DeliveryID("in_"+e.MID, 0, o), IntentID: "in_" + e.MID, Of: 1, Conversation: e.Conversation, Outcome: o, MID: e.MID}
	}
	none, err := stage.Echoes(t.Context(), echo("7001", 1).Conversation, time.Now().Add(-time.Hour))
	require.NoError(t, err)
	require.Empty(t, none)

	old := echo("7001", 0)
	require.NoError(t, stage.Publish(t.Context(), stage.Event(old, "r"), stage.Delivery(sent(old, dm.OutcomeSent), "c", "c")))
	stream, err := js.Stream(t.Context(), topology.Deliveries.Name)
	require.NoError(t, err)
	last, err := stream.GetLastMsgForSubject(t.Context(), "dm.delivery.>")
	require.NoError(t, err)
	since := last.Time.Add(time.Nanosecond)

	fresh, other, inbound := echo("7001", 1), echo("7002", 1), event("7001", 2)
	require.NoError(t, stage.Publish(t.Context(), stage.Event(fresh, "r"), stage.Event(other, "r"), stage.Event(inbound, "r"),
		stage.Delivery(sent(fresh, dm.OutcomeSent), "c", "c"), stage.Delivery(sent(other, dm.OutcomeSent), "c", "c"),
		stage.Delivery(sent(inbound, dm.OutcomeFailed), "c", "c")))

	echoes, err := stage.Echoes(t.Context(), fresh.Conversation, since)
	require.NoError(t, err)
	require.Len(t, echoes, 1)
	require.Equal(t, fresh.MID, echoes[0].MID)
	deliveries, err := stage.Sent(t.Context(), fresh.Conversation, since)
	require.NoError(t, err)
	require.Len(t, deliveries, 1)
	require.Equal(t, fresh.MID, deliveries[0].MID)
	for _, name := range []string{topology.Events.Name, topology.Deliveries.Name} {
		s, err := js.Stream(t.Context(), name)
		require.NoError(t, err)
		require.Zero(t, s.CachedInfo().State.Consumers, "reading leaves nothing behind")
	}
}
