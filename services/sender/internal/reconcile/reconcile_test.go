package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/meta/graph"
	"github.com/parley-dm/parley/services/sender/internal/reconcile"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var conversation = dm.Conversation{Channel: dm.ChannelInstagram, Account: "17841400000000001", Customer: "7001"}

var hello = dm.Part{Kind: dm.PartText, Text: "hello"}

// past is what the streams and Meta hold.
type past struct {
	echoes  []dm.Event
	heard   []dm.Event
	sent    []dm.Delivery
	threads [][]graph.Message
	// gone are messages that the list tells of and no details are had of.
	gone  map[string]bool
	err   error
	asked []string
	// away is the error of each stream.
	away map[string]error
}

func (p *past) Echoes(context.Context, dm.Conversation, time.Time) ([]dm.Event, error) {
	return p.echoes, p.away["echoes"]
}

func (p *past) Heard(context.Context, dm.Conversation, time.Time) ([]dm.Event, error) {
	return p.heard, p.away["heard"]
}

func (p *past) Sent(context.Context, dm.Conversation, time.Time) ([]dm.Delivery, error) {
	return p.sent, p.away["sent"]
}

func (p *past) Conversations(context.Context, graph.Credentials, string) ([]string, error) {
	var ids []string
	for n := range p.threads {
		ids = append(ids, fmt.Sprint(n))
	}
	return ids, p.err
}

func (p *past) Messages(_ context.Context, _ graph.Credentials, id string) ([]graph.MessageRef, error) {
	var n int
	_, _ = fmt.Sscan(id, &n)
	var refs []graph.MessageRef
	for _, m := range p.threads[n] {
		refs = append(refs, graph.MessageRef{ID: m.ID, Created: m.Created})
	}
	return refs, nil
}

func (p *past) Message(_ context.Context, _ graph.Credentials, mid string) (graph.Message, error) {
	p.asked = append(p.asked, mid)
	for _, thread := range p.threads {
		for _, m := range thread {
			if m.ID == mid && !p.gone[mid] {
				return m, nil
			}
		}
	}
	return graph.Message{}, &graph.Error{Code: 9000001, Rule: graph.Rule{Class: graph.ClassNotFound}}
}

var claimed = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func echo(mid, text string, after time.Duration) dm.Event {
	return dm.Event{Kind: dm.KindEcho, Conversation: conversation, MID: mid, Text: text, Time: claimed.Add(after)}
}

func ours(mid, text string, after time.Duration) graph.Message {
	return graph.Message{ID: mid, Created: claimed.Add(after), From: conversation.Account, To: []string{conversation.Customer}, Text: text}
}

func theirs(mid string, after time.Duration) graph.Message {
	return graph.Message{ID: mid, Created: claimed.Add(after), From: conversation.Customer, To: []string{conversation.Account}, Text: "hello"}
}

func delivered(mids ...string) []dm.Delivery {
	var out []dm.Delivery
	for _, mid := range mids {
		out = append(out, dm.Delivery{Conversation: conversation, Outcome: dm.OutcomeSent, MID: mid})
	}
	return out
}

func look(t *testing.T, p *past, ask bool, taken ...string) reconcile.Answer {
	t.Helper()
	a, err := reconcile.New(p, p).Look(t.Context(), reconcile.Question{Conversation: conversation, Part: hello, Since: claimed, Taken: taken, Ask: ask})
	require.NoError(t, err)
	return a
}

