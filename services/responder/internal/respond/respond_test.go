package respond_test

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/pkg/alert"
	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/pipeline/holds"
	"github.com/parley-dm/parley/pkg/pipeline/holds/holdstest"
	"github.com/parley-dm/parley/pkg/rules"
	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/services/responder/internal/respond"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const archive = "17841400000000002"

type fixed struct{ set *rules.Set }

func (f fixed) Current() *rules.Set { return f.set }

type book map[string]accounts.Account

func (b book) Get(_ dm.Channel, id string) (accounts.Account, bool) {
	a, ok := b[id]
	return a, ok
}

type bundle struct {
	*respond.Responder
	held *holds.Holds
	log  *bytes.Buffer
	tel  *telemetry.Telemetry
	now  time.Time
}

func setup(t *testing.T, set *rules.Set, o respond.Options) *bundle {
	t.Helper()
	return setupWith(t, set, o)
}

func setupWith(t *testing.T, set *rules.Set, o respond.Options, with ...func(*respond.Deps)) *bundle {
	t.Helper()
	b := &bundle{log: &bytes.Buffer{}, now: noon.Add(2 * time.Second)}
	tel, err := telemetry.Start(t.Context(), telemetry.Options{Service: "responder", Common: config.Common{Debug: true}, LogTo: b.log, NoAdmin: true})
	require.NoError(t, err)
	b.tel = tel
	if o.LoopQuiet == 0 {
		o.LoopQuiet = 5 * time.Minute
	}
	b.held = holds.New(holdstest.New(), holds.Options{Now: func() time.Time { return b.now }})
	deps := respond.Deps{
		Accounts: book{shop: {ID: shop, Name: "Shop", Reply: true}, archive: {ID: archive}}, Rules: fixed{set}, Holds: b.held, Telemetry: tel, Now: func() time.Time { return b.now },
	}
	for _, f := range with {
		f(&deps)
	}
	b.Responder, err = respond.New(deps, o)
	require.NoError(t, err)
	return b
}

// hears is a responder that finds events said before.
func hears(t *testing.T, h heard) *bundle {
	t.Helper()
	return setupWith(t, priceRules(t), respond.Options{Fallback: "Thanks!"}, func(d *respond.Deps) { d.Heard = h })
}

func (b *bundle) answer(t *testing.T, e dm.Event) (dm.ReplyIntent, bool) {
	t.Helper()
	a, err := b.Answer(t.Context(), e)
	require.NoError(t, err)
	if a.Intent == nil {
		return dm.ReplyIntent{}, false
	}
	return *a.Intent, true
}

// nth is the nth message of a conversation, written at a time.
func nth(n int, at time.Time) dm.Event {
	e := message("price").Event
	e.ID, e.Time, e.ReceivedAt = fmt.Sprintf("ev_%d", n), at, at
	return e
}

func TestAReplyCarriesWhatItIsAbout(t *testing.T) {
	t.Parallel()
	b := setup(t, priceRules(t), respond.Options{Fallback: "Thanks!"})
	e := message("what is the price?").Event
	got, ok := b.answer(t, e)
	require.True(t, ok)
	got.Trace.Micros = 0
	require.Equal(t, dm.ReplyIntent{
		ID: dm.IntentID("ev_1", 0), EventID: "ev_1", Conversation: e.Conversation, Origin: dm.OriginRule, RuleID: "1", RuleName: "prices", MatchedOn: "price",
		Parts: []dm.Part{{Kind: dm.PartText, Text: "It is 5 €."}}, EventTime: noon, ReceivedAt: noon.Add(time.Second), CreatedAt: noon.Add(2 * time.Second),
		Expires: noon.Add(24 * time.Hour), Trace: &dm.Trace{Rules: 2, RulesVersion: priceRules(t).Version(), Tried: []dm.TraceRule{{ID: "1", Won: true, Words: "price", From: 12, To: 17}}},
	}, got)

	e.Text = "hello"
	got, ok = b.answer(t, e)
	require.True(t, ok)
	require.Equal(t, dm.OriginFallback, got.Origin)
	require.Equal(t, "Thanks!", got.Parts[0].Text)
	require.Empty(t, got.RuleID+got.RuleName+got.MatchedOn)
}

// An account that nobody answers for is told of once, however many write to it.
func TestAnAccountThatIsNotOursIsToldOf(t *testing.T) {
	t.Parallel()
	b := setupWith(t, priceRules(t), respond.Options{Fallback: "Thanks!"}, func(d *respond.Deps) {
		var err error
		d.Alerts, err = alert.New(alert.Settings{}, alert.Options{Service: "responder", Log: d.Telemetry.Log, Metrics: d.Telemetry.Metrics})
		require.NoError(t, err)
	})
	for n := range 5 {
		e := nth(n, noon)
		e.Account, e.KnownAccount = "17841400000000009", false
		_, ok := b.answer(t, e)
		require.False(t, ok)
		e.ID, e.Account = e.ID+"_test", "0"
		_, ok = b.answer(t, e)
		require.False(t, ok)
	}
	require.Equal(t, 1, strings.Count(b.log.String(), "alert.raised"))
	require.Contains(t, b.log.String(), "kind=unknown_account account_id=17841400000000009")
}

