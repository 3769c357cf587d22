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
	var since time.Time
	for name, subjects := range map[string]string{topology.Events.Name: topology.Events.Subjects, topology.Deliveries.Name: topology.Deliveries.Subjects} {
		stream, err := js.Stream(t.Context(), name)
		require.NoError(t, err)
		last, err := stream.GetLastMsgForSubject(t.Context(), subjects)
		require.NoError(t, err)
		if after := last.Time.Add(time.Nanosecond); after.After(since) {
			since = after
		}
	}

	fresh, other, inbound := echo("7001", 1), echo("7002", 1), event("7001", 2)
	require.NoError(t, stage.Publish(t.Context(), stage.Event(fresh, "r"), stage.Event(other, "r"), stage.Event(inbound, "r"),
		stage.Delivery(sent(fresh, dm.OutcomeSent), "c", "c"), stage.Delivery(sent(other, dm.OutcomeSent), "c", "c"),
		stage.Delivery(sent(inbound, dm.OutcomeFailed), "c", "c")))

	echoes, err := stage.Echoes(t.Context(), fresh.Conversation, since)
	require.NoError(t, err)
	require.Len(t, echoes, 1)
	require.Equal(t, fresh.MID, echoes[0].MID)
	heard, err := stage.Heard(t.Context(), fresh.Conversation, since)
	require.NoError(t, err)
	require.Len(t, heard, 1)
	require.Equal(t, inbound.MID, heard[0].MID)
	deliveries, err := stage.Sent(t.Context(), fresh.Conversation, since)
	require.NoError(t, err)
	require.Len(t, deliveries, 1)
	require.Equal(t, fresh.MID, deliveries[0].MID)
	for _, name := range []string{topology.Events.Name, topology.Deliveries.Name} {
		require.Eventually(t, func() bool {
			s, err := js.Stream(t.Context(), name)
			return err == nil && s.CachedInfo().State.Consumers == 0
		}, 10*time.Second, 10*time.Millisecond, "reading leaves nothing behind")
	}
}