func TestEchoes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		past  past
		taken []string
		want  string
	}{
		"none":                                {},
		"the one":                             {past: past{echoes: []dm.Event{echo("a", "hello", time.Second)}}, want: "a"},
		"another text":                        {past: past{echoes: []dm.Event{echo("a", "hello!", time.Second)}}},
		"no mid":                              {past: past{echoes: []dm.Event{echo("", "hello", time.Second)}}},
		"Meta's clock is behind":              {past: past{echoes: []dm.Event{echo("a", "hello", -30*time.Second)}}, want: "a"},
		"an old one that came late":           {past: past{echoes: []dm.Event{echo("a", "hello", -2*time.Minute)}}},
		"white space was changed":             {past: past{echoes: []dm.Event{echo("a", " hello\n", time.Second)}}, want: "a"},
		"the exact one first":                 {past: past{echoes: []dm.Event{echo("a", "hello ", 0), echo("b", "hello", 1)}}, want: "b"},
		"the same text was said before":       {past: past{echoes: []dm.Event{echo("a", "hello", 0), echo("b", "hello", 1)}, sent: delivered("a")}, want: "b"},
		"only the text said before":           {past: past{echoes: []dm.Event{echo("a", "hello", 0)}, sent: delivered("a")}},
		"said before by the same intent":      {past: past{echoes: []dm.Event{echo("a", "hello", 0), echo("b", "hello", 1)}}, taken: []string{"a"}, want: "b"},
		"both are others'":                    {past: past{echoes: []dm.Event{echo("a", "hello", 0), echo("b", "hello", 1)}, sent: delivered("b")}, taken: []string{"a"}},
		"an exact one is taken, alike is not": {past: past{echoes: []dm.Event{echo("a", "hello", 0), echo("b", "hello ", 1)}, sent: delivered("a")}, want: "b"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := look(t, &c.past, false, c.taken...)
			require.Equal(t, c.want, a.MID)
			require.Equal(t, c.want != "", a.Fate == reconcile.Sent)
		})
	}
}

func TestTheConversation(t *testing.T) {
	t.Parallel()
	var full []graph.Message
	for n := range 20 {
		full = append(full, theirs(fmt.Sprint("full", n), time.Duration(20-n)*time.Second))
	}
	before := theirs("before", -2*time.Minute)
	type thread = []graph.Message
	for name, c := range map[string]struct {
		past past
		want reconcile.Answer
	}{
		"found":                                         {past{threads: []thread{{ours("a", "hello", time.Second), before}}}, reconcile.Answer{Fate: reconcile.Sent, MID: "a"}},
		"found, dated a little early":                   {past{threads: []thread{{ours("a", "hello", -30*time.Second), before}}}, reconcile.Answer{Fate: reconcile.Sent, MID: "a"}},
		"found, white space changed":                    {past{threads: []thread{{ours("a", "hello\n", time.Second), before}}}, reconcile.Answer{Fate: reconcile.Sent, MID: "a"}},
		"found in a list that is full":                  {past{threads: []thread{append(thread{ours("a", "hello", time.Minute)}, full...)}}, reconcile.Answer{Fate: reconcile.Sent, MID: "a"}},
		"only the customer's words":                     {past{threads: []thread{{theirs("t", time.Second), before}}}, reconcile.Answer{Fate: reconcile.Absent}},
		"a new conversation":                            {past{threads: []thread{{theirs("t", -time.Second)}}}, reconcile.Answer{Fate: reconcile.Absent}},
		"what was said before the claim":                {past{threads: []thread{{ours("old", "hello", -2*time.Minute), before}}}, reconcile.Answer{Fate: reconcile.Absent}},
		"the same text, another message's":              {past{threads: []thread{{ours("a", "hello", time.Second), before}}, sent: delivered("a")}, reconcile.Answer{Fate: reconcile.Absent}},
		"the earlier of two, by another":                {past{threads: []thread{{ours("b", "hello", 2*time.Second), ours("a", "hello", time.Second), before}}, sent: delivered("a")}, reconcile.Answer{Fate: reconcile.Sent, MID: "b"}},
		"ours, with a text that Meta or a person wrote": {past{threads: []thread{{ours("a", "hallo", time.Second), before}}}, reconcile.Answer{}},
		"does not reach back":                           {past{threads: []thread{full}}, reconcile.Answer{}},
		"no details":                                    {past{threads: []thread{{theirs("t", time.Second), before}}, gone: map[string]bool{"t": true}}, reconcile.Answer{}},
		"not listed":                                    {past{}, reconcile.Answer{}},
		"listed without words":                          {past{threads: []thread{{}}}, reconcile.Answer{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "does not reach back" || name == "found in a list that is full" {
				for n := range 20 {
					c.past.sent = append(c.past.sent, delivered(fmt.Sprint("full", n))...)
				}
			}
			a := look(t, &c.past, true)
			require.Equal(t, []any{c.want.Fate, c.want.MID}, []any{a.Fate, a.MID}, a.How)
			require.NotEmpty(t, a.How)
		})
	}
}