func TestAccountsDecideWhoIsAnswered(t *testing.T) {
	t.Parallel()
	b := setup(t, priceRules(t), respond.Options{Fallback: "Thanks!"})
	for name, c := range map[string]dm.Conversation{
		"archive only":     {Channel: dm.ChannelInstagram, Account: archive, Customer: customer},
		"not ours":         {Channel: dm.ChannelInstagram, Account: "0", Customer: customer},
		"our own accounts": {Channel: dm.ChannelInstagram, Account: shop, Customer: archive},
	} {
		e := message("price").Event
		e.Conversation = c
		_, ok := b.answer(t, e)
		require.False(t, ok, name)
	}
}

func TestBeforeTheFirstRulesNothingIsDecided(t *testing.T) {
	t.Parallel()
	b := setup(t, nil, respond.Options{Fallback: "Thanks!"})
	_, err := b.Answer(t.Context(), message("price").Event)
	require.ErrorIs(t, err, respond.ErrNoRules)
}

func TestADecisionIsOneLineWithoutTheText(t *testing.T) {
	t.Parallel()
	b := setup(t, priceRules(t), respond.Options{Fallback: "Thanks-a-lot"})
	e := message("secretword price").Event
	b.answer(t, e)
	e.Text = "secretword"
	b.answer(t, e)
	e.Kind = dm.KindEcho
	b.answer(t, e)
	require.Equal(t, 3, strings.Count(b.log.String(), "msg=event.decided"))
	require.Contains(t, b.log.String(), "outcome=silence reason=echo")
	require.NotContains(t, b.log.String(), "secretword")
	require.NotContains(t, b.log.String(), "5 €")
	require.NotContains(t, b.log.String(), "Thanks-a-lot")
	require.NoError(t, testutil.GatherAndCompare(b.tel.Gatherer(), strings.NewReader(`
# HELP parley_decisions_total Events decided, by outcome (rule, fallback, silence) and reason.
# TYPE parley_decisions_total counter
parley_decisions_total{outcome="fallback",reason="no_match",service="responder"} 1
parley_decisions_total{outcome="rule",reason="matched",service="responder"} 1
parley_decisions_total{outcome="silence",reason="echo",service="responder"} 1
`), "parley_decisions_total"))
}

func TestTooManyRepliesToOneCustomerAreHeld(t *testing.T) {
	t.Parallel()
	b := setup(t, priceRules(t), respond.Options{MaxRepliesPerMinute: 3})
	at := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Second) }
	for n := range 3 {
		_, ok := b.answer(t, nth(n, at(n)))
		require.True(t, ok)
	}
	for n := 3; n < 6; n++ {
		_, ok := b.answer(t, nth(n, at(n)))
		require.False(t, ok, "the fourth and later within a minute")
	}
	require.Equal(t, 1, strings.Count(b.log.String(), "msg=conversation.held"), "one alert, not one for each message")
	require.Equal(t, 3, strings.Count(b.log.String(), "outcome=silence reason=held"))

	other := nth(7, at(5))
	other.Customer = "7002"
	_, ok := b.answer(t, other)
	require.True(t, ok, "other customers feel nothing")

	_, ok = b.answer(t, nth(8, at(200)))
	require.False(t, ok, "not quiet for long enough")
	b.now = at(1000)
	_, ok = b.answer(t, nth(9, at(499)))
	require.False(t, ok, "what it wrote in the meantime makes it longer, and counts by when it was written")
	_, ok = b.answer(t, nth(10, at(800)))
	require.True(t, ok, "calmed down")
	for n := 11; n < 15; n++ {
		b.answer(t, nth(n, at(801)))
	}
	require.Equal(t, 2, strings.Count(b.log.String(), "msg=conversation.held"))
	require.InEpsilon(t, 2, gathered(t, b.tel.Gatherer(), "parley_conversations_held_total"), 0.01)
}

func TestALoopIsHeldWhereRestartsDoNotForgetIt(t *testing.T) {
	t.Parallel()
	b := setup(t, priceRules(t), respond.Options{MaxRepliesPerMinute: 1})
	_, ok := b.answer(t, nth(0, noon))
	require.True(t, ok)
	a, err := b.Answer(t.Context(), nth(1, noon.Add(time.Second)))
	require.NoError(t, err)
	require.Nil(t, a.Intent)
	require.Equal(t, dm.KindHold, a.Hold.Kind)
	require.Equal(t, &dm.Hold{
		Holder: dm.HolderPerson, Reason: dm.HoldLoop, At: noon.Add(time.Second), Until: noon.Add(5*time.Minute + time.Second), Cause: "ev_1",
	}, a.Hold.Hold)
	again, err := b.Answer(t.Context(), nth(1, noon.Add(time.Second)))
	require.NoError(t, err)
	require.Equal(t, a.Hold, again.Hold, "told again with the same id")

	fresh, err := respond.New(respond.Deps{
		Accounts: book{shop: {ID: shop, Reply: true}}, Rules: fixed{priceRules(t)}, Holds: b.held, Telemetry: telemetry.Discard(), Now: func() time.Time { return b.now },
	}, respond.Options{MaxRepliesPerMinute: 1, LoopQuiet: 5 * time.Minute})
	require.NoError(t, err)
	a, err = fresh.Answer(t.Context(), nth(2, noon.Add(2*time.Minute)))
	require.NoError(t, err)
	require.Nil(t, a.Intent)
	require.NotNil(t, a.Hold, "it goes on, and so does the silence")

	_, err = b.held.Change(t.Context(), nth(0, noon).Conversation, dm.Hold{Holder: dm.HolderBot, Reason: dm.HoldOperator, By: "anna", At: noon.Add(3 * time.Minute)})
	require.NoError(t, err)
	a, err = fresh.Answer(t.Context(), nth(3, noon.Add(4*time.Minute)))
	require.NoError(t, err)
	require.NotNil(t, a.Intent, "an operator gave it back")
}

