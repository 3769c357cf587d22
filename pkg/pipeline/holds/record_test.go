package holds

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/parley-dm/parley/pkg/dm"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func after(d time.Duration) time.Time { return noon.Add(d) }

func takeover(at time.Duration, mid string) dm.Hold {
	return dm.Hold{Holder: dm.HolderPerson, Reason: dm.HoldTakeover, At: after(at), Until: after(at + 12*time.Hour), MID: mid, Cause: "ev_" + mid}
}

func app(reason dm.HoldReason, at time.Duration) dm.Hold {
	return dm.Hold{Holder: dm.HolderApp, Reason: reason, By: "2", At: after(at), Until: after(at + 24*time.Hour), Cause: "ev_" + at.String()}
}

func back(reason dm.HoldReason, at time.Duration, mid string) dm.Hold {
	return dm.Hold{Holder: dm.HolderBot, Reason: reason, At: after(at), MID: mid, Cause: "back_" + at.String()}
}

func operator(at, until time.Duration) dm.Hold {
	h := dm.Hold{Holder: dm.HolderPerson, Reason: dm.HoldOperator, By: "anna", At: after(at), Cause: "op_" + at.String()}
	if until > 0 {
		h.Until = after(until)
	}
	return h
}

// Each row makes changes one after another: what the last of them was, and who has the conversation a moment later.
func TestWhoHasItAfterChanges(t *testing.T) {
	t.Parallel()
	const h = time.Hour
	for name, c := range map[string]struct {
		changes []dm.Hold
		last    verdict
		at      time.Duration
		want    dm.Holder
	}{
		"a person answers":                            {[]dm.Hold{takeover(0, "m1")}, changed, h, dm.HolderPerson},
		"the quiet time is over":                      {[]dm.Hold{takeover(0, "m1")}, changed, 12 * h, ""},
		"the person goes on":                          {[]dm.Hold{takeover(0, "m1"), takeover(h, "m2")}, changed, 12*h + 1, dm.HolderPerson},
		"the person goes on at once":                  {[]dm.Hold{takeover(0, "m1"), takeover(time.Second, "m2")}, idle, h, dm.HolderPerson},
		"the same echo again":                         {[]dm.Hold{takeover(0, "m1"), takeover(0, "m1")}, again, h, dm.HolderPerson},
		"an older echo comes late":                    {[]dm.Hold{takeover(h, "m2"), takeover(0, "m1")}, idle, 12*h + 1, dm.HolderPerson},
		"an operator gives it back":                   {[]dm.Hold{takeover(0, "m1"), back(dm.HoldOperator, h, "")}, changed, 2 * h, ""},
		"an echo from before that comes late":         {[]dm.Hold{takeover(0, "m1"), back(dm.HoldOperator, h, ""), takeover(h/2, "m2")}, idle, 2 * h, ""},
		"a person answers after that":                 {[]dm.Hold{takeover(0, "m1"), back(dm.HoldOperator, h, ""), takeover(2*h, "m2")}, changed, 3 * h, dm.HolderPerson},
		"nothing to give back":                        {[]dm.Hold{back(dm.HoldOperator, h, "")}, idle, 2 * h, ""},
		"given back already":                          {[]dm.Hold{takeover(0, "m1"), back(dm.HoldOperator, h, ""), back(dm.HoldOperator, h, "")}, again, 2 * h, ""},
		"an operator takes it for good":               {[]dm.Hold{operator(0, 0)}, changed, 9999 * h, dm.HolderPerson},
		"an answer does not shorten that":             {[]dm.Hold{operator(0, 0), takeover(h, "m1")}, idle, 9999 * h, dm.HolderPerson},
		"an operator shortens it":                     {[]dm.Hold{takeover(0, "m1"), operator(h, 2*h)}, changed, 3 * h, ""},
		"the message was ours":                        {[]dm.Hold{takeover(0, "m1"), back(dm.HoldOurs, 0, "m1")}, changed, h, ""},
		"another message was ours":                    {[]dm.Hold{takeover(0, "m1"), back(dm.HoldOurs, 0, "m2")}, idle, h, dm.HolderPerson},
		"the message was ours, and a person answered": {[]dm.Hold{takeover(h, "m1"), back(dm.HoldOurs, h, "m1"), takeover(h/2, "m2")}, changed, 2 * h, dm.HolderPerson},
		"standby":                             {[]dm.Hold{app(dm.HoldStandby, 0)}, changed, h, dm.HolderApp},
		"passed back":                         {[]dm.Hold{app(dm.HoldStandby, 0), back(dm.HoldThreadControl, h, "")}, changed, 2 * h, ""},
		"standby from before that comes late": {[]dm.Hold{app(dm.HoldStandby, 0), back(dm.HoldThreadControl, h, ""), app(dm.HoldStandby, h/2)}, idle, 2 * h, ""},
		"an older pass comes late":            {[]dm.Hold{app(dm.HoldThreadControl, h), back(dm.HoldThreadControl, 0, "")}, idle, 2 * h, dm.HolderApp},
		"passed back, but a person has it":    {[]dm.Hold{app(dm.HoldStandby, 0), takeover(h, "m1"), back(dm.HoldThreadControl, 2*h, "")}, changed, 3 * h, dm.HolderPerson},
		"an operator gives both back":         {[]dm.Hold{app(dm.HoldStandby, 0), takeover(h, "m1"), back(dm.HoldOperator, 2*h, "")}, changed, 3 * h, ""},
		"never passed back":                   {[]dm.Hold{app(dm.HoldThreadControl, 0)}, changed, 24 * h, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var r Record
			var v verdict
			for _, change := range c.changes {
				r, v = r.with(change)
			}
			require.Equal(t, c.last, v)
			got, held := r.At(after(c.at))
			require.Equal(t, c.want != "", held)
			require.Equal(t, c.want, got.Holder)
		})
	}
}

