package holds_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/bus/bustest"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/envelope"
	"github.com/parley-dm/parley/pkg/pipeline/holds"
	"github.com/parley-dm/parley/pkg/pipeline/holds/holdstest"
	"github.com/parley-dm/parley/pkg/topology"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

func conversation(customer string) dm.Conversation {
	return dm.Conversation{Channel: dm.ChannelInstagram, Account: "17841400000000001", Customer: customer}
}

func takeover(cause string, at time.Time, quiet time.Duration) dm.Hold {
	return dm.Hold{Holder: dm.HolderPerson, Reason: dm.HoldTakeover, At: at, Until: at.Add(quiet), MID: "m_" + cause, Cause: cause}
}

// onServer opens holds on a real server, with a copy that follows.
func onServer(t *testing.T, conn *bus.Conn) *holds.Holds {
	t.Helper()
	_, err := topology.Ensure(t.Context(), conn.JetStream(), topology.Options{Partitions: 4})
	require.NoError(t, err)
	bucket, err := bus.OpenBucket(t.Context(), conn, topology.Conversations.Name)
	require.NoError(t, err)
	h := holds.New(bucket, holds.Options{})
	follow(t, h)
	return h
}

func follow(t *testing.T, h *holds.Holds) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	<-h.Synced()
	require.NoError(t, h.Check(t.Context()))
}

func holder(t *testing.T, h *holds.Holds, c dm.Conversation) dm.Holder {
	t.Helper()
	got, _, err := h.Holder(t.Context(), c, time.Time{})
	require.NoError(t, err)
	return got.Holder
}

func TestAChangeIsKnownHereAtOnceAndElsewhereSoon(t *testing.T) {
	t.Parallel()
	server := bustest.Start(t)
	here, there := onServer(t, server.Connect()), onServer(t, server.Connect())
	c, now := conversation("7001"), time.Now()
	require.Empty(t, holder(t, here, c))
	change, err := here.Change(t.Context(), c, takeover("ev_1", now, time.Hour))
	require.NoError(t, err)
	require.True(t, change.Changed)
	require.Equal(t, dm.HolderPerson, holder(t, here, c))
	require.Eventually(t, func() bool { return holder(t, there, c) == dm.HolderPerson }, patience, time.Millisecond)
	since, took := there.Took(c, "m_ev_1")
	require.True(t, took)
	require.WithinDuration(t, now, since, time.Millisecond)
	_, took = there.Took(c, "m_other")
	require.False(t, took)
	require.Empty(t, holder(t, there, conversation("7002")))

	again, err := there.Change(t.Context(), c, takeover("ev_1", now, time.Hour))
	require.NoError(t, err)
	require.False(t, again.Changed)
	require.Equal(t, change.Event, again.Event, "the same cause tells the same")

	late := onServer(t, server.Connect())
	require.Equal(t, dm.HolderPerson, holder(t, late, c), "who starts later knows it from the beginning")
	_, err = late.Change(t.Context(), c, dm.Hold{Holder: dm.HolderBot, Reason: dm.HoldOperator, At: time.Now(), Cause: "op"})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return holder(t, here, c) == "" }, patience, time.Millisecond)
	_, took = here.Took(c, "m_ev_1")
	require.False(t, took, "an operator gave it back")
}

func TestManyChangesAtOnceAllCount(t *testing.T) {
	t.Parallel()
	server := bustest.Start(t)
	h := onServer(t, server.Connect())
	c, now := conversation("7001"), time.Now()
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			change := takeover(fmt.Sprint(n), now, time.Duration(n+1)*time.Hour)
			if n%2 == 0 {
				change.Holder, change.Reason = dm.HolderApp, dm.HoldStandby
			}
			if _, err := h.Change(context.Background(), c, change); err != nil {
				panic(err)
			}
		})
	}
	wg.Wait()
	r, err := h.Get(t.Context(), c)
	require.NoError(t, err)
	require.WithinDuration(t, now.Add(8*time.Hour), r.Person.Until, time.Millisecond)
	require.WithinDuration(t, now.Add(7*time.Hour), r.App.Until, time.Millisecond)
}

// The server forgets a record by itself, and so do those who watch; it can be written anew.
func TestARecordIsForgottenInTime(t *testing.T) {
	t.Parallel()
	server := bustest.Start(t)
	conn := server.Connect()
	h := onServer(t, conn)
	bucket, err := bus.OpenBucket(t.Context(), conn, topology.Conversations.Name)
	require.NoError(t, err)
	c := conversation("7001")
	_, err = bucket.CreateFor(t.Context(), topology.ConversationKey(c), []byte(`{"version":1,"conversation":"`+c.String()+`"}`), time.Second)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return h.Size() == 1 }, patience, time.Millisecond)
	require.Eventually(t, func() bool { return h.Size() == 0 }, patience, 10*time.Millisecond)
	change, err := h.Change(t.Context(), c, takeover("ev_1", time.Now(), time.Hour))
	require.NoError(t, err)
	require.True(t, change.Changed)
	stream, err := conn.JetStream().Stream(t.Context(), "KV_"+topology.Conversations.Name)
	require.NoError(t, err)
	m, err := stream.GetLastMsgForSubject(t.Context(), "$KV."+topology.Conversations.Name+"."+topology.ConversationKey(c))
	require.NoError(t, err)
	ttl, err := time.ParseDuration(m.Header.Get("Nats-TTL"))
	require.NoError(t, err)
	require.InDelta(t, 25*time.Hour, ttl, float64(time.Minute), "an hour, and a day in which what waited is still measured by it")
}

