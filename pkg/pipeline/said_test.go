package pipeline_test

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/bus/bustest"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/pipeline"
	"github.com/parley-dm/parley/pkg/pipeline/replay"
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

	// What is published for one stage alone was not said, and a later message not before this one.
	require.NoError(t, stage.Publish(t.Context(), stage.Event(inbound, "r").For("responder", "again"), stage.Event(event("7001", 3), "r")))
	heard, err = stage.Heard(t.Context(), fresh.Conversation, since)
	require.NoError(t, err)
	require.Len(t, heard, 2)
	stream, err := js.Stream(t.Context(), topology.Events.Name)
	require.NoError(t, err)
	heard, err = stage.HeardBefore(t.Context(), fresh.Conversation, since, stream.CachedInfo().State.LastSeq)
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

// What is in a spool of ingress is known as long as it is there.
func TestWhatWaitsInSpoolsIsKnown(t *testing.T) {
	t.Parallel()
	stage := newProcess(t, bustest.Start(t)).open("test")
	bucket, err := stage.Bucket(t.Context(), topology.Spools)
	require.NoError(t, err)
	spooled := func() bool {
		is, err := stage.Spooled(t.Context())
		require.NoError(t, err)
		return is
	}
	require.False(t, spooled())
	for _, told := range []struct {
		replica string
		bytes   int
		spooled bool
	}{{"A", topology.SpoolHeader, false}, {"B", topology.SpoolHeader + 2, true}, {"A", topology.SpoolHeader, true}, {"B", topology.SpoolHeader, false}} {
		_, err := bucket.Put(t.Context(), told.replica, make([]byte, told.bytes))
		require.NoError(t, err)
		require.Equal(t, told.spooled, spooled(), told)
	}
	_, err = bucket.Put(t.Context(), "B", make([]byte, topology.SpoolHeader+2))
	require.NoError(t, err)
	require.NoError(t, bucket.Delete(t.Context(), "B"))
	require.False(t, spooled(), "it left")
}

// What is sent is heard of: what was there since a time, then what comes, and never what was not sent.
func TestWhatIsSentIsFollowed(t *testing.T) {
	t.Parallel()
	server := bustest.Start(t)
	p := newProcess(t, server)
	stage := p.open("test")
	sent := func(n int, o dm.Outcome) pipeline.Outgoing {
		e := event("7001", n)
		return stage.Delivery(dm.Delivery{ID: dm.DeliveryID(e.ID, 0, o), IntentID: e.ID, Of: 1, Conversation: e.Conversation, Outcome: o, MID: e.MID}, "c", "c")
	}
	require.NoError(t, stage.Publish(t.Context(), sent(1, dm.OutcomeSent), sent(2, dm.OutcomeFailed)))
	got, caughtUp := make(chan string, 10), make(chan struct{}, 10)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- stage.FollowSent(ctx, time.Hour, func(d dm.Delivery) { got <- d.MID }, func(behind bool) {
			if !behind {
				caughtUp <- struct{}{}
			}
		})
	}()
	require.Equal(t, event("7001", 1).MID, <-got)
	<-caughtUp
	require.NoError(t, stage.Publish(t.Context(), sent(3, dm.OutcomeUnknown), sent(4, dm.OutcomeSent)))
	require.Equal(t, event("7001", 4).MID, <-got)

	// The server goes and comes back: what is there is read again, and what comes is heard.
	server.Down()
	server.Up()
	require.Equal(t, event("7001", 1).MID, <-got)
	require.Equal(t, event("7001", 4).MID, <-got)
	<-caughtUp
	require.NoError(t, stage.Publish(t.Context(), sent(5, dm.OutcomeSent)))
	require.Equal(t, event("7001", 5).MID, <-got)
	cancel()
	require.NoError(t, <-done)
}

// What was sent in some time is read: no failures, nothing from before and nothing from after.
func TestWhatWasSentInATime(t *testing.T) {
	t.Parallel()
	server := bustest.Start(t)
	p := newProcess(t, server)
	stage := p.open("test")
	js := server.Connect().JetStream()
	var stored []time.Time
	for n, o := range []dm.Outcome{dm.OutcomeSent, dm.OutcomeSent, dm.OutcomeFailed, dm.OutcomeSent, dm.OutcomeSent} {
		e := event(strconv.Itoa(7000+n), n)
		d := dm.Delivery{ID: dm.DeliveryID(e.ID, 0, o), IntentID: e.ID, Of: 1, Conversation: e.Conversation, Outcome: o, MID: e.MID}
		require.NoError(t, stage.Publish(t.Context(), stage.Delivery(d, "c", "c")))
		stream, err := js.Stream(t.Context(), topology.Deliveries.Name)
		require.NoError(t, err)
		stored = append(stored, stream.CachedInfo().State.LastTime)
	}
	read := func(from, to time.Time) (mids []string) {
		require.NoError(t, stage.SentBetween(t.Context(), from, to, func(d dm.Delivery) { mids = append(mids, d.MID) }))
		return mids
	}
	mid := func(n int) string { return event(strconv.Itoa(7000+n), n).MID }
	require.Equal(t, []string{mid(1), mid(3)}, read(stored[1], stored[4]))
	require.Equal(t, []string{mid(4)}, read(stored[4], stored[4].Add(time.Hour)))
	require.Empty(t, read(stored[0].Add(-time.Hour), stored[0]))
	require.Empty(t, read(stored[4].Add(time.Hour), stored[4].Add(2*time.Hour)))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, stage.SentBetween(ctx, stored[0], stored[4], func(dm.Delivery) {}), "what was not read must not be taken for what was not sent")
}

