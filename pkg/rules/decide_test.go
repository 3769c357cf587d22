package rules_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/rules"
	"github.com/parley-dm/parley/pkg/rules/template"
)

// past is a History: what rules did before, by id.
type past map[string]rules.Past

func (p past) Rule(id string) rules.Past { return p[id] }

// said is a turn about a text, an hour after epoch.
func said(texts ...string) rules.Turn {
	return rules.Turn{EventID: "ev_1", Account: "17", Occasions: []rules.Occasion{rules.OnText}, Texts: texts, Now: epoch.Add(time.Hour)}
}

func in(language string) func() string { return func() string { return language } }

func TestConditionsAndLimits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		when   rules.When
		limits rules.Limits
		yes    func(*rules.Turn)
		no     func(*rules.Turn)
		reason string
	}{
		"occasion":         {rules.When{On: []rules.Occasion{rules.OnStoryReply}}, rules.Limits{}, func(u *rules.Turn) { u.Occasions = []rules.Occasion{rules.OnStoryReply, rules.OnText} }, nil, rules.SkipOccasion},
		"no comments":      {rules.When{}, rules.Limits{}, nil, func(u *rules.Turn) { u.Occasions = []rules.Occasion{rules.OnComment} }, rules.SkipOccasion},
		"first message":    {rules.When{On: []rules.Occasion{rules.OnFirst}}, rules.Limits{}, func(u *rules.Turn) { u.Occasions = append(u.Occasions, rules.OnFirst) }, nil, rules.SkipOccasion},
		"payload":          {rules.When{Payloads: []string{"A", "B"}}, rules.Limits{}, func(u *rules.Turn) { u.Payloads = []string{"B"} }, func(u *rules.Turn) { u.Payloads = []string{"b"} }, rules.SkipPayload},
		"account":          {rules.When{Accounts: []string{"17"}}, rules.Limits{}, nil, func(u *rules.Turn) { u.Account = "18" }, rules.SkipAccount},
		"new customers":    {rules.When{Customers: rules.NewCustomers}, rules.Limits{}, nil, func(u *rules.Turn) { u.Returning = true }, rules.SkipCustomer},
		"returning ones":   {rules.When{Customers: rules.ReturningCustomers}, rules.Limits{}, func(u *rules.Turn) { u.Returning = true }, nil, rules.SkipCustomer},
		"labels, all":      {rules.When{Labels: []string{"vip", "eu"}}, rules.Limits{}, func(u *rules.Turn) { u.Labels = []string{"eu", "x", "vip"} }, func(u *rules.Turn) { u.Labels = []string{"vip"} }, rules.SkipLabel},
		"language":         {rules.When{Languages: []string{"de", "fr"}}, rules.Limits{}, func(u *rules.Turn) { u.Language = in("fr") }, func(u *rules.Turn) { u.Language = in("") }, rules.SkipLanguage},
		"language, nobody": {rules.When{Languages: []string{"de"}}, rules.Limits{}, func(u *rules.Turn) { u.Language = in("de") }, nil, rules.SkipLanguage},
		"intent":           {rules.When{Intents: []string{"buy"}}, rules.Limits{}, func(u *rules.Turn) { u.Intent = "buy" }, nil, rules.SkipIntent},
		"sentiment":        {rules.When{Sentiments: []string{"angry"}}, rules.Limits{}, func(u *rules.Turn) { u.Sentiment = "angry" }, func(u *rules.Turn) { u.Sentiment = "glad" }, rules.SkipSentiment},
		"once":             {rules.When{}, rules.Limits{OncePerCustomer: true}, func(u *rules.Turn) { u.History = past{"other": {Times: 1}} }, func(u *rules.Turn) { u.History = past{"r": {Times: 1, Last: epoch}} }, rules.SkipOnce},
		"cool-down":        {rules.When{}, rules.Limits{Cooldown: rules.Duration(time.Hour)}, func(u *rules.Turn) { u.History = past{"r": {Times: 1, Last: epoch}} }, func(u *rules.Turn) { u.History = past{"r": {Times: 1, Last: epoch.Add(time.Second)}} }, rules.SkipCooldown},
		"from":             {rules.When{}, rules.Limits{From: epoch.Add(time.Hour)}, nil, func(u *rules.Turn) { u.Now = epoch }, rules.SkipFrom},
		"until":            {rules.When{}, rules.Limits{Until: epoch.Add(time.Hour)}, func(u *rules.Turn) { u.Now = epoch }, nil, rules.SkipUntil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rule("r", rules.MatchWord, "price")
			r.When, r.Limits = c.when, c.limits
			set := compile(t, r)
			yes, no := said("the price?"), said("the price?")
			if c.yes != nil {
				c.yes(&yes)
			}
			if c.no != nil {
				c.no(&no)
			}
			require.True(t, set.Decide(yes).Matched)
			v := set.Decide(no)
			require.False(t, v.Matched)
			require.Len(t, v.Skipped, 1)
			require.Equal(t, c.reason, v.Skipped[0].Reason)
			require.Equal(t, "price", v.Skipped[0].Keyword)
		})
	}
}

