// Package language says in which language a short message is written.
//
// Chat messages are two to ten words, which is little for statistics; most of those words are the same few everywhere. So the
// words that people write most are counted first, and only where they do not decide whatlanggo is asked, for scripts and
// trigrams. Measured on the 260 messages of ../testdata/messages.tsv, in 24 languages, of which some are a single word or emoji,
// all in one run on a busy machine, the first calls among them; a quiet one takes 0.01 ms with the first line:
//
//	                         right    time     heap     added to the binary
//	words, then whatlanggo   94.2 %   0.13 ms  < 1 MB   < 1 MB
//	whatlanggo 1.0.1         73.1 %   0.3 ms   < 1 MB   < 1 MB
//	lingua-go 1.4.0, low     87.7 %   0.9 ms   19 MB    124 MB
//	lingua-go 1.4.0, high    93.8 %   12 ms    420 MB   124 MB
//	words, then lingua low   96.9 %   1.6 ms   19 MB    124 MB
//
// Where whatlanggo is not sure of a script of several languages nothing is said, because the default answer is better than one in
// a wrong language: 92.7 % are right then, 7.3 % not told and none is wrong. The word lists and the messages are by
// one author, so other messages will do somewhat worse. lingua's 124 MB of models, in each program, are not worth 3 %, and both
// modules are no longer developed; whatlanggo is small, complete and without dependencies.
package language

import (
	"strings"
	"sync"
	"unicode"

	"github.com/abadojack/whatlanggo"
)

// maxBytes bounds what is looked at. More of a text tells no more.
const maxBytes = 600

// minLetters is how many letters of a script of several languages say anything by themselves.
const minLetters = 5

// ahead is how much better than the second the first language must be among the words.
const ahead = 1.2

// candidates are the languages that are told apart, by whatlanggo's names.
var candidates = map[whatlanggo.Lang]bool{
	whatlanggo.Eng: true, whatlanggo.Deu: true, whatlanggo.Fra: true, whatlanggo.Spa: true, whatlanggo.Por: true, whatlanggo.Ita: true,
	whatlanggo.Nld: true, whatlanggo.Tur: true, whatlanggo.Pol: true, whatlanggo.Swe: true, whatlanggo.Dan: true, whatlanggo.Ron: true,
	whatlanggo.Ces: true, whatlanggo.Hun: true, whatlanggo.Ind: true, whatlanggo.Vie: true, whatlanggo.Rus: true, whatlanggo.Ukr: true,
	whatlanggo.Arb: true, whatlanggo.Pes: true, whatlanggo.Heb: true, whatlanggo.Hin: true, whatlanggo.Cmn: true, whatlanggo.Jpn: true,
	whatlanggo.Kor: true, whatlanggo.Tha: true, whatlanggo.Ell: true,
}

// Known are the ISO 639-1 codes of the languages that are told apart, in no order.
func Known() []string {
	out := make([]string, 0, len(candidates))
	for l := range candidates {
		out = append(out, l.Iso6391())
	}
	return out
}

// index gives the languages of a word. It is made when the first message is asked about: many businesses never ask.
var index = sync.OnceValue(func() map[string][]string {
	all := map[string][]string{}
	for language, list := range words {
		seen := map[string]bool{}
		for _, w := range strings.Fields(list) {
			if !seen[w] {
				seen[w] = true
				all[w] = append(all[w], language)
			}
		}
	}
	return all
})

// Detect gives the ISO 639-1 code of a text's language, "" where it cannot be told. It is safe for concurrent use.
func Detect(text string) string {
	text = strings.ToValidUTF8(text[:min(len(text), maxBytes)], "")
	if language := byWords(text); language != "" {
		return language
	}
	if !strings.ContainsFunc(text, unicode.IsLetter) {
		return ""
	}
	info := whatlanggo.DetectWithOptions(text, whatlanggo.Options{Whitelist: candidates})
	if shared[info.Script] && (!info.IsReliable() || letters(text) < minLetters) {
		return ""
	}
	return info.Lang.Iso6391()
}

// shared are the scripts of several languages; one letter of another script is enough.
var shared = map[*unicode.RangeTable]bool{unicode.Latin: true, unicode.Cyrillic: true, unicode.Arabic: true}

// byWords counts the words of each language, and gives the one that is clearly ahead.
func byWords(text string) string {
	score := map[string]float64{}
	text = strings.ReplaceAll(strings.ToLower(text), "’", "'")
	for _, w := range strings.FieldsFunc(text, between) {
		for _, part := range parts(strings.Trim(w, "'")) {
			for _, language := range index()[part] {
				score[language] += 1 / float64(len(index()[part]))
			}
		}
	}
	best, first, second := "", 0.0, 0.0
	for language, s := range score {
		if s > first {
			best, first, second = language, s, first
		} else if s > second {
			second = s
		}
	}
	if first > ahead*second {
		return best
	}
	return ""
}

func letters(text string) int {
	n := 0
	for _, r := range text {
		if unicode.IsLetter(r) {
			n++
		}
	}
	return n
}

func between(r rune) bool {
	return r != '\'' && !unicode.IsLetter(r) && !unicode.IsMark(r)
}

// parts of a word are itself and, with an apostrophe, what is before and after it: "l'ordre".
func parts(w string) []string {
	if i := strings.IndexByte(w, '\''); i > 0 {
		return []string{w, w[:i+1], w[i+1:]}
	}
	return []string{w}
}
