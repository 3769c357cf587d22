package standalone_test

import (
	"encoding/json"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/rules"
	"github.com/parley-dm/parley/services/simulator"
)

// ruled inserts rules, the first of which wins.
func (w *world) ruled(all ...rules.Rule) {
	w.t.Helper()
	for n, r := range all {
		if r.MatchType == "" {
			r.MatchType = rules.MatchContains
		}
		if r.Keywords == nil {
			r.Keywords = []string{}
		}
		columns := make([]string, 3)
		for i, v := range []any{r.When, r.Then, r.Limits} {
			b, err := json.Marshal(v)
			require.NoError(w.t, err)
			columns[i] = string(b)
		}
		_, err := w.pool.Exec(w.t.Context(), `INSERT INTO response_rules (name, keywords, match_type, response_text, priority, conditions, actions, limits) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			r.Name, r.Keywords, string(r.MatchType), r.Response, 1000-n, columns[0], columns[1], columns[2])
		require.NoError(w.t, err)
	}
}

func said(s string) rules.Part { return rules.Part{Part: dm.Part{Kind: dm.PartText, Text: s}} }

// theLanguage has a rule for each thing that rules can ask for, do, and be limited by. Keywords tell them apart.
func theLanguage(now time.Time) []rules.Rule {
	on := func(o ...rules.Occasion) rules.When { return rules.When{On: o} }
	hours := func(outside bool) *rules.Hours { return &rules.Hours{Zone: "Asia/Tokyo", Outside: outside} }
	const turn = rules.ChooseTurn
	return []rules.Rule{
		{Name: "contains", Keywords: []string{"ontain"}, Response: "contains"},
		{Name: "word", MatchType: rules.MatchWord, Keywords: []string{"cat"}, Response: "word"},
		{Name: "exact", MatchType: rules.MatchExact, Keywords: []string{"exactly"}, Response: "exact"},
		{Name: "starts", MatchType: rules.MatchStarts, Keywords: []string{"begin"}, Response: "starts"},
		{Name: "all", MatchType: rules.MatchAll, Keywords: []string{"salt", "pepper"}, Response: "all"},
		{Name: "regex", MatchType: rules.MatchRegex, Keywords: []string{`order (?P<number>\d+)`}, Response: "order {{match.number}} of {{account.id}}"},
		{Name: "accents", Keywords: []string{"zürich"}, When: rules.When{IgnoreAccents: true}, Response: "accents"},
		{Name: "media", When: on(rules.OnMedia), Response: "media"},
		{Name: "story reply", Keywords: []string{"story"}, When: on(rules.OnStoryReply), Response: "story reply"},
		{Name: "story mention", When: on(rules.OnStoryMention), Response: "story mention"},
		{Name: "quick reply", When: rules.When{On: []rules.Occasion{rules.OnQuickReply}, Payloads: []string{"BLUE"}}, Response: "quick reply"},
		{Name: "postback", When: rules.When{On: []rules.Occasion{rules.OnPostback}, Payloads: []string{"BUY"}}, Response: "postback"},
		{Name: "first", Keywords: []string{"newcomer"}, When: on(rules.OnFirst), Response: "first"},
		{Name: "referral", When: rules.When{On: []rules.Occasion{rules.OnReferral}, Payloads: []string{"poster"}}, Response: "referral"},
		{Name: "reaction", When: rules.When{On: []rules.Occasion{rules.OnReaction}, Payloads: []string{"love"}}, Response: "reaction"},
		{Name: "comment", Keywords: []string{"commented"}, When: on(rules.OnComment), Response: "private reply", Then: rules.Then{PrivateReply: true}},
		{Name: "live", Keywords: []string{"commented"}, When: on(rules.OnLiveComment), Response: "live private reply", Then: rules.Then{PrivateReply: true}},
		{Name: "language", Keywords: []string{"hilfe"}, When: rules.When{Languages: []string{"de"}}, Response: "auf Deutsch"},
		{Name: "intent", Keywords: []string{"intent"}, When: rules.When{Intents: []string{"buy"}}, Response: "never: nobody classifies yet"},
		{Name: "elsewhere", Keywords: []string{"account"}, When: rules.When{Accounts: []string{"1"}}, Response: "never: another account"},
		{Name: "here", Keywords: []string{"account"}, When: rules.When{Accounts: []string{page}}, Response: "this account"},
		{Name: "new", Keywords: []string{"who am i"}, When: rules.When{Customers: rules.NewCustomers}, Response: "new"},
		{Name: "returning", Keywords: []string{"who am i"}, When: rules.When{Customers: rules.ReturningCustomers}, Response: "returning"},
		{Name: "labelled", Keywords: []string{"discount"}, When: rules.When{Labels: []string{"b2b"}}, Response: "labelled"},
		{Name: "closed", Keywords: []string{"timetable"}, When: rules.When{Hours: hours(true)}, Response: "never: it is always open"},
		{Name: "open", Keywords: []string{"timetable"}, When: rules.When{Hours: hours(false)}, Response: "open"},
		{Name: "otherwise", Keywords: []string{"otherwise", "ontain"}, When: rules.When{Otherwise: true}, Response: "otherwise"},
		{Name: "parts", Keywords: []string{"catalogue"}, Then: rules.Then{Reply: []rules.Part{
			said("one"), {Part: dm.Part{Kind: dm.PartImage, Media: []dm.Media{{URL: "https://example.com/a.jpg"}}}}, {Part: dm.Part{Text: "which?", QuickReplies: []dm.QuickReply{{Title: "Blue", Payload: "BLUE"}}}},
		}}},
		{Name: "turns", Keywords: []string{"joke"}, Then: rules.Then{Reply: []rules.Part{{Variants: []string{"joke one", "joke two"}, Choose: turn}}}},
		{Name: "by language", Keywords: []string{"öffnungszeiten", "opening hours"}, Response: "from 9", Then: rules.Then{ByLanguage: map[string][]rules.Part{"de": {said("ab 9")}}}},
		{Name: "like", Keywords: []string{"love it"}, Then: rules.Then{Like: true}},
		{Name: "hand off", Keywords: []string{"human"}, Response: "a person comes", Then: rules.Then{HandOff: true}},
		{Name: "silent", Keywords: []string{"unsubscribe"}, Then: rules.Then{Silent: true}},
		{Name: "label", Keywords: []string{"wholesale"}, Response: "label", Then: rules.Then{Labels: []string{"b2b"}}},
		{Name: "once", Keywords: []string{"gift"}, Response: "once", Limits: rules.Limits{OncePerCustomer: true}},
		{Name: "cooldown", Keywords: []string{"news"}, Response: "cooldown", Limits: rules.Limits{Cooldown: rules.Duration(time.Hour)}},
		{Name: "over", Keywords: []string{"sale"}, Response: "never: over", Limits: rules.Limits{Until: now.Add(-time.Hour)}},
		{Name: "not yet", Keywords: []string{"sale"}, Response: "never: not yet", Limits: rules.Limits{From: now.Add(time.Hour)}},
		{Name: "now", Keywords: []string{"sale"}, Response: "now", Limits: rules.Limits{From: now.Add(-time.Hour), Until: now.Add(time.Hour)}},
	}
}

// step is what a customer does, and what their phone shows then.
type step struct {
	kind, text, payload string
	want                []string // texts of messages; a picture has none
	liked               bool     // the customer's message gets a heart
}

func says(text string, want ...string) step { return step{text: text, want: want} }

// Every "when", "then" and "limit" of the rules' language, through the whole pipeline: from Meta's webhook to what the phone shows.
func TestTheLanguageOfRulesEndToEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "FALLBACK_RESPONSE=fallback")
	w.ruled(theLanguage(time.Now())...)
	w.serve()
	const none = "fallback"
	order := 0
	for name, steps := range map[string][]step{
		"match: contains":     {says("uncontained", "contains")},
		"match: word":         {says("my cat!", "word"), says("concatenate", none)},
		"match: exact":        {says(" Exactly ", "exact"), says("exactly so", none)},
		"match: starts with":  {says("beginning here", "starts"), says("the beginning", none)},
		"match: all of":       {says("pepper and salt", "all"), says("salt", none)},
		"match: regex":        {says("my order 4711 please", "order 4711 of "+page)},
		"match: accents":      {says("to Zurich", "accents")},
		"on: media":           {{kind: "image", want: []string{"media"}}},
		"on: story reply":     {{kind: "story_reply", text: "nice story", want: []string{"story reply"}}, says("nice story", none)},
		"on: story mention":   {{kind: "story_mention", want: []string{"story mention"}}},
		"on: quick reply":     {{kind: "quick_reply", text: "Blue", payload: "BLUE", want: []string{"quick reply"}}, {kind: "quick_reply", text: "Red", payload: "RED", want: []string{none}}},
		"on: postback":        {{kind: "postback", text: "Buy", payload: "BUY", want: []string{"postback"}}},
		"on: first message":   {says("a newcomer", "first"), says("a newcomer", none)},
		"on: referral":        {says("x", none), {kind: "referral", payload: "other"}, {kind: "referral", payload: "poster", want: []string{"referral"}}},
		"on: reaction":        {says("x", none), {kind: "react", want: []string{"reaction"}}},
		"on: comment":         {says("x", none), {kind: "comment", text: "somebody else"}, {kind: "comment", text: "I commented", want: []string{"private reply"}}},
		"on: live comment":    {says("x", none), {kind: "live_comment", text: "I commented", want: []string{"live private reply"}}},
		"languages":           {says("Ich brauche bitte dringend eure Hilfe", "auf Deutsch"), says("the word hilfe means help in another language", none)},
		"intents":             {says("my intent", none)},
		"accounts":            {says("my account", "this account")},
		"customers":           {says("who am i?", "new"), says("who am i?", "returning")},
		"labels":              {says("discount", none), says("wholesale", "label"), says("discount", "labelled")},
		"hours":               {says("your timetable", "open")},
		"otherwise":           {says("otherwise", "otherwise"), says("otherwise contained", "contains")},
		"then: parts":         {says("the catalogue", "one", "", "which?")},
		"then: turns":         {says("a joke", "joke one"), says("a joke", "joke two"), says("a joke", "joke one")},
		"then: by language":   {says("Wie sind denn eure Öffnungszeiten bei euch?", "ab 9"), says("What are your opening hours, please?", "from 9")},
		"then: like":          {{text: "I love it", liked: true}},
		"then: hand off":      {says("a human please", "a person comes"), says("my cat")},
		"then: silent":        {says("unsubscribe"), says("my cat", "word")},
		"limits: once":        {says("a gift", "once"), says("a gift", none)},
		"limits: cooldown":    {says("the news", "cooldown"), says("the news", none)},
		"limits: from, until": {says("the sale", "now")},
	} {
		order++
		key := simulator.Key{Account: page, Customer: strconv.Itoa(71_000 + order)}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w.plays(t, key, steps)
		})
	}
}

// plays has a customer go through steps, one after another: the phone shows what each wants, and nothing else.
func (w *world) plays(t *testing.T, key simulator.Key, steps []step) {
	t.Helper()
	received := func() (texts []string, last simulator.Message) {
		for _, m := range w.meta.Messages(key) {
			if !m.FromCustomer && m.Kind != "note" {
				texts, last = append(texts, m.Text), m
			}
		}
		return texts, last
	}
	liked := func(mid string) bool {
		for _, m := range w.meta.Messages(key) {
			if m.MID == mid {
				return m.Reaction != ""
			}
		}
		return false
	}
	var want []string
	for _, s := range steps {
		_, last := received()
		a := simulator.Action{Key: key, Kind: simulator.Kind(s.kind), Text: s.text, Payload: s.payload}
		if s.kind == "react" {
			a.Target = last.MID
		}
		m, err := w.meta.Say(a)
		require.NoError(t, err)
		want = append(want, s.want...)
		require.Eventually(t, func() bool { got, _ := received(); return len(got) >= len(want) }, patience, poll, "%s %q: an answer", s.kind, s.text)
		if s.kind == "" && len(s.want) == 0 && !s.liked {
			require.Eventually(t, func() bool {
				return w.count(`SELECT count(*) FROM events WHERE kind = 'decision' AND mid = $1`, m.MID) == 1
			}, patience, poll, "%q: why there is no answer", s.text)
		}
		if s.liked {
			require.Eventually(t, func() bool { return liked(m.MID) }, patience, poll, "a heart")
		}
	}
	got, _ := received()
	require.Equal(t, want, got)
}
