package rules_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/text/unicode/norm"

	"github.com/parley-dm/parley/pkg/rules"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func rule(name string, how rules.MatchType, keywords ...string) rules.Rule {
	return rules.Rule{ID: name, Name: name, MatchType: how, Keywords: keywords, Response: "answer of " + name, CreatedAt: epoch}
}

func compile(t *testing.T, all ...rules.Rule) *rules.Set {
	t.Helper()
	set, problems := rules.Compile(all)
	require.Empty(t, problems)
	return set
}

func TestMatchTypes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		how     rules.MatchType
		keyword string
		text    string
		want    bool
	}{
		"contains, as a word":                 {rules.MatchContains, "price", "What is the PRICE?", true},
		"contains, inside a word":             {rules.MatchContains, "price", "overpriced", true},
		"contains, not there":                 {rules.MatchContains, "price", "prize", false},
		"contains, at the very end":           {rules.MatchContains, "price", "the price", true},
		"contains, one byte":                  {rules.MatchContains, "?", "really?", true},
		"contains, two bytes":                 {rules.MatchContains, "hi", "this", true},
		"contains, three bytes":               {rules.MatchContains, "yes", "oh yes", true},
		"contains, four bytes":                {rules.MatchContains, "cost", "costs", true},
		"contains, longer than the text":      {rules.MatchContains, "opening hours", "hours", false},
		"contains, gram without the rest":     {rules.MatchContains, "opening hours", "opening", false},
		"contains, across lines":              {rules.MatchContains, "how much", "how\nmuch is it", true},
		"contains, emoji":                     {rules.MatchContains, "❤️", "so nice ❤", true},
		"contains, arabic":                    {rules.MatchContains, "سعر", "كم السعر؟", true},
		"contains, chinese":                   {rules.MatchContains, "多少钱", "请问多少钱？", true},
		"contains, sharp s":                   {rules.MatchContains, "straße", "HAUPTSTRASSE 5", true},
		"contains, a space of its own":        {rules.MatchContains, " hi ", "hi", true},
		"contains, a space that is not there": {rules.MatchContains, " hi ", "this", false},
		"contains, not an expression":         {rules.MatchContains, "a.c", "abc", false},
		"exact":                               {rules.MatchExact, "hello", "  HELLO \n", true},
		"exact, keyword with space":           {rules.MatchExact, " hello ", "hello", true},
		"exact, more text":                    {rules.MatchExact, "hello", "hello there", false},
		"exact, full width":                   {rules.MatchExact, "ok", "ＯＫ", true},
		"regex":                               {rules.MatchRegex, `^order\s+#?(\d+)$`, "Order #123", true},
		"regex, no match":                     {rules.MatchRegex, `^order\s+#?(\d+)$`, "my order #123", false},
		"regex, ignores case":                 {rules.MatchRegex, `price`, "PRICE", true},
		"regex, case switched on":             {rules.MatchRegex, `(?-i)PRICE`, "price", false},
		"regex, case on, folding kept out":    {rules.MatchRegex, `^(?-i:[^A-ZÀ-Þ]+)$`, "À LA CARTE", false},
		"regex, sees text as written":         {rules.MatchRegex, `(?-i)^PRICE$`, "PRICE", true},
		"regex, full width":                   {rules.MatchRegex, `price`, "ＰＲＩＣＥ", true},
		"regex, decomposed":                   {rules.MatchRegex, `^caf.$`, "cafe\u0301", true},
		"regex, an ellipsis is no wild card":  {rules.MatchRegex, `^…$`, "abc", false},
		"regex, catch-all":                    {rules.MatchRegex, `.*`, "anything", true},
		"regex, catch-all, blank text":        {rules.MatchRegex, `.*`, " \u200b ", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, ok := compile(t, rule("r", c.how, "never there", c.keyword)).Match(c.text)
			require.Equal(t, c.want, ok)
			if c.want {
				require.Equal(t, c.keyword, m.Keyword)
				require.Equal(t, "answer of r", m.Rule.Response)
			}
		})
	}
}

func TestWhoWins(t *testing.T) {
	t.Parallel()
	low, high, older := rule("b-low", rules.MatchContains, "price"), rule("c-high", rules.MatchRegex, "pri"), rule("z-older", rules.MatchExact, "price")
	high.Priority = 10
	older.CreatedAt = epoch.Add(-time.Second)
	same := rule("a-low", rules.MatchRegex, "price")
	for name, c := range map[string]struct {
		rules []rules.Rule
		want  string
	}{
		"the highest priority":                     {[]rules.Rule{low, high, older}, "c-high"},
		"the oldest among equals":                  {[]rules.Rule{low, older}, "z-older"},
		"the smallest id among equally old":        {[]rules.Rule{low, same}, "a-low"},
		"a negative priority loses":                {[]rules.Rule{low, {ID: "n", Name: "n", Priority: -1, MatchType: rules.MatchContains, Keywords: []string{"p"}, Response: "x"}}, "b-low"},
		"a duplicate keyword belongs to the first": {[]rules.Rule{low, rule("a-dup", rules.MatchContains, "PRICE")}, "a-dup"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, ok := compile(t, c.rules...).Match("price")
			require.True(t, ok)
			require.Equal(t, c.want, m.Rule.Name)
		})
	}
}