// Whatever order echoes come in and however often, the bot is silent until at least almost the end of the latest.
func TestTakeoversInAnyOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		minutes := rapid.SliceOfN(rapid.IntRange(0, 600), 1, 20).Draw(t, "minutes")
		var r Record
		latest := time.Time{}
		for _, m := range minutes {
			h := takeover(time.Duration(m)*time.Minute, time.Duration(m).String())
			r, _ = r.with(h)
			if h.Until.After(latest) {
				latest = h.Until
			}
		}
		slack := 12 * time.Hour / lasting
		require.False(t, r.Person.Until.After(latest))
		require.LessOrEqual(t, latest.Sub(r.Person.Until), slack)
	})
}

func TestHowLongARecordIsKept(t *testing.T) {
	t.Parallel()
	person, other, forGood, given := takeover(0, "m1"), app(dm.HoldStandby, 0), operator(0, 0), back(dm.HoldOperator, 0, "")
	require.Equal(t, 36*time.Hour, Record{Person: &person}.ttl(noon))
	require.Equal(t, 48*time.Hour, Record{Person: &person, App: &other}.ttl(noon))
	require.Equal(t, 48*time.Hour, Record{Person: &given}.ttl(noon))
	require.Zero(t, Record{Person: &forGood, App: &other}.ttl(noon))
	require.Equal(t, time.Minute, Record{Person: &person}.ttl(after(1000*time.Hour)))
}

func TestDecodeRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	r, err := decode("k", []byte(`{"version":1,"conversation":"instagram:1:2","person":{"holder":"person","reason":"takeover","at":"2026-11-22T12:00:00Z","new":1},"more":[]}`))
	require.NoError(t, err)
	require.Equal(t, dm.HolderPerson, r.Person.Holder)
	_, err = decode("k", []byte(`{"version":2}`))
	require.ErrorIs(t, err, errNewer)
	_, err = decode("k", []byte(`{`))
	require.ErrorContains(t, err, "record k")
}
