package respond_test

import (
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/rules"
	"github.com/parley-dm/parley/services/responder/internal/respond"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

const (
	shop     = "17841400000000001"
	customer = "7001"
)

// priceRules has one rule, as most tests need.
func priceRules(t *testing.T) *rules.Set {
	t.Helper()
	set, problems := rules.Compile([]rules.Rule{
		{ID: "1", Name: "prices", MatchType: rules.MatchContains, Keywords: []string{"cost", "price"}, Response: "It is 5 €."},
		{ID: "2", Name: "menu", MatchType: rules.MatchExact, Keywords: []string{"MENU_PRICES"}, Response: "See the menu."},
	})
	require.Empty(t, problems)
	return set
}

// message is an event that is answered; with changes it.
func message(text string, with ...func(*respond.Turn)) respond.Turn {
	t := respond.Turn{
		Event: dm.Event{
			ID: "ev_1", Conversation: dm.Conversation{Channel: dm.ChannelInstagram, Account: shop, Customer: customer}, Kind: dm.KindMessage, MID: "m1",
			Text: text, MessageType: "text", KnownAccount: true, Time: noon, ReceivedAt: noon.Add(time.Second), Source: dm.SourceWebhook,
		},
		AccountKnown: true, AccountReplies: true, Now: noon.Add(2 * time.Second),
	}
	for _, f := range with {
		f(&t)
	}
	return t
}

// decision is what was decided, as its log line and its reply have it.
type decision struct {
	Outcome               respond.Outcome
	Reason                respond.Reason
	Text, Rule, MatchedOn string
}

// decide decides a turn by a Responder of its own.
func decide(t *testing.T, turn respond.Turn, set *rules.Set, fallback string) decision {
	t.Helper()
	all := book{}
	if turn.AccountKnown {
		all[turn.Event.Account] = accounts.Account{ID: turn.Event.Account, Reply: turn.AccountReplies}
	}
	if turn.CustomerIsOurs {
		all[turn.Event.Customer] = accounts.Account{ID: turn.Event.Customer}
	}
	b := setupWith(t, set, respond.Options{Fallback: fallback}, func(d *respond.Deps) {
		d.Accounts, d.Now = all, func() time.Time { return turn.Now }
	})
	a, err := b.Answer(t.Context(), turn.Event)
	require.NoError(t, err)
	m := decidedLine.FindStringSubmatch(b.log.String())
	require.NotNil(t, m, b.log.String())
	out := decision{Outcome: respond.Outcome(m[1]), Reason: respond.Reason(m[2])}
	require.Equal(t, out.Outcome == respond.OutcomeSilence, a.Intent == nil)
	require.Equal(t, a.Intent == nil && turn.Event.FromCustomer(), a.Decision != nil, "each message of a customer has a reply or a reason")
	if a.Intent != nil {
		out.Text, out.Rule, out.MatchedOn = a.Intent.Parts[0].Text, a.Intent.RuleID, a.Intent.MatchedOn
	}
	return out
}

var decidedLine = regexp.MustCompile(`outcome=(\w+) reason=(\w+)`)

func kind(k dm.EventKind) func(*respond.Turn) { return func(t *respond.Turn) { t.Event.Kind = k } }

func TestDecide(t *testing.T) {
	t.Parallel()
	silent := func(r respond.Reason) decision { return decision{Outcome: respond.OutcomeSilence, Reason: r} }
	fallback := func(r respond.Reason) decision {
		return decision{Outcome: respond.OutcomeFallback, Reason: r, Text: "Thanks!"}
	}
	set := priceRules(t)
	rule := func(text, keyword string) decision {
		m, ok := set.Match(text)
		require.True(t, ok)
		return decision{Outcome: respond.OutcomeRule, Reason: respond.ReasonMatched, Text: m.Rule.Response, Rule: m.Rule.ID, MatchedOn: keyword}
	}
	event := func(f func(e *dm.Event)) func(*respond.Turn) { return func(t *respond.Turn) { f(&t.Event) } }
	media := event(func(e *dm.Event) { e.Attachments = []dm.Attachment{{Type: "image", URL: "https://example.test/1"}} })

	for name, c := range map[string]struct {
		turn respond.Turn
		want decision
	}{
		"a rule":                          {message("The PRICE?"), rule("price", "price")},
		"no rule":                         {message("hello"), fallback(respond.ReasonNoMatch)},
		"text of a picture":               {message("price of this", media), rule("price", "price")},
		"a picture without text":          {message("", media), fallback(respond.ReasonNoText)},
		"a story mention":                 {message("", media, event(func(e *dm.Event) { e.MessageType = "story_mention" })), fallback(respond.ReasonNoText)},
		"a story reply without text":      {message("", event(func(e *dm.Event) { e.StoryID = "s1" })), fallback(respond.ReasonNoText)},
		"an unsupported kind":             {message("", event(func(e *dm.Event) { e.MessageType = "unsupported" })), fallback(respond.ReasonNoText)},
		"blank text":                      {message(" \n"), fallback(respond.ReasonNoText)},
		"only NULs":                       {message("\x00\x00"), fallback(respond.ReasonNoMatch)},
		"invalid UTF-8 around a keyword":  {message("\xff\xedprice\xc0"), rule("price", "price")},
		"emoji":                           {message("👩‍👩‍👧‍👦"), fallback(respond.ReasonNoMatch)},
		"an empty message":                {message(""), silent(respond.ReasonEmpty)},
		"a quick reply, by its title":     {message("price?", event(func(e *dm.Event) { e.Payload = "P" })), rule("price", "price")},
		"a quick reply, by its payload":   {message("?", event(func(e *dm.Event) { e.Payload = "menu_prices" })), rule("price", "price")},
		"a postback, by its title":        {message("Our prices", kind(dm.KindPostback)), rule("price", "price")},
		"a postback, by its payload":      {message("Costs", kind(dm.KindPostback), event(func(e *dm.Event) { e.Text, e.Payload = "?", "COSTS" })), rule("cost", "cost")},
		"a postback without anything":     {message("", kind(dm.KindPostback)), fallback(respond.ReasonNoText)},
		"a postback that no rule knows":   {message("Start", kind(dm.KindPostback), event(func(e *dm.Event) { e.Payload = "START" })), fallback(respond.ReasonNoMatch)},
		"another app's thread":            {message("price", event(func(e *dm.Event) { e.Standby = true })), silent("standby")},
		"no sender":                       {message("price", event(func(e *dm.Event) { e.Customer = "" })), silent(respond.ReasonNoCustomer)},
		"unknown to ingress":              {message("price", event(func(e *dm.Event) { e.KnownAccount = false })), silent(respond.ReasonUnknownAccount)},
		"unknown to us":                   {message("price", func(t *respond.Turn) { t.AccountKnown = false }), silent(respond.ReasonUnknownAccount)},
		"archive only":                    {message("price", func(t *respond.Turn) { t.AccountReplies = false }), silent(respond.ReasonArchiveOnly)},
		"another account of ours":         {message("price", func(t *respond.Turn) { t.CustomerIsOurs = true }), silent(respond.ReasonOwnAccount)},
		"the account itself":              {message("price", event(func(e *dm.Event) { e.Customer = e.Account })), silent(respond.ReasonOwnAccount)},
		"more than a day late":            {message("price", event(func(e *dm.Event) { e.ReceivedAt = e.Time.Add(24*time.Hour + time.Millisecond) })), silent(respond.ReasonLate)},
		"a day late":                      {message("price", event(func(e *dm.Event) { e.ReceivedAt = e.Time.Add(24 * time.Hour) })), rule("price", "price")},
		"late on our side only":           {message("price", func(t *respond.Turn) { t.Now = noon.Add(30 * time.Hour) }), rule("price", "price")},
		"no time given":                   {message("price", event(func(e *dm.Event) { e.Time = time.Time{} })), rule("price", "price")},
		"from the future":                 {message("price", event(func(e *dm.Event) { e.Time = noon.Add(time.Hour) })), rule("price", "price")},
		"no time of receipt, old":         {message("price", event(func(e *dm.Event) { e.Time, e.ReceivedAt = noon.Add(-25*time.Hour), time.Time{} })), silent(respond.ReasonLate)},
		"found by backfill":               {message("price", event(func(e *dm.Event) { e.Source = dm.SourceBackfill })), rule("price", "price")},
		"a kind from the future":          {message("price", kind("hologram")), silent("unknown")},
		"an unknown item":                 {message("price", kind(dm.KindUnknown)), silent("unknown")},
		"text that is only a zero-width ": {message("\u200b"), fallback(respond.ReasonNoMatch)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, decide(t, c.turn, set, "Thanks!"))
		})
	}

	for _, k := range []dm.EventKind{
		dm.KindEcho, dm.KindSelf, dm.KindDelete, dm.KindEdit, dm.KindEditNoop, dm.KindReaction, dm.KindUnreaction, dm.KindSeen, dm.KindReferral,
		dm.KindOptin, dm.KindThreadControl, dm.KindStandby, dm.KindComment, dm.KindLiveComment, dm.KindMention,
	} {
		t.Run("never "+string(k), func(t *testing.T) {
			t.Parallel()
			require.Equal(t, silent(respond.Reason(k)), decide(t, message("price", kind(k), media), set, "Thanks!"))
		})
	}
}

func TestAnEmptyFallbackIsSilence(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", " \n"} {
		require.Equal(t, decision{Outcome: respond.OutcomeSilence, Reason: respond.ReasonNoMatch}, decide(t, message("hello"), priceRules(t), text))
		require.Equal(t, respond.OutcomeRule, decide(t, message("price"), priceRules(t), text).Outcome)
	}
}

func TestWithoutRulesTheFallbackAnswers(t *testing.T) {
	t.Parallel()
	none, _ := rules.Compile(nil)
	require.Equal(t, respond.OutcomeFallback, decide(t, message("price"), none, "Thanks!").Outcome)
}