func TestBeyondTheBoundOfMemoryTheBucketIsAsked(t *testing.T) {
	t.Parallel()
	h := holds.New(holdstest.New(), holds.Options{Max: 10})
	follow(t, h)
	for n := range 30 {
		_, err := h.Change(t.Context(), conversation(fmt.Sprint(n)), takeover(fmt.Sprint(n), time.Now(), time.Hour))
		require.NoError(t, err)
	}
	require.Equal(t, 10, h.Size())
	for n := range 30 {
		require.Equal(t, dm.HolderPerson, holder(t, h, conversation(fmt.Sprint(n))))
	}
	require.Empty(t, holder(t, h, conversation("30")))
}

func TestWhatCannotBeReadIsLeftAlone(t *testing.T) {
	t.Parallel()
	bucket := holdstest.New()
	c := conversation("7001")
	_, err := bucket.CreateFor(t.Context(), topology.ConversationKey(c), []byte(`{"version":99,"conversation":"`+c.String()+`"}`), 0)
	require.NoError(t, err)
	h := holds.New(bucket, holds.Options{})
	require.Error(t, h.Check(t.Context()), "not read yet")
	follow(t, h)
	require.Equal(t, dm.HolderPerson, holder(t, h, c), "better to be silent than to talk into it")
	_, err = h.Change(t.Context(), c, takeover("ev_1", time.Now(), time.Hour))
	require.ErrorContains(t, err, "version 99")

	bucket.Fail(errors.New("away"))
	_, err = h.Change(t.Context(), conversation("7002"), takeover("ev_1", time.Now(), time.Hour))
	require.ErrorContains(t, err, "away")
}

// behind is a bucket whose watchers hear nothing new.
type behind struct{ *holdstest.Bucket }

func (b behind) Watch(ctx context.Context, keys string, f func(*bus.Entry)) error {
	synced := false
	return b.Bucket.Watch(ctx, keys, func(e *bus.Entry) {
		if !synced {
			f(e)
		}
		synced = synced || e == nil
	})
}

func TestACopyThatIsBehindSilencesNobodyForGood(t *testing.T) {
	t.Parallel()
	bucket := holdstest.New()
	c := conversation("7001")
	elsewhere := holds.New(bucket, holds.Options{})
	_, err := elsewhere.Change(t.Context(), c, takeover("ev_1", time.Now(), time.Hour))
	require.NoError(t, err)
	h := holds.New(behind{bucket}, holds.Options{})
	follow(t, h)
	require.Equal(t, dm.HolderPerson, holder(t, h, c))
	_, err = elsewhere.Change(t.Context(), c, dm.Hold{Holder: dm.HolderBot, Reason: dm.HoldOperator, At: time.Now(), Cause: "op"})
	require.NoError(t, err)
	require.Empty(t, holder(t, h, c))
	bucket.Fail(errors.New("away"))
	_, _, err = h.Holder(t.Context(), c, time.Time{})
	require.ErrorContains(t, err, "away", "not known, and tried again")
	_, held, err := h.Holder(t.Context(), conversation("7002"), time.Time{})
	require.NoError(t, err)
	require.False(t, held, "what the bot has costs no round trip")
}

func TestTimeIsThatOfWhatWasSaid(t *testing.T) {
	t.Parallel()
	now := time.Now()
	h := holds.New(holdstest.New(), holds.Options{Now: func() time.Time { return now.Add(2 * time.Hour) }})
	follow(t, h)
	c := conversation("7001")
	_, err := h.Change(t.Context(), c, takeover("ev_1", now, time.Hour))
	require.NoError(t, err)
	for at, want := range map[time.Time]bool{
		now.Add(59 * time.Minute): true, now.Add(time.Hour): false, {}: false, now.Add(9 * time.Hour): false, now.Add(-time.Hour): true,
	} {
		_, held, err := h.Holder(t.Context(), c, at)
		require.NoError(t, err)
		require.Equal(t, want, held, at)
	}
}

func TestAnOperatorsChangeIsAnEvent(t *testing.T) {
	t.Parallel()
	server := bustest.Start(t)
	conn := server.Connect()
	h := onServer(t, conn)
	c := conversation("7001")
	change, err := holds.Operate(t.Context(), conn, holds.Operation{Conversation: c, By: "anna", Until: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	require.True(t, change.Changed)
	require.Eventually(t, func() bool { return holder(t, h, c) == dm.HolderPerson }, patience, time.Millisecond)
	change, err = holds.Operate(t.Context(), conn, holds.Operation{Conversation: c, By: "ben", Release: true})
	require.NoError(t, err)
	require.True(t, change.Changed)
	change, err = holds.Operate(t.Context(), conn, holds.Operation{Conversation: c, By: "ben", Release: true})
	require.NoError(t, err)
	require.False(t, change.Changed, "nobody has it any more")

	events, err := conn.JetStream().OrderedConsumer(t.Context(), topology.Events.Name, jetstream.OrderedConsumerConfig{})
	require.NoError(t, err)
	for _, want := range []dm.Hold{{Holder: dm.HolderPerson, By: "anna"}, {Holder: dm.HolderBot, By: "ben"}} {
		m, err := events.Next(jetstream.FetchMaxWait(patience))
		require.NoError(t, err)
		e, err := envelope.Decode[dm.Event](m.Data())
		require.NoError(t, err)
		require.Equal(t, topology.EventSubject(&e.Data, 4), m.Subject())
		require.Equal(t, []any{dm.KindHold, dm.SourceParley, want.Holder, want.By}, []any{e.Data.Kind, e.Data.Source, e.Data.Hold.Holder, e.Data.Hold.By})
		require.Equal(t, e.ID, m.Headers().Get("Nats-Msg-Id"))
	}
	var listed []string
	require.NoError(t, h.List(t.Context(), func(r holds.Record) error {
		listed = append(listed, r.Conversation)
		return nil
	}))
	require.Equal(t, []string{c.String()}, listed)
}