func TestTheNextRuleAnswersWhereABetterOneMayNot(t *testing.T) {
	t.Parallel()
	first, second, third := rule("a", rules.MatchContains, "price"), rule("b", rules.MatchExact, "price"), rule("c", rules.MatchRegex, "pri(?P<rest>ce)")
	first.Limits.OncePerCustomer, second.When.Languages = true, []string{"de"}
	behind := rule("d", rules.MatchContains, "price")
	behind.When.Customers = rules.ReturningCustomers
	set := compile(t, first, second, third, behind)
	turn := said("price")
	turn.History = past{"a": {Times: 1, Last: epoch}}
	asked := 0
	turn.Language = func() string { asked++; return "en" }
	v := set.Decide(turn)
	require.True(t, v.Matched)
	require.Equal(t, "c", v.Rule.ID)
	require.Equal(t, map[string]string{"0": "price", "1": "ce", "rest": "ce"}, v.Captures)
	require.Equal(t, 1, asked)
	require.Len(t, v.Skipped, 2, "what is behind the one that won is not told")

	var trace dm.Trace
	v.Trace(&trace)
	got, err := json.Marshal(trace)
	require.NoError(t, err)
	require.JSONEq(t, fmt.Sprintf(`{"occasions":["text"],"rules":4,"rules_version":%q,"language":"en","tried":[
		{"id":"a","name":"a","skipped":"once","keyword":"price"}, {"id":"b","name":"b","skipped":"language","detail":"en","keyword":"price"},
		{"id":"c","name":"c","won":true,"keyword":"pri(?P<rest>ce)","words":"price","to":5}]}`, set.Version()), string(got))
}

func TestOtherwiseIsAskedWhenNoOtherRuleIsLeft(t *testing.T) {
	t.Parallel()
	otherwise, plain := rule("otherwise", "", nil...), rule("plain", rules.MatchContains, "price")
	otherwise.When.Otherwise, otherwise.Priority = true, 1000
	set := compile(t, otherwise, plain)
	require.Equal(t, "plain", set.Decide(said("price")).Rule.ID)
	require.Equal(t, "otherwise", set.Decide(said("hello")).Rule.ID)
	comment := said("hello")
	comment.Occasions = []rules.Occasion{rules.OnComment}
	require.False(t, set.Decide(comment).Matched)
}

func TestARuleForEverythingMustSaySo(t *testing.T) {
	t.Parallel()
	r := rule("r", "", nil...)
	require.ErrorIs(t, rules.Check(r), rules.ErrNoKeyword)
	r.When.IgnoreAccents = true
	require.ErrorIs(t, rules.Check(r), rules.ErrNoKeyword)
	r.When.On = []rules.Occasion{rules.OnMedia}
	require.NoError(t, rules.Check(r))
	r.Keywords = []string{" "}
	r.MatchType = rules.MatchContains
	require.ErrorIs(t, rules.Check(r), rules.ErrNoKeyword, "blank keywords are not meant as none")
}

func TestAPayloadAloneDecides(t *testing.T) {
	t.Parallel()
	r := rule("r", "", nil...)
	r.When.Payloads = []string{"MENU"}
	e := dm.Event{ID: "ev_1", Kind: dm.KindPostback, Text: "Show me", Payload: "MENU", Conversation: dm.Conversation{Account: "17"}}
	v := compile(t, r).Decide(rules.TurnOf(&e, true))
	require.True(t, v.Matched)
	require.Empty(t, v.Keyword)
	require.Empty(t, v.Words)
}