func TestSeveralTextsAreOneQuestion(t *testing.T) {
	t.Parallel()
	set := compile(t, rule("a", rules.MatchExact, "MENU_PRICES"), rule("b", rules.MatchContains, "prices"))
	m, ok := set.Match("See prices", "MENU_PRICES")
	require.True(t, ok)
	require.Equal(t, "a", m.Rule.Name, "the better rule wins, whichever text it matches")
	_, ok = set.Match()
	require.False(t, ok)
}

func TestABrokenRuleIsNamedAndTheOthersWork(t *testing.T) {
	t.Parallel()
	silent := rule("silent", rules.MatchContains, "x")
	silent.Response = " \n"
	set, problems := rules.Compile([]rules.Rule{
		rule("regex", rules.MatchRegex, "fine", "(unclosed"), rule("lookahead", rules.MatchRegex, "a(?=b)"), rule("huge", rules.MatchRegex, "(a{1000}){1000}"),
		rule("none", rules.MatchContains), rule("blank", rules.MatchContains, "", " ", "\u200b"), rule("type", "fuzzy", "x"), silent,
		rule("good", rules.MatchContains, "", "price"),
	})
	got := map[string]error{}
	for _, p := range problems {
		got[p.Rule.Name] = p.Err
	}
	require.Len(t, got, 7)
	require.ErrorIs(t, got["regex"], rules.ErrRegex)
	require.ErrorIs(t, got["lookahead"], rules.ErrRegex)
	require.ErrorIs(t, got["huge"], rules.ErrRegex)
	require.ErrorIs(t, got["none"], rules.ErrNoKeyword)
	require.ErrorIs(t, got["blank"], rules.ErrNoKeyword)
	require.ErrorIs(t, got["type"], rules.ErrMatchType)
	require.ErrorIs(t, got["silent"], rules.ErrNoResponse)

	require.Equal(t, 1, set.Len())
	m, ok := set.Match("price?")
	require.True(t, ok)
	require.Equal(t, "good", m.Rule.Name)
	_, ok = set.Match("fine")
	require.False(t, ok, "a rule is used whole or not at all")
}

func TestOnlyTheBeginningOfAHugeTextIsLookedAt(t *testing.T) {
	t.Parallel()
	set := compile(t, rule("r", rules.MatchContains, "price"))
	_, ok := set.Match(strings.Repeat("é", 7_000) + " price")
	require.True(t, ok)
	_, ok = set.Match(strings.Repeat("é", 9_000) + " price")
	require.False(t, ok)
}

func TestARuleIsTheSameUntilSomethingOfItChanges(t *testing.T) {
	t.Parallel()
	a, b := rule("r", rules.MatchContains, "x"), rule("r", rules.MatchContains, "x")
	b.CreatedAt = b.CreatedAt.In(time.FixedZone("far", 3600))
	require.True(t, a.Same(b))
	b.Keywords = []string{"y"}
	require.False(t, a.Same(b))
}

// FuzzRegex checks that the words looked for first never hide a match.
func FuzzRegex(f *testing.F) {
	for _, e := range []string{`^order\s+#?(\d+)$`, "price|prize|cost", "(?:ab){2,}c?", "(?-i)Ab", "[ab]cd|", "k\u212As", "x*yes+", "(?i:(ab|cd)ef|gh)"} {
		f.Add(e, "Order 12 PRIZE ababc Ab ſ\u212A yesss cdef")
	}
	f.Fuzz(func(t *testing.T, expression, text string) {
		if len(text) > 1<<10 || strings.Trim(expression, " ") == "" {
			return
		}
		set, problems := rules.Compile([]rules.Rule{rule("r", rules.MatchRegex, expression)})
		if len(problems) > 0 || rules.Fold(text) == "" || rules.Fold(text) == " " {
			return
		}
		re := regexp.MustCompile("(?i)" + norm.NFC.String(expression))
		if re.MatchString(norm.NFC.String(strings.ToValidUTF8(strings.TrimSpace(text), "\uFFFD"))) {
			_, ok := set.Match(text)
			require.True(t, ok)
		}
	})
}

// FuzzMatch compares the index with the plainest way to do the same.
func FuzzMatch(f *testing.F) {
	f.Add("What is the price?", "price", "hat", "(p)r")
	f.Add("\x00\xff", "\x00", "\xff", "\\x00")
	f.Add("aaaaab", "aaab", "aaaa", "a+b$")
	f.Add("ＰＲＩＣＥ İı", "price", "iı", "[")
	f.Fuzz(func(t *testing.T, text, one, two, expression string) {
		set, _ := rules.Compile([]rules.Rule{
			rule("0", rules.MatchContains, one), rule("1", rules.MatchContains, two), rule("2", rules.MatchExact, one), rule("3", rules.MatchRegex, expression),
		})
		m, ok := set.Match(text)
		if len(text) > 1<<10 {
			return // beyond the bound the plain way sees more
		}
		folded := strings.Trim(rules.Fold(strings.TrimSpace(text)), " ")
		contains := func(k string) bool {
			k = rules.Fold(k)
			return folded != "" && strings.Trim(k, " ") != "" && strings.Contains(" "+folded+" ", k)
		}
		switch {
		case contains(one):
			require.Equal(t, "0", m.Rule.Name)
		case contains(two):
			require.Equal(t, "1", m.Rule.Name)
		case ok:
			require.Equal(t, "3", m.Rule.Name)
		}
	})
}
