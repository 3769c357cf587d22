package respond_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/pipeline/holds/holdstest"
	"github.com/parley-dm/parley/pkg/rules"
	"github.com/parley-dm/parley/services/responder/internal/respond"
	"github.com/parley-dm/parley/services/responder/internal/state"
)

const bot = "I am a bot."

// discloses is a responder that says that it is a bot, with a rule for prices, one for comments, and one that hands off.
func discloses(t *testing.T, lapse time.Duration) *bundle {
	t.Helper()
	long := strings.Repeat("x", 995)
	set, problems := rules.Compile([]rules.Rule{
		{ID: "1", Name: "prices", MatchType: rules.MatchContains, Keywords: []string{"price"}, Response: "It is 5 €."},
		{ID: "2", Name: "comment", MatchType: rules.MatchContains, Keywords: []string{"price"}, Response: "5 €.", When: rules.When{On: []rules.Occasion{rules.OnComment, rules.OnLiveComment}}, Then: rules.Then{PrivateReply: true}},
		{ID: "3", Name: "long", MatchType: rules.MatchContains, Keywords: []string{"everything"}, Response: long, When: rules.When{On: []rules.Occasion{rules.OnComment}}, Then: rules.Then{PrivateReply: true}},
		{ID: "4", Name: "thanks", MatchType: rules.MatchContains, Keywords: []string{"thanks"}, Then: rules.Then{Like: true}},
	})
	require.Empty(t, problems)
	return setupWith(t, set, respond.Options{Disclosure: bot, DisclosureLapse: lapse}, func(d *respond.Deps) {
		d.State = state.New(holdstest.New(), state.Options{TTL: 1000 * time.Hour})
	})
}

// says is what is said to the nth event of a conversation, so long after noon.
func (b *bundle) says(t *testing.T, n int, after time.Duration, change func(*dm.Event)) []string {
	t.Helper()
	at := noon.Add(after)
	b.now = at.Add(time.Second)
	e := nth(n, at)
	if change != nil {
		change(&e)
	}
	i, ok := b.answer(t, e)
	if !ok {
		return nil
	}
	var out []string
	for _, p := range i.Parts {
		out = append(out, p.Text)
	}
	return out
}

func TestItIsDisclosedAgainAfterALapse(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	b := discloses(t, 30*day)
	first, later := []string{bot, "It is 5 €."}, []string{"It is 5 €."}
	require.Equal(t, first, b.says(t, 1, 0, nil))
	require.Equal(t, later, b.says(t, 2, time.Minute, nil))
	require.Equal(t, first, b.says(t, 1, 0, nil), "what comes again is decided as it was")
	require.Equal(t, later, b.says(t, 3, 29*day, nil), "the lapse has not come")
	require.Equal(t, later, b.says(t, 4, 58*day, nil), "it is measured from the last reply, not from when it was said")
	require.Equal(t, first, b.says(t, 5, 90*day, nil), "after the lapse")
	require.Equal(t, later, b.says(t, 6, 90*day+time.Hour, nil))
	require.Equal(t, []string{""}, b.says(t, 7, 200*day, func(e *dm.Event) { e.Text = "thanks" }), "a heart says nothing, and need not be explained")
	require.Equal(t, first, b.says(t, 8, 201*day, nil), "the heart was no reply that said it")
}

// To a comment one message may be said: that a bot says it is in it.
func TestItIsDisclosedInAPrivateReply(t *testing.T) {
	t.Parallel()
	for _, kind := range []dm.EventKind{dm.KindComment, dm.KindLiveComment} {
		b := discloses(t, 24*time.Hour)
		comment := func(text, id string) func(*dm.Event) {
			return func(e *dm.Event) { e.Kind, e.MID, e.MessageType, e.CommentID, e.Text = kind, "", "", id, text }
		}
		require.Equal(t, []string{bot + "\n\n5 €."}, b.says(t, 1, 0, comment("the price?", "c_1")), kind)
		require.Equal(t, []string{"5 €."}, b.says(t, 2, time.Minute, comment("the price?", "c_2")), kind)
		require.Equal(t, []string{"It is 5 €."}, b.says(t, 3, time.Hour, nil), "and it was said for the conversation, too")
	}
	b := discloses(t, 24*time.Hour)
	said := b.says(t, 1, 0, func(e *dm.Event) {
		e.Kind, e.MID, e.MessageType, e.CommentID, e.Text = dm.KindComment, "", "", "c_1", "everything"
	})
	require.Len(t, said, 1)
	require.NotContains(t, said[0], bot, "there is no room for it")
	require.Equal(t, []string{bot, "It is 5 €."}, b.says(t, 2, time.Minute, nil), "the next reply says it")
}

// Times in replies are those of the business's zone, whatever the machine's is.
func TestTimesAreThoseOfTheBusiness(t *testing.T) {
	t.Parallel()
	set, problems := rules.Compile([]rules.Rule{{ID: "1", Name: "now", MatchType: rules.MatchContains, Keywords: []string{"price"}, Response: "{{time.weekday}} {{time.clock}}, good {{time.of_day}}!"}})
	require.Empty(t, problems)
	for zone, want := range map[string]string{"": "Sunday 12:00, good afternoon!", "Asia/Tokyo": "Sunday 21:00, good evening!", "America/Los_Angeles": "Sunday 04:00, good "} {
		o := respond.Options{}
		if zone != "" {
			var err error
			o.Zone, err = time.LoadLocation(zone)
			require.NoError(t, err)
		}
		said := setup(t, set, o).says(t, 1, 0, nil)
		require.Len(t, said, 1)
		require.True(t, strings.HasPrefix(said[0], want), said[0])
	}
}