func TestOccasionsOfEvents(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		event dm.Event
		want  []rules.Occasion
	}{
		"text":          {dm.Event{Kind: dm.KindMessage, Text: "hi"}, []rules.Occasion{rules.OnText}},
		"media":         {dm.Event{Kind: dm.KindMessage, Attachments: []dm.Attachment{{Type: "image"}}}, []rules.Occasion{rules.OnMedia}},
		"story reply":   {dm.Event{Kind: dm.KindMessage, MessageType: "story_reply", Text: "wow"}, []rules.Occasion{rules.OnStoryReply, rules.OnText}},
		"story mention": {dm.Event{Kind: dm.KindMessage, MessageType: "story_mention"}, []rules.Occasion{rules.OnStoryMention}},
		"quick reply":   {dm.Event{Kind: dm.KindMessage, Text: "Yes", Payload: "YES"}, []rules.Occasion{rules.OnQuickReply, rules.OnText}},
		"postback":      {dm.Event{Kind: dm.KindPostback, Payload: "X"}, []rules.Occasion{rules.OnPostback}},
		"reaction":      {dm.Event{Kind: dm.KindReaction}, []rules.Occasion{rules.OnReaction}},
		"referral":      {dm.Event{Kind: dm.KindReferral}, []rules.Occasion{rules.OnReferral}},
		"comment":       {dm.Event{Kind: dm.KindComment}, []rules.Occasion{rules.OnComment}},
		"live comment":  {dm.Event{Kind: dm.KindLiveComment}, []rules.Occasion{rules.OnLiveComment}},
		"echo":          {dm.Event{Kind: dm.KindEcho, Text: "hi"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, rules.Occasions(&c.event, false))
		})
	}
	require.Contains(t, rules.Occasions(&dm.Event{Kind: dm.KindMessage, Text: "hi"}, true), rules.OnFirst)
}

func TestWords(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		how      rules.MatchType
		keywords []string
		text     string
		// words are what is quoted, "" where nothing matches.
		words string
	}{
		"a word":                        {rules.MatchWord, []string{"price"}, "what PRICE?", "PRICE"},
		"no part of a word":             {rules.MatchWord, []string{"price"}, "overpriced", ""},
		"several words":                 {rules.MatchWord, []string{"how much"}, "so,  How \n much is it", "How \n much"},
		"an apostrophe ends it":         {rules.MatchWord, []string{"shop"}, "the shop’s hours", "shop"},
		"but not before n't":            {rules.MatchWord, []string{"can"}, "I can't", ""},
		"french elision":                {rules.MatchWord, []string{"adresse"}, "quelle est l'adresse", "adresse"},
		"an underscore joins":           {rules.MatchWord, []string{"price"}, "price_list", ""},
		"a hyphen does not":             {rules.MatchWord, []string{"price"}, "price-list", "price"},
		"emoji":                         {rules.MatchWord, []string{"❤"}, "nice❤️❤️", "❤️"},
		"emoji of any skin":             {rules.MatchWord, []string{"👍"}, "ok 👍🏽!", "👍🏽"},
		"a flag":                        {rules.MatchWord, []string{"🇪🇸"}, "🇩🇪🇪🇸", "🇪🇸"},
		"no half flags":                 {rules.MatchWord, []string{"🇪🇪"}, "🇩🇪🇪🇸", ""},
		"chinese":                       {rules.MatchWord, []string{"价格"}, "这个价格是多少", "价格"},
		"chinese beside latin":          {rules.MatchWord, []string{"iphone"}, "有iPhone吗", "iPhone"},
		"katakana":                      {rules.MatchWord, []string{"カメラ"}, "このカメラは", "カメラ"},
		"katakana, part of a word":      {rules.MatchWord, []string{"カメラ"}, "カメラマン", ""},
		"half-width katakana":           {rules.MatchWord, []string{"サイズ"}, "ｻｲｽﾞは？", "ｻｲｽﾞ"},
		"thai":                          {rules.MatchWord, []string{"ราคา"}, "ขอราคาหน่อย", "ราคา"},
		"thai, inside a syllable":       {rules.MatchWord, []string{"ราค"}, "ขอราคาหน่อย", ""},
		"korean particle":               {rules.MatchWord, []string{"가격"}, "가격은 얼마", "가격"},
		"korean compound":               {rules.MatchWord, []string{"가격"}, "가격표", ""},
		"arabic article":                {rules.MatchWord, []string{"سعر"}, "كم السعر", "سعر"},
		"arabic, part of a word":        {rules.MatchWord, []string{"سعر"}, "كم الأسعار", ""},
		"arabic, other word":            {rules.MatchWord, []string{"باب"}, "شباب", ""},
		"arabic points":                 {rules.MatchContains, []string{"شكرا"}, "شُكْراً", "شُكْراً"},
		"arabic alef and tatweel":       {rules.MatchExact, []string{"أهلا"}, "اهـــلا", "اهـــلا"},
		"arabic digits":                 {rules.MatchContains, []string{"50"}, "عندي ٥٠", "٥٠"},
		"hebrew article":                {rules.MatchWord, []string{"מחיר"}, "מה המחיר?", "מחיר"},
		"hebrew points":                 {rules.MatchWord, []string{"שלום"}, "שָׁלוֹם", "שָׁלוֹם"},
		"hindi":                         {rules.MatchWord, []string{"दाम"}, "इसका दाम?", "दाम"},
		"hindi, with a vowel sign more": {rules.MatchWord, []string{"दाम"}, "दामों", ""},
		"full width":                    {rules.MatchWord, []string{"price"}, "ＰＲＩＣＥ？", "ＰＲＩＣＥ"},
		"starts with":                   {rules.MatchStarts, []string{"order"}, "  Orders please", "Order"},
		"does not start with":           {rules.MatchStarts, []string{"order"}, "my order", ""},
		"all of":                        {rules.MatchAll, []string{"where", "order"}, "my order, where is it", "where"},
		"all of, one missing":           {rules.MatchAll, []string{"where", "order"}, "my orders, where are they", ""},
		"regex":                         {rules.MatchRegex, []string{`größe\s+\d+`}, "Hat es GRÖßE 42 noch?", "GRÖßE 42"},
		"regex, as written":             {rules.MatchRegex, []string{`gr.ße`}, "Welche Größe?", "Größe"},
		"contains, decomposed":          {rules.MatchContains, []string{"café"}, "un cafe\u0301!", "cafe\u0301"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := compile(t, rule("r", c.how, c.keywords...)).Decide(said(c.text))
			require.Equal(t, c.words != "", v.Matched)
			if v.Matched && c.words != v.Words {
				require.Equal(t, fmt.Sprintf("%q", c.words), fmt.Sprintf("%q", v.Words))
			}
			if v.Matched {
				require.Equal(t, v.Words, c.text[v.From:v.To])
			}
		})
	}
}