// What became of what was decided is read from the ledger, message by message.
func TestWhatBecameOfWhatWasDecided(t *testing.T) {
	t.Parallel()
	p := newProcess(t, bustest.Start(t))
	stage := p.open("test")
	ledger, err := stage.Bucket(t.Context(), topology.Ledger)
	require.NoError(t, err)
	since := time.Now().Add(-time.Minute)
	c := event("7001", 1).Conversation
	none, err := stage.Spoken(t.Context(), c, since, time.Time{})
	require.NoError(t, err)
	require.Empty(t, none)
	intent := func(id, customer string, texts ...string) pipeline.Outgoing {
		i := dm.ReplyIntent{ID: id, Conversation: event(customer, 1).Conversation, Origin: dm.OriginOperator}
		for _, text := range texts {
			i.Parts = append(i.Parts, dm.Part{Kind: dm.PartText, Text: text})
		}
		return stage.Intent(i, "c", "c")
	}
	require.NoError(t, stage.Publish(t.Context(), intent("in_1", "7001", "one", "two", "three"), intent("in_2", "7001", "four"), intent("in_3", "7002", "five"), intent("in_4", "7001", "six")))
	for key, entry := range map[string]string{
		topology.LedgerKey("in_1", 0): `{"state":"sent","mid":"m1"}`, topology.LedgerKey("in_1", 1): `{"state":"claimed","claim":"x"}`,
		topology.LedgerKey("in_2", 0): `{"state":"unknown"}`, topology.LedgerKey("in_3", 0): `{"state":"sent","mid":"m3"}`,
	} {
		_, err := ledger.Create(t.Context(), key, []byte(entry))
		require.NoError(t, err)
	}
	got, err := stage.Spoken(t.Context(), c, since, time.Time{})
	require.NoError(t, err)
	require.Equal(t, []pipeline.Spoken{
		{IntentID: "in_1", Text: "one", MID: "m1"}, {IntentID: "in_1", Part: 1, Text: "two", InFlight: true}, {IntentID: "in_2", Text: "four", Unknown: true},
	}, got)
	none, err = stage.Spoken(t.Context(), c, since, since)
	require.NoError(t, err)
	require.Empty(t, none, "all of it was decided later")
}

// What was decided long ago and is not settled is found where it waits: in the sender's lane, or parked.
func TestWhatHasWaitedForLongIsFound(t *testing.T) {
	t.Parallel()
	p := newProcess(t, bustest.Start(t))
	stage := p.open("test")
	c := event("7001", 1).Conversation
	for _, id := range []string{"in_settled", "in_waits", "in_parked"} {
		i := dm.ReplyIntent{ID: id, Conversation: c, Origin: dm.OriginOperator, Parts: []dm.Part{{Kind: dm.PartText, Text: id}}}
		require.NoError(t, stage.Publish(t.Context(), stage.Intent(i, "c", "c")))
	}
	js := p.host.Conn.JetStream()
	stream, err := js.Stream(t.Context(), topology.Intents.Name)
	require.NoError(t, err)
	parked, err := stream.GetMsg(t.Context(), 3)
	require.NoError(t, err)
	of := dm.ReplyIntent{Conversation: c}
	_, err = js.PublishMsg(t.Context(), &nats.Msg{Subject: topology.ParkedSubject(&of, stage.Partitions()), Header: nats.Header{
		replay.HeaderConversation: {c.String()},
	}, Data: parked.Data})
	require.NoError(t, err)
	require.NoError(t, stream.DeleteMsg(t.Context(), 3))
	ledger, err := stage.Bucket(t.Context(), topology.Ledger)
	require.NoError(t, err)
	for _, id := range []string{"in_settled", "in_waits", "in_parked"} {
		_, err := ledger.Create(t.Context(), topology.LedgerKey(id, 0), []byte(`{"state":"in_doubt"}`))
		require.NoError(t, err)
	}
	unsettled := func(before time.Time) (ids []string) {
		found, err := stage.Unsettled(t.Context(), c, before)
		require.NoError(t, err)
		for _, s := range found {
			require.True(t, s.InFlight)
			ids = append(ids, s.IntentID)
		}
		return ids
	}
	require.Empty(t, unsettled(time.Now()), "nobody has ever sent anything")
	leases, err := stage.Bucket(t.Context(), topology.Leases)
	require.NoError(t, err)
	partition := dm.AccountPartition(c.Channel, c.Account, stage.Partitions())
	_, err = leases.Put(t.Context(), fmt.Sprint("sender-send.lease.", partition), []byte(`{"member":"m","floor":1,"on":"DM_INTENTS"}`))
	require.NoError(t, err)
	require.Equal(t, []string{"in_waits", "in_parked"}, unsettled(time.Now()))
	require.Equal(t, []string{"in_parked"}, unsettled(time.Now().Add(-time.Hour)), "what is younger is found among all")
}
