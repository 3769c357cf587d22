package rules

import (
	"fmt"
	"regexp"
	"regexp/syntax"

	"golang.org/x/text/unicode/norm"
)

// pattern is one expression of a rule, compiled once.
type pattern struct {
	re      *regexp.Regexp
	rank    int
	keyword string
	// literals are sets of words, of each of which one must be there for the expression to match; empty when none is known.
	literals [][]string
	// exactCase: the expression switches case on again somewhere, so that folded text would not be what it is about.
	exactCase bool
	// bare: accents are ignored, those of the expression too.
	bare bool
}

// caseSwitch finds a flag group that takes i away, such as (?-i) or (?s-i:…).
var caseSwitch = regexp.MustCompile(`\(\?[a-zA-Z]*-[a-zA-Z]*i`)

// newPattern compiles an expression that ignores case unless it says otherwise. It is composed (NFC) as the texts are;
// NFKC would turn … into three dots that match anything.
func newPattern(keyword string, rank int, bare bool) (pattern, error) {
	expression := "(?i)" + norm.NFC.String(keyword)
	if bare {
		expression = bareOf(expression)
	}
	re, err := regexp.Compile(expression)
	if err != nil {
		return pattern{}, fmt.Errorf("%w: %w", ErrRegex, err)
	}
	tree, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return pattern{}, fmt.Errorf("%w: %w", ErrRegex, err)
	}
	return pattern{
		re: re, rank: rank, keyword: keyword, literals: requiredLiterals(tree), exactCase: caseSwitch.MatchString(keyword), bare: bare,
	}, nil
}

// matches tries the text as it was written, then folded: full-width or Turkish letters are found as keywords find them.
func (p *pattern) matches(t *text) (form, bool) {
	plain, folded := formPlain, formFolded
	if p.bare && !t.ascii {
		plain, folded = formPlainBare, formBare
	}
	if s, _ := t.form(plain); p.re.MatchString(s) {
		return plain, true
	}
	if t.ascii || p.exactCase {
		return 0, false
	}
	s, _ := t.form(folded)
	return folded, p.re.MatchString(s)
}