func TestAccentsMayBeIgnored(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		how           rules.MatchType
		keyword, text string
		want          bool
	}{
		"in the text":          {rules.MatchWord, "cafe", "un CAFÉ", true},
		"in the keyword":       {rules.MatchExact, "café", "cafe", true},
		"exact, both":          {rules.MatchExact, "où", "ou", true},
		"an expression":        {rules.MatchRegex, `envi[oó]s?`, "envíos", true},
		"strokes":              {rules.MatchWord, "smorrebrod", "Smørrebrød", true},
		"vietnamese":           {rules.MatchWord, "giá", "gia bao nhieu", true},
		"japanese voice marks": {rules.MatchContains, "ガイド", "カイト", false},
		"thai vowels":          {rules.MatchContains, "ดี", "ด", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rule("r", c.how, c.keyword)
			r.When.IgnoreAccents = true
			v := compile(t, r).Decide(said(c.text))
			require.Equal(t, c.want, v.Matched)
			require.NotEqual(t, c.want, v.Words == "")
		})
	}
	require.False(t, compile(t, rule("r", rules.MatchWord, "cafe")).Decide(said("café")).Matched)
}

func TestRepliesAreFilledInChosenAndByLanguage(t *testing.T) {
	t.Parallel()
	r := rule("r", rules.MatchRegex, `order (?P<number>\d+)`)
	r.Then.Reply = []rules.Part{{Variants: []string{"one {{match.number}}", "two {{match.1}}", "three"}, Choose: rules.ChooseTurn}, {Part: dm.Part{Kind: dm.PartImage, Media: []dm.Media{{URL: "https://shop.example/a.jpg"}}}}}
	r.Then.ByLanguage = map[string][]rules.Part{"de": {{Part: dm.Part{Text: `Hallo {{customer.first_name | "du"}}`}}}}
	set := compile(t, r)
	reply := func(change func(*rules.Turn)) []dm.Part {
		turn := said("My ORDER 77")
		change(&turn)
		v := set.Decide(turn)
		require.True(t, v.Matched)
		parts, err := v.Parts(template.Facts{})
		require.NoError(t, err)
		return parts
	}
	require.Equal(t, []dm.Part{{Kind: dm.PartText, Text: "one 77"}, {Kind: dm.PartImage, Media: []dm.Media{{URL: "https://shop.example/a.jpg"}}}}, reply(func(*rules.Turn) {}))
	require.Equal(t, "two 77", reply(func(u *rules.Turn) { u.History = past{"r": {Times: 1}} })[0].Text)
	require.Equal(t, "one 77", reply(func(u *rules.Turn) { u.History = past{"r": {Times: 3}} })[0].Text)
	require.Equal(t, []dm.Part{{Kind: dm.PartText, Text: "Hallo du"}}, reply(func(u *rules.Turn) { u.Language = in("de") }))
	require.Equal(t, "one 77", reply(func(u *rules.Turn) { u.Language = in("fr") })[0].Text)
}

