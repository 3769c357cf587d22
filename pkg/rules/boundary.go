package rules

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// The kinds of letter that words are made of, as far as word boundaries go.
type class int

const (
	classNone     class = iota // spaces, punctuation, symbols: between words
	classSpaced                // scripts that put spaces between words, and digits
	classJoined                // Han and hiragana: each letter may begin or end a word
	classKatakana              // a run of them is one word, as loan words are
	classThai                  // Thai, Lao, Khmer and Burmese: words begin and end between syllables
	classHangul                // words have spaces between them, and particles at their end
	classEmoji                 // each is a word
	classFlag                  // regional indicators: each pair is a word
	classMark                  // belongs to the letter before it
)

func classOf(r rune) class {
	if r < utf8.RuneSelf {
		if isWord(r) || r == '_' {
			return classSpaced
		}
		return classNone
	}
	switch {
	case r >= 0x1F1E6 && r <= 0x1F1FF:
		return classFlag
	case r >= 0x1F000 && r <= 0x1FAFF, r >= 0x2600 && r <= 0x27BF:
		return classEmoji
	case r == 'ー', unicode.Is(unicode.Katakana, r):
		return classKatakana
	case unicode.In(r, unicode.Han, unicode.Hiragana):
		return classJoined
	case unicode.In(r, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar):
		return classThai
	case unicode.Is(unicode.Hangul, r):
		return classHangul
	case unicode.Is(unicode.M, r):
		return classMark
	case unicode.In(r, unicode.L, unicode.N):
		return classSpaced
	default:
		return classNone
	}
}

// isWordAt says whether what stands in folded text s from one byte to another is a word, or several, of its own: that it is no
// part of a longer one. What a word is depends on the script:
//   - with spaces between words (Latin, Cyrillic, Greek, Arabic, Hebrew, Devanagari, …) a run of letters and digits. Arabic and
//     Hebrew write the article, and what stands before it, on to the word: السعر, والسعر and للسعر are سعر, המחיר and במחיר are מחיר
//     where the article is written.
//   - Korean: a run of letters, at whose end a particle may stand: 가격이 is 가격.
//   - Chinese and Japanese: nothing shows where a word ends, and nearly any two letters may; so a keyword stands there wherever
//     its letters do, but katakana: カメラ is no word of カメラマン.
//   - Thai, Lao, Khmer, Burmese: the same between syllables, never inside one.
//   - each emoji is a word, whatever is next to it.
func isWordAt(s string, from, to int) bool {
	return from < to && begins(s, from) && ends(s, to)
}

func begins(s string, at int) bool {
	before, _ := utf8.DecodeLastRuneInString(s[:at])
	after, _ := utf8.DecodeRuneInString(s[at:])
	if at == 0 || parted(s, at, before, after) {
		return true
	}
	return classOf(before) == classSpaced && classOf(after) == classSpaced && unicode.In(after, unicode.Arabic, unicode.Hebrew) && isArticle(s[:at])
}

func ends(s string, at int) bool {
	before, _ := utf8.DecodeLastRuneInString(s[:at])
	after, _ := utf8.DecodeRuneInString(s[at:])
	if at == len(s) {
		return true
	}
	if parted(s, at, before, after) {
		return !negated(s[at:], before)
	}
	return classOf(before) == classHangul && classOf(after) == classHangul && isParticle(s[at:])
}

// parted says whether two letters that stand side by side in s belong to two words.
func parted(s string, at int, before, after rune) bool {
	b, a := classOf(before), classOf(after)
	switch {
	case a == classMark:
		return false
	case b == classMark:
		b = classSpaced
	}
	switch {
	case a == classNone, b == classNone, a == classEmoji, b == classEmoji:
		return true
	case a == classFlag && b == classFlag:
		return flagsBefore(s[:at])%2 == 0
	case a != b:
		return true
	case a == classJoined:
		return true
	case a == classThai:
		return !unicode.Is(unicode.M, after) && !strings.ContainsRune("ะาำๅๆ", after) && (before < 'เ' || before > 'ไ')
	default:
		return false
	}
}

func flagsBefore(s string) int {
	n := 0
	for s != "" {
		r, size := utf8.DecodeLastRuneInString(s)
		if classOf(r) != classFlag {
			break
		}
		n, s = n+1, s[:len(s)-size]
	}
	return n
}

// negated keeps "can" from being found in "can't"; other apostrophes are the ends of words, as in "the shop's".
func negated(rest string, before rune) bool {
	if before != 'n' || !strings.HasPrefix(rest, "'t") {
		return false
	}
	next, _ := utf8.DecodeRuneInString(rest[len("'t"):])
	return next == utf8.RuneError || classOf(next) == classNone
}

// articles are what Arabic and Hebrew write on to the word that follows, in folded letters.
var articles = map[string]bool{
	"ال": true, "وال": true, "فال": true, "بال": true, "كال": true, "لل": true, "ولل": true, "وبال": true,
	"ה": true, "וה": true, "שה": true, "בה": true, "כשה": true, "מה": true, "לה": true,
}

// isArticle says whether the word that s ends in the middle of begins with an article and nothing else.
func isArticle(s string) bool {
	from := strings.LastIndexFunc(s, func(r rune) bool { return classOf(r) == classNone })
	if from >= 0 {
		_, size := utf8.DecodeRuneInString(s[from:])
		from += size
	}
	return articles[s[max(from, 0):]]
}

// particles are what Korean writes at the end of a noun.
var particles = map[string]bool{
	"은": true, "는": true, "이": true, "가": true, "을": true, "를": true, "에": true, "의": true, "도": true, "로": true, "으로": true,
	"와": true, "과": true, "만": true, "에서": true, "에게": true, "까지": true, "부터": true, "이요": true, "요": true, "이랑": true, "랑": true,
	"이에요": true, "예요": true, "인가요": true, "은요": true, "는요": true, "이나": true, "하고": true, "좀": true,
}

func isParticle(rest string) bool {
	to := strings.IndexFunc(rest, func(r rune) bool { return classOf(r) != classHangul })
	if to < 0 {
		to = len(rest)
	}
	return particles[rest[:to]]
}

// hasWord says whether a folded keyword stands in s as isWordAt has it.
func hasWord(s, keyword string) bool {
	for from := 0; ; {
		i := strings.Index(s[from:], keyword)
		if i < 0 {
			return false
		}
		from += i
		if isWordAt(s, from, from+len(keyword)) {
			return true
		}
		_, size := utf8.DecodeRuneInString(s[from:])
		from += size
	}
}
