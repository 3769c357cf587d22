package deliver_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/services/sender/internal/deliver"
	"github.com/parley-dm/parley/services/sender/internal/ledger"
)

// holder says what the test says, and counts.
type holder struct {
	hold  dm.Hold
	err   error
	asked int
	// from is the asking from which on it is held.
	from int
}

func (h *holder) Holder(context.Context, dm.Conversation, time.Time) (dm.Hold, bool, error) {
	h.asked++
	if h.asked < h.from {
		return dm.Hold{}, false, nil
	}
	return h.hold, h.hold.Holder != "", h.err
}

func (b *testBundle) heldBy(h *holder) *deliver.Deliverer {
	b.t.Helper()
	d, err := deliver.New(deliver.Deps{
		Accounts: b.book, Graph: b.client, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(), Holds: h,
		Ledger: ledger.New(b.bucket, ledger.Options{Now: b.now}),
	}, deliver.Options{GraphURL: b.url, Now: b.now})
	require.NoError(b.t, err)
	return d
}

func outcomesOf(deliveries []dm.Delivery) []dm.Outcome {
	var out []dm.Outcome
	for _, d := range deliveries {
		out = append(out, d.Outcome)
	}
	return out
}

func TestWhoHasTheConversationIsAskedBeforeEachMessage(t *testing.T) {
	t.Parallel()
	now := time.Now()
	person := dm.Hold{Holder: dm.HolderPerson, Reason: dm.HoldTakeover, At: now, Until: now.Add(time.Hour), Cause: "ev_echo"}
	loop := dm.Hold{Holder: dm.HolderPerson, Reason: dm.HoldLoop, At: now, Until: now.Add(time.Hour), Cause: "ev_last"}
	for name, c := range map[string]struct {
		holder holder
		intent func(i *dm.ReplyIntent)
		want   []dm.Outcome
	}{
		"nobody":                       {holder{}, nil, []dm.Outcome{"sent", "sent", "sent"}},
		"a person":                     {holder{hold: person}, nil, []dm.Outcome{"held", "held", "held"}},
		"a person, in the middle":      {holder{hold: person, from: 2}, nil, []dm.Outcome{"sent", "held", "held"}},
		"a person wrote it":            {holder{hold: person}, func(i *dm.ReplyIntent) { i.Origin = dm.OriginOperator }, []dm.Outcome{"sent", "sent", "sent"}},
		"it hands the conversation on": {holder{hold: person}, func(i *dm.ReplyIntent) { i.EventID = "ev_echo" }, []dm.Outcome{"sent", "sent", "sent"}},
		"what led to a loop":           {holder{hold: loop}, func(i *dm.ReplyIntent) { i.EventTime = now.Add(-time.Second) }, []dm.Outcome{"sent", "sent", "sent"}},
		"what goes on after a loop":    {holder{hold: loop}, func(i *dm.ReplyIntent) { i.EventTime = now.Add(time.Second) }, []dm.Outcome{"held", "held", "held"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			i := intent("held", "one", "two", "three")
			if c.intent != nil {
				c.intent(&i)
			}
			d := b.heldBy(&c.holder)
			got, err := d.Deliver(t.Context(), i)
			require.NoError(t, err)
			require.Equal(t, c.want, outcomesOf(got))
			c.holder.hold = dm.Hold{} // given back: what was not sent stays so
			again, err := d.Deliver(t.Context(), i)
			require.NoError(t, err)
			require.Equal(t, got, again)
			for _, one := range got {
				require.Equal(t, one.Outcome == dm.OutcomeHeld, one.Reason != "")
			}
		})
	}
}

// sent is what the stream has of what was sent.
type sent struct {
	mids  []string
	since time.Time
	err   error
}

func (s *sent) Sent(_ context.Context, _ dm.Conversation, since time.Time) ([]dm.Delivery, error) {
	s.since = since
	out := make([]dm.Delivery, len(s.mids))
	for n, mid := range s.mids {
		out[n].MID = mid
	}
	return out, s.err
}

// An echo of ours that nobody knew for one takes the conversation until that is found out: what waits in the sender meanwhile goes out.
func TestATakeoverByAMessageOfOursHoldsNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h := &holder{hold: dm.Hold{Holder: dm.HolderPerson, Reason: dm.HoldTakeover, At: time.Now(), MID: "m_9"}}
	s := &sent{mids: []string{"m_8", "m_9"}}
	d, err := deliver.New(deliver.Deps{
		Accounts: b.book, Graph: b.client, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(), Holds: h, Sent: s,
		Ledger: ledger.New(b.bucket, ledger.Options{Now: b.now}),
	}, deliver.Options{GraphURL: b.url, Now: b.now})
	require.NoError(t, err)
	got, err := d.Deliver(t.Context(), intent("ours", "one", "two"))
	require.NoError(t, err)
	require.Equal(t, []dm.Outcome{dm.OutcomeSent, dm.OutcomeSent}, outcomesOf(got))
	require.WithinDuration(t, h.hold.At, s.since, time.Minute)

	s.err = errors.New("away")
	_, err = d.Deliver(t.Context(), intent("unknown", "three"))
	class, _ := bus.Classify(err)
	require.Equal(t, bus.Deferred, class, "who does not know waits")
	s.err, s.mids = nil, []string{"m_8"}
	got, err = d.Deliver(t.Context(), intent("unknown", "three"))
	require.NoError(t, err)
	require.Equal(t, []dm.Outcome{dm.OutcomeHeld}, outcomesOf(got), "it was a person")
	require.Equal(t, []string{"one", "two"}, b.meta.sent())
}

// Of one reply nothing is told before all of it was sent.
func TestAnEchoOfTheFirstPartDoesNotHoldTheSecond(t *testing.T) {
	t.Parallel()
	b := setup(t)
	d := b.heldBy(&holder{})
	first, err := d.Deliver(t.Context(), intent("one", "one"))
	require.NoError(t, err)
	i := intent("one", "one", "two") // the first is in the ledger
	d = b.heldBy(&holder{hold: dm.Hold{Holder: dm.HolderPerson, Reason: dm.HoldTakeover, At: time.Now(), MID: first[0].MID}})
	got, err := d.Deliver(t.Context(), i)
	require.NoError(t, err)
	require.Equal(t, []dm.Outcome{dm.OutcomeSent, dm.OutcomeSent}, outcomesOf(got))
}

func TestWhatWasSentBeforeAPersonTookOverIsNotHeld(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h := &holder{}
	i := intent("sent", "one")
	d := b.heldBy(h)
	_, err := d.Deliver(t.Context(), i)
	require.NoError(t, err)
	h.hold = dm.Hold{Holder: dm.HolderApp, Reason: dm.HoldStandby}
	got, err := d.Deliver(t.Context(), i)
	require.NoError(t, err)
	require.Equal(t, []dm.Outcome{dm.OutcomeSent}, outcomesOf(got))

	h.err = errors.New("away")
	_, err = d.Deliver(t.Context(), intent("other", "one"))
	class, _ := bus.Classify(err)
	require.Equal(t, bus.Deferred, class, "who does not know waits")
	require.Equal(t, []string{"one"}, b.meta.sent())
}
