package rules

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// maxText bounds how much of a text is looked at, in bytes. Meta's limits are a tenth of it; the bound keeps the worst
// text in a verified webhook (8 MiB) from holding up a partition.
const maxText = 16 << 10

// combiningDot is what case folding leaves over the i of a Turkish capital İ.
const combiningDot = '\u0307'

// Fold gives the form in which texts and keywords are compared: what people take for the same letters becomes the same
// bytes. It is Unicode's compatibility caseless form (the standard's section 3.13, D146), which means
//   - full case folding: "STRASSE" is "straße", the Greek final ς is σ;
//   - NFKC rather than NFC, because customers' keyboards give full-width "ＰＲＩＣＥ", half-width katakana, ligatures and
//     Arabic presentation forms for the letters that the operator typed; what it loses (² is 2) is no loss to a keyword;
//   - invisible characters are taken out: zero-width joiners and spaces, direction marks, variation selectors (❤ is ❤️);
//
// and two things of our own: the Turkish İ and ı are plain i, because one cannot know whether "FIYAT" was typed on a Turkish
// keyboard and a customer who is not understood costs more than ı taken for i; and each run of white space is one space.
// Accents are kept: "où" is not "ou".
func Fold(s string) string {
	if isASCII(s) {
		return foldASCII(s)
	}
	fold := cases.Fold()
	s = strings.Map(visible, strings.ToValidUTF8(s, "\uFFFD"))
	s = norm.NFKC.String(fold.String(norm.NFD.String(s)))
	s = plainI(fold.String(s))
	return collapse(norm.NFKC.String(s))
}

// visible drops the characters that Unicode derives as Default_Ignorable_Code_Point.
func visible(r rune) rune {
	switch {
	case r < 0xAD:
		return r
	case unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector):
		return -1
	case unicode.Is(unicode.Cf, r) && !unicode.Is(unicode.Prepended_Concatenation_Mark, r) && (r < 0xFFF9 || r > 0xFFFB):
		return -1
	default:
		return r
	}
}

// plainI makes the dotless ı an i and takes the dot off an i that has one too many.
func plainI(s string) string {
	afterI := false
	return strings.Map(func(r rune) rune {
		if r == combiningDot && afterI {
			return -1
		}
		if r == 'ı' {
			r = 'i'
		}
		afterI = r == 'i'
		return r
	}, s)
}

func collapse(s string) string {
	inSpace := false
	return strings.Map(func(r rune) rune {
		space := unicode.IsSpace(r)
		if space && inSpace {
			return -1
		}
		inSpace = space
		if space {
			return ' '
		}
		return r
	}, s)
}

// foldASCII is Fold for the most frequent case, at a tenth of the cost.
func foldASCII(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	inSpace := false
	for i := range len(s) {
		c := s[i]
		space := c == ' ' || '\t' <= c && c <= '\r'
		switch {
		case space && inSpace:
			continue
		case space:
			c = ' '
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		}
		inSpace = space
		b.WriteByte(c)
	}
	return b.String()
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// text is what a customer wrote, in the forms that the match types look at. They are made once for all rules.
type text struct {
	// folded has no space around it; padded has exactly one on each side, so that a keyword written with a space at its
	// end is also found at the end of the text.
	folded, padded string
	// plain is as it was written, composed (NFC): what an expression is tried on first.
	plain string
	// lower is plain in small ASCII letters: where required literals are looked for.
	lower string
	// ascii texts have nothing that folding would show to an expression and plain would not.
	ascii bool
}

func newText(s string) text {
	s = strings.TrimSpace(s)
	if len(s) > maxText {
		n := maxText
		for n > maxText-utf8.UTFMax && !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n]
	}
	padded := " " + strings.Trim(Fold(s), " ") + " "
	t := text{padded: padded, folded: padded[1 : len(padded)-1], plain: s, ascii: isASCII(s)}
	t.lower = t.folded
	if !t.ascii {
		t.plain = norm.NFC.String(strings.ToValidUTF8(s, "\uFFFD"))
		t.lower = lowerASCII(t.plain)
	}
	return t
}