func TestVariantsAreDrawnByTheEvent(t *testing.T) {
	t.Parallel()
	r := rule("r", rules.MatchWord, "hi")
	r.Then.Reply = []rules.Part{{Variants: []string{"a", "b", "c"}}}
	set := compile(t, r)
	count := map[string]int{}
	for i := range 300 {
		turn := said("hi")
		turn.EventID = fmt.Sprintf("ev_%d", i)
		first, second := set.Decide(turn), set.Decide(turn)
		a, err := first.Parts(template.Facts{})
		require.NoError(t, err)
		b, err := second.Parts(template.Facts{})
		require.NoError(t, err)
		require.Equal(t, a, b)
		count[a[0].Text]++
	}
	for _, v := range []string{"a", "b", "c"} {
		require.Greater(t, count[v], 60)
	}
}

func TestAReplyThatIsNothingWhenFilledInIsAnError(t *testing.T) {
	t.Parallel()
	r := rule("asks", rules.MatchWord, "hi")
	r.Response = "{{customer.name}}"
	v := compile(t, r).Decide(said("hi"))
	_, err := v.Parts(template.Facts{})
	require.ErrorContains(t, err, `rule "asks", part 0`)
}

func TestWhatARuleCannotDoIsRefused(t *testing.T) {
	t.Parallel()
	text := func(s string) []rules.Part { return []rules.Part{{Part: dm.Part{Text: s}}} }
	for name, c := range map[string]struct {
		change func(*rules.Rule)
		want   string
	}{
		"nothing":             {func(r *rules.Rule) { r.Response = "" }, "response_text: expected a text"},
		"silent with a text":  {func(r *rules.Rule) { r.Then.Silent = true }, "then.silent"},
		"unknown field":       {func(r *rules.Rule) { r.Then.Reply = append(text("a"), text("{{customer.age}}")...) }, `then.reply[1]: unknown field "customer.age"`},
		"a group of no regex": {func(r *rules.Rule) { r.Response = "{{match.1}}" }, `response_text: unknown field "match.1"`},
		"an empty part":       {func(r *rules.Rule) { r.Then.Reply = []rules.Part{{}} }, "then.reply[0]: kind"},
		"Meta's limits": {func(r *rules.Rule) {
			r.Then.Reply = []rules.Part{{Part: dm.Part{Text: "a", Buttons: []dm.Button{{Title: "b"}}}}}
		}, "then.reply[0]: buttons[0].payload"},
		"a limit of one variant": {func(r *rules.Rule) {
			r.Then.Reply = []rules.Part{{Part: dm.Part{Kind: dm.PartButtonTemplate, Buttons: []dm.Button{{Title: "b", Payload: "p"}}}, Variants: []string{"a", strings.Repeat("x", 641)}}}
		}, "then.reply[0]: text"},
		"too many parts":        {func(r *rules.Rule) { r.Then.Reply = make([]rules.Part, 11) }, "got 11 parts"},
		"text and variants":     {func(r *rules.Rule) { r.Then.Reply = []rules.Part{{Part: dm.Part{Text: "a"}, Variants: []string{"b"}}} }, "then.reply[0]: variants"},
		"unknown choice":        {func(r *rules.Rule) { r.Then.Reply = []rules.Part{{Variants: []string{"b"}, Choose: "best"}} }, "then.reply[0]: choose"},
		"a mid":                 {func(r *rules.Rule) { r.Then.Reply = []rules.Part{{Part: dm.Part{Text: "a", MID: "m"}}} }, "then.reply[0]: mid"},
		"no default language":   {func(r *rules.Rule) { r.Response, r.Then.ByLanguage = "", map[string][]rules.Part{"de": text("a")} }, "then.by_language: got no answer for other languages"},
		"no language":           {func(r *rules.Rule) { r.Then.ByLanguage = map[string][]rules.Part{"german": text("a")} }, `got "german"`},
		"an answer to comments": {func(r *rules.Rule) { r.When.On = []rules.Occasion{rules.OnComment} }, "then.private_reply: got false"},
		"privately to messages": {func(r *rules.Rule) { r.Then.PrivateReply = true }, "then.private_reply: got true"},
		"privately, two parts": {func(r *rules.Rule) {
			r.When.On, r.Then.PrivateReply, r.Then.Reply = []rules.Occasion{rules.OnComment}, true, append(text("a"), text("b")...)
		}, "got 2 parts"},
		"privately, too long": {func(r *rules.Rule) {
			r.When.On, r.Then.PrivateReply, r.Then.Reply = []rules.Occasion{rules.OnComment}, true, text(strings.Repeat("x", 1001))
		}, "1001 bytes"},
		"an empty label":       {func(r *rules.Rule) { r.Then.Labels = []string{" "} }, "then.labels"},
		"unknown occasion":     {func(r *rules.Rule) { r.When.On = []rules.Occasion{"call"} }, `when.on: got "call", expected one of text, media`},
		"unknown customers":    {func(r *rules.Rule) { r.When.Customers = "old" }, `when.customers: got "old"`},
		"unknown language":     {func(r *rules.Rule) { r.When.Languages = []string{"DE"} }, `when.languages: got "DE"`},
		"an empty payload":     {func(r *rules.Rule) { r.When.Payloads = []string{""} }, "when.payloads"},
		"a negative cool-down": {func(r *rules.Rule) { r.Limits.Cooldown = -1 }, "limits.cooldown"},
		"until before from":    {func(r *rules.Rule) { r.Limits.From, r.Limits.Until = epoch, epoch }, "limits.until"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rule("r", rules.MatchContains, "x")
			c.change(&r)
			require.ErrorContains(t, rules.Check(r), c.want)
			set, problems := rules.Compile([]rules.Rule{r})
			require.Len(t, problems, 1)
			require.Zero(t, set.Len())
		})
	}
}