func TestWhatAPersonOrAnotherAppHasIsNotAnswered(t *testing.T) {
	t.Parallel()
	for holder, reason := range map[dm.Holder]string{dm.HolderPerson: "person", dm.HolderApp: "other_app"} {
		b := setup(t, priceRules(t), respond.Options{})
		c := nth(0, noon).Conversation
		_, err := b.held.Change(t.Context(), c, dm.Hold{Holder: holder, Reason: dm.HoldTakeover, At: noon, Until: noon.Add(time.Hour)})
		require.NoError(t, err)
		_, ok := b.answer(t, nth(1, noon.Add(time.Second)))
		require.False(t, ok)
		require.Contains(t, b.log.String(), "outcome=silence reason="+reason)
		b.now = noon.Add(2 * time.Hour)
		_, ok = b.answer(t, nth(2, noon.Add(59*time.Minute)))
		require.False(t, ok, "written while it was held")
		_, ok = b.answer(t, nth(3, noon.Add(time.Hour)))
		require.True(t, ok, "over")
	}
}

func TestARedeliveredEventCountsOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, priceRules(t), respond.Options{MaxRepliesPerMinute: 2})
	for range 10 {
		i, ok := b.answer(t, nth(0, noon))
		require.True(t, ok)
		require.Equal(t, dm.IntentID("ev_0", 0), i.ID)
	}
	_, ok := b.answer(t, nth(1, noon))
	require.True(t, ok)
	for range 2 {
		_, ok = b.answer(t, nth(2, noon))
		require.False(t, ok)
		_, ok = b.answer(t, nth(1, noon))
		require.True(t, ok, "it gets the answer that it had")
	}
}

func TestMessagesThatWaitedAreAnsweredTogether(t *testing.T) {
	t.Parallel()
	b := setup(t, priceRules(t), respond.Options{MaxRepliesPerMinute: 2})
	for n := range 20 {
		e := nth(n, noon.Add(time.Duration(n)*31*time.Second))
		e.ReceivedAt = noon.Add(time.Hour)
		_, ok := b.answer(t, e)
		require.True(t, ok, "the customer wrote slowly, however fast they come now")
	}
}

func TestNoBound(t *testing.T) {
	t.Parallel()
	b := setup(t, priceRules(t), respond.Options{})
	for n := range 100 {
		_, ok := b.answer(t, nth(n, noon))
		require.True(t, ok)
	}
}

func TestConcurrentConversations(t *testing.T) {
	t.Parallel()
	b := setup(t, priceRules(t), respond.Options{MaxRepliesPerMinute: 5})
	var wg sync.WaitGroup
	for c := range 20 {
		wg.Go(func() {
			answered := 0
			for n := range 10 {
				e := nth(c*100+n, noon)
				e.Customer = fmt.Sprint(c)
				if a, err := b.Answer(t.Context(), e); err == nil && a.Intent != nil {
					answered++
				}
			}
			if answered != 5 {
				t.Errorf("customer %d got %d replies, expected 5", c, answered)
			}
		})
	}
	wg.Wait()
}

func gathered(t *testing.T, g prometheus.Gatherer, name string) float64 {
	t.Helper()
	families, err := g.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	require.FailNow(t, "no metric "+name)
	return 0
}

func BenchmarkAnswer(b *testing.B) {
	set, _ := rules.Compile([]rules.Rule{{ID: "1", Name: "prices", MatchType: rules.MatchContains, Keywords: []string{"price"}, Response: "5"}})
	r, err := respond.New(respond.Deps{Accounts: book{shop: {ID: shop, Reply: true}}, Rules: fixed{set}, Holds: holds.New(holdstest.New(), holds.Options{}), Telemetry: telemetry.Discard()}, respond.Options{MaxRepliesPerMinute: 20})
	require.NoError(b, err)
	e := message("what is the price?").Event
	n := 0
	for b.Loop() {
		n++
		e.ID, e.Customer, e.Time = fmt.Sprint(n), fmt.Sprint(n%2000), noon.Add(time.Duration(n)*time.Millisecond)
		if _, err := r.Answer(b.Context(), e); err != nil {
			b.Fatal(err)
		}
	}
}
