package rules

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// quote finds what of the text, as the customer wrote it, the best match stands on.
func (q *question) quote(v *Verdict, t *text) {
	b := &q.best
	folded, fold := t.form(b.form)
	if b.pattern != nil {
		m := b.pattern.re.FindStringSubmatchIndex(folded)
		if m == nil { // cannot be: it matched before
			return
		}
		b.from, b.to = m[0], m[1]
		v.Captures = captures(b.pattern.re, folded, m)
	}
	v.Text = b.text
	from, to, ok := original(t.raw, folded, b.from, b.to, fold)
	if !ok {
		v.Words = strings.TrimSpace(folded[b.from:b.to])
		return
	}
	words := strings.TrimSpace(t.raw[from:to])
	from += strings.Index(t.raw[from:to], words)
	v.Words, v.From, v.To = words, from, from+len(words)
}

// original translates a span of folded into one of raw, which it was made from by fold. It folds letter by letter beside what was
// folded as a whole, and gives up where the two part: there are scripts, such as Hangul written in single jamo, whose letters
// fold together.
func original(raw, folded string, from, to int, fold func(string) string) (start, end int, ok bool) {
	from, to = max(from, 0), min(to, len(folded))
	pos, start, space := 0, -1, true
	for at := 0; at < len(raw) && pos < to; {
		next := at + letter(raw[at:])
		f := fold(raw[at:next])
		if space {
			f = strings.TrimLeft(f, " ")
		}
		if f != "" {
			space = f[len(f)-1] == ' '
			if !strings.HasPrefix(folded[pos:], f) && folded[pos:] != strings.TrimRight(f, " ") {
				return 0, 0, false
			}
			if start < 0 && pos+len(f) > from {
				start = at
			}
			pos += len(f)
		}
		at = next
		end = at
	}
	return start, end, start >= 0 && pos >= to
}

// letter is the length of the first letter of s with what belongs to it.
func letter(s string) int {
	_, n := utf8.DecodeRuneInString(s)
	for n < len(s) {
		r, size := utf8.DecodeRuneInString(s[n:])
		if r < utf8.RuneSelf || !unicode.Is(unicode.M, r) && visible(r) >= 0 && alike(r) >= 0 && r != 'ﾞ' && r != 'ﾟ' {
			break
		}
		n += size
	}
	return n
}

// form is one of the ways to look at a text.
type form int

const (
	formFolded form = iota
	formBare
	formPlain
	formPlainBare
)

// form gives the text in a form, and how a letter gets there.
func (t *text) form(f form) (string, func(string) string) {
	switch f {
	case formBare:
		b := t.bare()
		return b[1 : len(b)-1], func(s string) string { return bareOf(Fold(s)) }
	case formPlain:
		return t.plain, func(s string) string { return norm.NFC.String(strings.ToValidUTF8(s, "\uFFFD")) }
	case formPlainBare:
		return bareOf(t.plain), func(s string) string { return bareOf(norm.NFC.String(strings.ToValidUTF8(s, "\uFFFD"))) }
	default:
		return t.folded, Fold
	}
}
