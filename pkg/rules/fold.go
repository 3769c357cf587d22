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
// and some things of our own, for what people type one for the other:
//   - the Turkish İ and ı are plain i, because one cannot know whether "FIYAT" was typed on a Turkish keyboard and a customer who
//     is not understood costs more than ı taken for i;
//   - Arabic and Hebrew without their vowel points, and Arabic without tatweel, with one alef, ya and kaf for all their forms and
//     ta marbuta as ha;
//   - digits of other scripts are 0 to 9, curly quotes and long dashes are ' " and -, emoji have no skin colour;
//   - each run of white space is one space.
//
// Accents are kept: "où" is not "ou"; rules that ignore them look at what [bareOf] makes of it.
func Fold(s string) string {
	if isASCII(s) {
		return foldASCII(s)
	}
	fold := cases.Fold()
	s = strings.Map(seen, strings.ToValidUTF8(s, "\uFFFD"))
	if strings.ContainsFunc(s, subscriptIota) {
		s = norm.NFD.String(s)
	}
	s = norm.NFKC.String(fold.String(s))
	// What NFKC made may fold once more, and seldom does. Points are taken out only here, because some make a letter of their own
	// with the one before.
	for range 3 {
		again := strings.Map(alike, plainI(fold.String(s)))
		if again == s {
			break
		}
		s = norm.NFKC.String(again)
	}
	return collapse(s)
}

// subscriptIota finds the only letters whose folding depends on how they are composed: Greek ones with U+0345 in them.
func subscriptIota(r rune) bool { return r == 0x345 || 0x1F80 <= r && r <= 0x1FFC }

// ignorable is Unicode's Default_Ignorable_Code_Point (DerivedCoreProperties.txt), of which the standard library has no table.
var ignorable = &unicode.RangeTable{
	LatinOffset: 1,
	R16: []unicode.Range16{
		{Lo: 0xAD, Hi: 0xAD, Stride: 1}, {Lo: 0x34F, Hi: 0x34F, Stride: 1}, {Lo: 0x61C, Hi: 0x61C, Stride: 1}, {Lo: 0x115F, Hi: 0x1160, Stride: 1},
		{Lo: 0x17B4, Hi: 0x17B5, Stride: 1}, {Lo: 0x180B, Hi: 0x180F, Stride: 1}, {Lo: 0x200B, Hi: 0x200F, Stride: 1}, {Lo: 0x202A, Hi: 0x202E, Stride: 1},
		{Lo: 0x2060, Hi: 0x206F, Stride: 1}, {Lo: 0x3164, Hi: 0x3164, Stride: 1}, {Lo: 0xFE00, Hi: 0xFE0F, Stride: 1}, {Lo: 0xFEFF, Hi: 0xFEFF, Stride: 1},
		{Lo: 0xFFA0, Hi: 0xFFA0, Stride: 1}, {Lo: 0xFFF0, Hi: 0xFFF8, Stride: 1},
	},
	R32: []unicode.Range32{
		{Lo: 0x1BCA0, Hi: 0x1BCA3, Stride: 1}, {Lo: 0x1D173, Hi: 0x1D17A, Stride: 1}, {Lo: 0xE0000, Hi: 0xE0FFF, Stride: 1},
	},
}

func visible(r rune) rune {
	if r >= 0xAD && unicode.Is(ignorable, r) {
		return -1
	}
	return r
}

// seen is visible, with letters made alike at once: most texts need no second round then.
func seen(r rune) rune {
	if visible(r) < 0 {
		return -1
	}
	if a := alike(r); a >= 0 {
		return a
	}
	return r
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

// alike makes letters one that people type for one another, and takes out vowel points; see [Fold].
func alike(r rune) rune {
	switch {
	case r < 0x2B0:
		return r
	case r >= 0x0591 && r <= 0x05C7 && unicode.Is(unicode.Mn, r), r >= 0x1F3FB && r <= 0x1F3FF:
		return -1
	case r >= 0x0610 && r <= 0x06ED:
		return arabic(r)
	case r >= '‐' && r <= '″', r == 'ʼ', r == '−':
		return punctuation(r)
	}
	return digit(r)
}

func punctuation(r rune) rune {
	switch r {
	case '‘', '’', 'ʼ', '′':
		return '\''
	case '“', '”', '„', '″':
		return '"'
	case '‐', '‑', '‒', '–', '—', '―', '−':
		return '-'
	}
	return r
}

func digit(r rune) rune {
	for _, zero := range zeros {
		if r >= zero && r <= zero+9 {
			return '0' + r - zero
		}
	}
	return r
}

// zeros are the noughts of scripts whose digits people mix with 0 to 9.
var zeros = []rune{'٠', '۰', '०', '০', '๐', '໐', '၀', '០'}

func arabic(r rune) rune {
	switch r {
	case 'أ', 'إ', 'آ', 'ٱ':
		return 'ا'
	case 'ى', 'ی':
		return 'ي'
	case 'ک':
		return 'ك'
	case 'ة':
		return 'ه'
	case 'ـ':
		return -1
	}
	if unicode.Is(unicode.Mn, r) {
		return -1
	}
	return digit(r)
}

// strokes are letters with a stroke or of two letters, which do not decompose.
var strokes = strings.NewReplacer("ø", "o", "đ", "d", "ð", "d", "ł", "l", "ħ", "h", "ŧ", "t", "æ", "ae", "œ", "oe",
	"Ø", "O", "Đ", "D", "Ð", "D", "Ł", "L", "Ħ", "H", "Ŧ", "T", "Æ", "AE", "Œ", "OE")

// bareOf takes the accents off letters that have them as an addition: Latin, Greek and Cyrillic ones. What a Japanese letter has
// on it makes it another one, and what a Hindi or Thai one has is a vowel.
func bareOf(s string) string {
	if isASCII(s) {
		return s
	}
	s = strings.Map(func(r rune) rune {
		if r >= 0x300 && r <= 0x36F || r >= 0x1AB0 && r <= 0x1AFF || r >= 0x1DC0 && r <= 0x1DFF {
			return -1
		}
		return r
	}, norm.NFD.String(s))
	return strokes.Replace(norm.NFC.String(s))
}

// text is what a customer wrote, in the forms that the match types look at. They are made once for all rules.
type text struct {
	// raw is how it came, cut at what is looked at.
	raw string
	// folded has no space around it; padded has exactly one on each side, so that a keyword written with a space at its
	// end is also found at the end of the text.
	folded, padded string
	// plain is as it was written, composed (NFC): what an expression is tried on first.
	plain string
	// lower is plain in small ASCII letters: where required literals are looked for.
	lower string
	// ascii texts have nothing that folding would show to an expression and plain would not.
	ascii bool
	// unaccented is padded without accents, made when it is asked for.
	unaccented string
}

// bare is padded without accents.
func (t *text) bare() string {
	switch {
	case t.ascii:
		return t.padded
	case t.unaccented == "":
		t.unaccented = bareOf(t.padded)
	}
	return t.unaccented
}

func newText(s string) text {
	raw := s
	s = strings.TrimSpace(s)
	if len(s) > maxText {
		n := maxText
		for n > maxText-utf8.UTFMax && !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n]
	}
	padded := " " + strings.Trim(Fold(s), " ") + " "
	t := text{raw: raw, padded: padded, folded: padded[1 : len(padded)-1], plain: s, ascii: isASCII(s)}
	t.lower = t.folded
	if !t.ascii {
		t.plain = norm.NFC.String(strings.ToValidUTF8(s, "\uFFFD"))
		t.lower = lowerASCII(t.plain)
	}
	return t
}