// A customer who wrote more than one page within the minute that clocks may be apart: what is answered was said before the reply,
// by every clock.
func TestAListThatReachesBeyondWhatIsAnsweredIsWhole(t *testing.T) {
	t.Parallel()
	p := &past{threads: [][]graph.Message{nil}}
	for n := range 30 {
		mid := fmt.Sprint("m", n)
		p.threads[0] = append(p.threads[0], theirs(mid, time.Duration(10-n)*time.Second))
		p.heard = append(p.heard, dm.Event{ID: "ev_" + mid, Kind: dm.KindMessage, Conversation: conversation, MID: mid})
	}
	for answers, want := range map[string]reconcile.Fate{
		"ev_m15": reconcile.Absent, "ev_m29": reconcile.Undecided /* the list may have been cut off beside it */, "ev_other": reconcile.Undecided, "": reconcile.Undecided,
	} {
		a, err := reconcile.New(p, p).Look(t.Context(), reconcile.Question{Conversation: conversation, Part: hello, Since: claimed, Answers: answers, Ask: true})
		require.NoError(t, err)
		require.Equal(t, want, a.Fate, "%q: %s", answers, a.How)
	}
	require.Empty(t, p.asked)
}

// A customer who writes much makes no questions: what is known to be theirs, or another message's, is not asked about.
func TestOnlyWhatMayBeOursIsAskedAbout(t *testing.T) {
	t.Parallel()
	p := &past{threads: [][]graph.Message{{ours("b", "hello", 3*time.Second), theirs("t", 2*time.Second), ours("a", "hello", time.Second), theirs("s", 0)}}, sent: delivered("a")}
	for _, mid := range []string{"s", "t"} {
		p.heard = append(p.heard, dm.Event{Kind: dm.KindMessage, Conversation: conversation, MID: mid})
	}
	require.Equal(t, "b", look(t, p, true).MID)
	require.Equal(t, []string{"b"}, p.asked)
}

func TestMetaIsNotAskedUnlessAllowed(t *testing.T) {
	t.Parallel()
	p := &past{threads: [][]graph.Message{{ours("a", "hello", time.Second)}}}
	require.Equal(t, reconcile.Undecided, look(t, p, false).Fate)
	require.Equal(t, reconcile.Sent, look(t, p, true).Fate)
}

func TestAQuestionThatFailsProvesNothing(t *testing.T) {
	t.Parallel()
	p := &past{err: errors.New("down")}
	_, err := reconcile.New(p, p).Look(t.Context(), reconcile.Question{Conversation: conversation, Part: hello, Since: claimed, Ask: true})
	require.ErrorIs(t, err, p.err)
	require.NotErrorIs(t, err, reconcile.ErrAway, "Meta did not answer")
	for _, stream := range []string{"echoes", "heard", "sent"} {
		p := &past{threads: [][]graph.Message{{theirs("t", time.Second)}}, echoes: []dm.Event{echo("e", "hello", time.Second)}, away: map[string]error{stream: errors.New("no leader")}}
		if stream == "heard" {
			p.echoes = nil
		}
		_, err := reconcile.New(p, p).Look(t.Context(), reconcile.Question{Conversation: conversation, Part: hello, Since: claimed, Ask: true})
		require.ErrorIs(t, err, reconcile.ErrAway, stream)
		require.ErrorContains(t, err, "no leader")
	}
}

// The questions of one account keep to Meta's rate, and one that has no turn in its time gives up.
func TestThePaceOfQuestions(t *testing.T) {
	t.Parallel()
	p := &past{threads: [][]graph.Message{{theirs("t", -2*time.Minute)}}}
	r := reconcile.New(p, p)
	q := reconcile.Question{Conversation: conversation, Part: hello, Since: claimed, Ask: true}
	began := time.Now()
	for range 2 {
		_, err := r.Look(t.Context(), q)
		require.NoError(t, err)
	}
	require.GreaterOrEqual(t, time.Since(began), 1500*time.Millisecond, "four questions, two a second")
	stop := make(chan struct{})
	close(stop)
	q.Stop = stop
	_, err := r.Look(t.Context(), q)
	require.Error(t, err)
}
