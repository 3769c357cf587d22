package rules_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/rules"
)

func TestFoldTakesTheSameLettersForTheSame(t *testing.T) {
	t.Parallel()
	for name, pair := range map[string][2]string{
		"ascii case":                {"PrIcE", "price"},
		"accented case":             {"PREÇO", "preço"},
		"composed and decomposed":   {"cafe\u0301", "café"},
		"sharp s":                   {"STRASSE", "straße"},
		"capital sharp s":           {"GROẞ", "groß"},
		"final sigma":               {"ΚΌΣΜΟΣ", "κόσμος"},
		"turkish capital dotted i":  {"FİYAT", "fiyat"},
		"turkish decomposed i":      {"FI\u0307YAT", "fiyat"},
		"turkish dotless i":         {"KAPI", "kapı"},
		"full width":                {"ＰＲＩＣＥ", "price"},
		"half-width katakana":       {"ｶﾞｲﾄﾞ", "ガイド"},
		"ligature":                  {"oﬃce", "office"},
		"kelvin sign":               {"\u212Bngstr\u00f6m", "ångström"},
		"arabic presentation forms": {"ﺳﻌﺮ", "سعر"},
		"zero width non-joiner":     {"می\u200cخواهم", "میخواهم"},
		"variation selector":        {"❤\ufe0f", "❤"},
		"soft hyphen":               {"pri\u00adce", "price"},
		"direction mark":            {"\u200fשלום", "שלום"},
		"cyrillic":                  {"ЦЕНА", "цена"},
		"no-break space":            {"how\u00a0much", "how much"},
		"several spaces":            {"how \t\n much", "how much"},
		"ideographic space":         {"値段\u3000教えて", "値段 教えて"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, rules.Fold(pair[1]), rules.Fold(pair[0]))
		})
	}
}

func TestFoldKeepsDifferentWordsApart(t *testing.T) {
	t.Parallel()
	for _, pair := range [][2]string{{"où", "ou"}, {"año", "ano"}, {"schön", "schon"}, {"ガ", "カ"}, {"и", "й"}} {
		require.NotEqual(t, rules.Fold(pair[1]), rules.Fold(pair[0]))
	}
}

func FuzzFold(f *testing.F) {
	for _, s := range []string{"", "Price?", "STRAßE", "İıIi\u0307\u0307", "\x00\xff\xed\xa0\x80", "👩‍👩‍👧‍👦❤️", "\u0345\u0391\u0313", "\ufdfa", strings.Repeat("\u0301", 40)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once := rules.Fold(s)
		require.True(t, utf8.ValidString(once))
		require.Equal(t, once, rules.Fold(once), "folding what is folded changes nothing: %+q", s)
	})
}
