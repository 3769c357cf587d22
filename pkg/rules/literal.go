package rules

import (
	"regexp/syntax"
	"strings"
)

// The bounds of what is looked for before an expression is tried.
const (
	minLiteral  = 2
	maxLiterals = 16
)

// requiredLiterals gives sets of words, of each of which at least one stands, in lower case, in every text that the expression
// matches; nil when no such words are found. Looking for a word costs a hundredth of running an expression.
//
// Only runs of ASCII letters and digits are used: nothing that a text goes through before an expression sees it joins or
// parts those, which cannot be said of letters with accents.
func requiredLiterals(re *syntax.Regexp) [][]string {
	switch op := re.Op; {
	case op == syntax.OpLiteral:
		if run := longestRun(re.Rune); len(run) >= minLiteral {
			return [][]string{{run}}
		}
	case op == syntax.OpCapture, op == syntax.OpPlus, op == syntax.OpRepeat && re.Min >= 1:
		return requiredLiterals(re.Sub[0])
	case op == syntax.OpConcat: // all of its parts must match
		var sets [][]string
		for _, p := range re.Sub {
			sets = append(sets, requiredLiterals(p)...)
		}
		return sets
	case op == syntax.OpAlternate:
		if all := allOf(re.Sub); all != nil {
			return [][]string{all}
		}
	}
	return nil
}

// longest is the set whose words are the longest: it says most where nothing is known of others.
func longest(sets [][]string) []string {
	var best []string
	for _, l := range sets {
		if shortest(l) > shortest(best) {
			best = l
		}
	}
	return best
}

// allOf is for alternatives: each must have a word.
func allOf(parts []*syntax.Regexp) []string {
	var all []string
	for _, p := range parts {
		l := longest(requiredLiterals(p))
		if l == nil || len(all)+len(l) > maxLiterals {
			return nil
		}
		all = append(all, l...)
	}
	return all
}

func shortest(literals []string) int {
	n := 0
	for i, l := range literals {
		if i == 0 || len(l) < n {
			n = len(l)
		}
	}
	return n
}

func longestRun(runes []rune) string {
	best, from := "", 0
	for i := 0; i <= len(runes); i++ {
		if i < len(runes) && isWord(runes[i]) {
			continue
		}
		if i-from > len(best) {
			best = strings.ToLower(string(runes[from:i]))
		}
		from = i + 1
	}
	return best
}

func isWord(r rune) bool {
	return '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
}

// lowerASCII is the form of a text in which required literals are looked for. The Kelvin sign and the long s are letters
// that an expression takes for k and s.
func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		case r == '\u212A':
			return 'k'
		case r == 'ſ':
			return 's'
		default:
			return r
		}
	}, s)
}
