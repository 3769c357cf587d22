package pipeline_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/bus/bustest"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/pkg/topology"
)

// The past of an account is what came in and what went out, and reaches back to where the streams have everything.
func TestThePastOfAnAccount(t *testing.T) {
	t.Parallel()
	p := newProcess(t, bustest.Start(t))
	stage := p.open("test")
	began := time.Now()
	nothing, err := stage.Past(t.Context(), account, began.Add(-time.Hour))
	require.NoError(t, err)
	require.Zero(t, nothing.Since)

	in, missed, other := event("7001", 1), event("7001", 2), event("7001", 3)
	in.Source, in.ReceivedAt = dm.SourceWebhook, began.Add(-time.Second).UTC()
	missed.Source = dm.SourceBackfill
	other.Account = "17841400000000002"
	other.ID = dm.EventID(other.Channel, other.Account, other.Kind, other.MID)
	sent := func(mid string, o dm.Outcome) pipeline.Outgoing {
		return stage.Delivery(dm.Delivery{ID: dm.DeliveryID("in_"+mid, 0, o), IntentID: "in_" + mid, Of: 1, Conversation: in.Conversation, Outcome: o, MID: mid}, "c", "c")
	}
	require.NoError(t, stage.Publish(t.Context(), stage.Event(in, "r"), stage.Event(missed, "r"), stage.Event(other, "r"), sent("m_out", dm.OutcomeSent), sent("m_failed", dm.OutcomeFailed)))

	past, err := stage.Past(t.Context(), account, began.Add(-time.Hour))
	require.NoError(t, err)
	require.Equal(t, []string{in.MID, missed.MID, "m_out"}, slices.Sorted(maps.Keys(past.MIDs)))
	require.WithinDuration(t, in.ReceivedAt, past.Latest, 0, "an event that was missed says nothing of the webhooks")
	require.True(t, past.Since.After(began.Add(-time.Minute)), "the account began after the time that was asked for: %s", past.Since)

	js := p.host.Conn.JetStream()
	events, err := js.Stream(t.Context(), topology.Events.Name)
	require.NoError(t, err)
	require.NoError(t, events.Purge(t.Context(), jetstream.WithPurgeSequence(2)))
	second, err := events.GetMsg(t.Context(), 2)
	require.NoError(t, err)
	past, err = stage.Past(t.Context(), account, began.Add(-time.Hour))
	require.NoError(t, err)
	require.Equal(t, []string{missed.MID, "m_out"}, slices.Sorted(maps.Keys(past.MIDs)))
	require.False(t, past.Since.Before(second.Time), "of what was trimmed nothing is known: %s", past.Since)

	require.NoError(t, stage.Publish(t.Context(), sent("m_later", dm.OutcomeSent)))
	deliveries, err := js.Stream(t.Context(), topology.Deliveries.Name)
	require.NoError(t, err)
	last := deliveries.CachedInfo().State.LastTime
	require.NoError(t, deliveries.Purge(t.Context()))
	past, err = stage.Past(t.Context(), account, began.Add(-time.Hour))
	require.NoError(t, err)
	require.True(t, last.After(second.Time))
	require.True(t, past.Since.After(last), "the same where all of it was trimmed: %s", past.Since)
}