func TestSameSeesEveryChange(t *testing.T) {
	t.Parallel()
	base := rule("r", rules.MatchContains, "x")
	require.True(t, base.Same(base))
	moved := base
	moved.CreatedAt = base.CreatedAt.In(time.FixedZone("x", 3600))
	require.True(t, base.Same(moved), "a time is the same in another zone")
	for i, change := range []func(*rules.Rule){
		func(r *rules.Rule) { r.Name = "y" }, func(r *rules.Rule) { r.Keywords = []string{"y"} }, func(r *rules.Rule) { r.Priority++ },
		func(r *rules.Rule) { r.When.Otherwise = true }, func(r *rules.Rule) { r.When.Hours = &rules.Hours{Zone: "UTC"} },
		func(r *rules.Rule) { r.Then.Like = true }, func(r *rules.Rule) { r.Then.Reply = []rules.Part{{}} },
		func(r *rules.Rule) { r.Limits.Cooldown = 1 }, func(r *rules.Rule) { r.Limits.Until = epoch }, func(r *rules.Rule) { r.Version++ },
		func(r *rules.Rule) { r.Active = true }, func(r *rules.Rule) { r.Response = "" }, func(r *rules.Rule) { r.CreatedAt = epoch.Add(1) },
	} {
		other := base
		change(&other)
		require.False(t, base.Same(other), "%d", i)
	}
}

func FuzzDecide(f *testing.F) {
	var all []rules.Rule
	for i, how := range []rules.MatchType{rules.MatchContains, rules.MatchExact, rules.MatchWord, rules.MatchStarts, rules.MatchAll, rules.MatchRegex} {
		for j, bare := range []bool{false, true} {
			r := rule(fmt.Sprintf("%d%d", i, j), how, "où", "سعر", "カメラ", "가격", "b.*r")
			r.When.IgnoreAccents = bare
			r.When.Languages = []string{"en"}[:j]
			all = append(all, r)
		}
	}
	set, problems := rules.Compile(all)
	if len(problems) > 0 {
		f.Fatal(problems)
	}
	for _, s := range []string{"", "où est", "السعر", "ｶﾒﾗ", "가격은", "\xffbar", "\u0301b\u0301r", strings.Repeat("ou ", 9000), "🇩🇪🇪🇸"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v := set.Decide(said(s))
		require.LessOrEqual(t, v.From, v.To)
		require.LessOrEqual(t, v.To, len(s))
		if v.To > 0 {
			require.Equal(t, s[v.From:v.To], v.Words)
		}
		_, err := v.Parts(template.Facts{Message: s})
		require.NoError(t, err)
	})
}
