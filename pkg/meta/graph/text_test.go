package graph_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/meta/graph"
)

func TestSplitText(t *testing.T) {
	t.Parallel()
	flag := "🏳️‍🌈"
	cases := map[string]struct {
		text  string
		limit int
		want  []string
	}{
		"nothing":                    {"", 10, nil},
		"blank":                      {" \n\t ", 2, nil},
		"fits":                       {"hello", 5, []string{"hello"}},
		"outer white space is kept":  {" hi \n", 10, []string{" hi \n"}},
		"after a sentence":           {"One two. Three four.", 12, []string{"One two.", "Three four."}},
		"sentence of exactly limit":  {"One two. Three.", 8, []string{"One two.", "Three."}},
		"after a paragraph":          {"One. Two.\n\nThree. Four five.", 18, []string{"One. Two.", "Three. Four five."}},
		"a paragraph of windows":     {"One. Two.\r\n\r\nThree. Four five.", 19, []string{"One. Two.", "Three. Four five."}},
		"an early paragraph joins":   {"A.\n\nBbbb bbb. Cccc ccc ccc.", 16, []string{"A.\n\nBbbb bbb.", "Cccc ccc ccc."}},
		"at a word":                  {"alpha beta gamma", 11, []string{"alpha beta", "gamma"}},
		"an address is no sentence":  {"see x.example/A?Bcd now", 18, []string{"see", "x.example/A?Bcd", "now"}},
		"chinese sentences":          {"你好。再见。", 10, []string{"你好。", "再见。"}},
		"between graphemes":          {flag + flag + flag, 30, []string{flag + flag, flag}},
		"a letter and its accents":   {"e\u0301e\u0301e\u0301", 7, []string{"e\u0301e\u0301", "e\u0301"}},
		"one grapheme over limit":    {flag, 8, []string{"🏳️", "\u200d🌈"}},
		"invalid becomes U+FFFD":     {"a\xff\xc3b", 10, []string{"a\ufffdb"}},
		"lone surrogate":             {"a\xed\xa0\x80b", 10, []string{"a\ufffdb"}},
		"NUL is dropped":             {"a\x00b", 10, []string{"ab"}},
		"a limit of nothing is four": {"abcdef", 0, []string{"abcd", "ef"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, graph.SplitText(c.text, c.limit))
		})
	}
}

// texts draws what people and their keyboards produce, and what no keyboard does.
func texts() *rapid.Generator[string] {
	bits := []string{"a", "word", " ", "  ", "\n", "\n\n", "\r\n", ". ", "! ", "。", "é", "e\u0301\u0302", "🏳️‍🌈", "👨‍👩‍👧‍👦", "🇩🇪", "🇩", "مرحبا",
		"שלום", "한국어", "नमस्ते", "\u200d", "\u0300", " \u0308", "\u00a0", "\u2028", "\x00", "\xff", "\xed\xa0\x80", "https://x.example/a?B=c", "𝄞"}
	return rapid.Map(rapid.SliceOfN(rapid.OneOf(rapid.SampledFrom(bits), rapid.String()), 0, 60), func(s []string) string {
		return strings.Join(s, "")
	})
}

func checkSplit(t require.TestingT, text string, limit int) {
	pieces := graph.SplitText(text, limit)
	limit = max(limit, utf8.UTFMax)
	ink := func(s string) string {
		return strings.Map(func(r rune) rune {
			if unicode.IsSpace(r) || r == 0 {
				return -1
			}
			return r
		}, strings.ToValidUTF8(s, "\ufffd"))
	}
	require.Equal(t, ink(text), ink(strings.Join(pieces, "")), "nothing but white space may be lost")
	for _, p := range pieces {
		require.LessOrEqual(t, len(p), limit)
		require.True(t, utf8.ValidString(p))
		require.NotContains(t, p, "\x00")
		require.NotEmpty(t, strings.TrimSpace(p))
		require.Equal(t, []string{p}, graph.SplitText(p, limit), "idempotent")
	}
	cleaned := strings.ReplaceAll(strings.ToValidUTF8(text, "\ufffd"), "\x00", "")
	if whole := clusters(cleaned, limit); whole != nil {
		var parts []string
		for _, p := range pieces {
			parts = append(parts, clusters(p, limit)...)
		}
		require.Equal(t, strings.Join(whole, "|"), strings.Join(parts, "|"), "no grapheme may be cut")
	}
}

// clusters lists the graphemes that are not white space, or nil when one of them is longer than limit.
func clusters(s string, limit int) []string {
	out := []string{}
	for g := uniseg.NewGraphemes(s); g.Next(); {
		if len(g.Str()) > limit {
			return nil
		}
		if strings.TrimSpace(g.Str()) != "" {
			out = append(out, g.Str())
		}
	}
	return out
}

func TestSplitTextProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		checkSplit(t, texts().Draw(t, "text"), rapid.IntRange(0, 200).Draw(t, "limit"))
	})
}

func FuzzSplitText(f *testing.F) {
	for _, s := range []string{"", "hello. world", "🏳️‍🌈\xff\x00 a", strings.Repeat("e\u0301", 40), " \u0308\r\n\u0308"} {
		f.Add(s, 16)
	}
	f.Fuzz(func(t *testing.T, text string, limit int) {
		checkSplit(t, text, min(limit, 1<<20))
	})
}

func TestExpand(t *testing.T) {
	t.Parallel()
	long := strings.TrimSpace(strings.Repeat("A sentence of some words. ", 100))
	parts := []dm.Part{{Kind: dm.PartText, Text: "hi"}, {Kind: dm.PartText, Text: long}, {Kind: "image"}, {Kind: dm.PartText, Text: " \x00"}}

	out := graph.Expand(parts)

	require.Len(t, out, 1+3+1+1)
	require.Equal(t, "hi", out[0].Text)
	require.Equal(t, dm.PartKind("image"), out[4].Kind)
	require.Empty(t, out[5].Text, "a blank text stays one part")
	for _, p := range out {
		require.LessOrEqual(t, len(p.Text), graph.MaxTextBytes)
	}
	require.Equal(t, long, strings.Join([]string{out[1].Text, out[2].Text, out[3].Text}, " "))
	require.Equal(t, out, graph.Expand(out), "idempotent")
	require.Empty(t, graph.Expand(nil))
}

func TestExpandDoesNotAllocateWithoutNeed(t *testing.T) {
	parts := []dm.Part{{Kind: dm.PartText, Text: "the usual answer"}}
	require.Zero(t, testing.AllocsPerRun(100, func() { graph.Expand(parts) }))
}
