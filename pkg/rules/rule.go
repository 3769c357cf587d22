package rules

import (
	"cmp"
	"errors"
	"reflect"
	"time"
)

// MatchType says how a rule's keywords are compared with a text.
type MatchType string

// The match types. All of them ignore case; see [Fold] for what else they ignore.
const (
	MatchExact    MatchType = "exact"       // the whole text, without the space around it, is a keyword
	MatchContains MatchType = "contains"    // a keyword stands anywhere in the text, also inside a word
	MatchRegex    MatchType = "regex"       // a keyword is an RE2 expression that matches somewhere in the text
	MatchWord     MatchType = "word"        // a keyword stands in the text as a word of its own
	MatchStarts   MatchType = "starts_with" // the text begins with a keyword
	MatchAll      MatchType = "all_of"      // every keyword stands in the text as MatchWord finds it; any one is enough elsewhere
)

// matchTypes are all there are.
var matchTypes = []MatchType{MatchExact, MatchContains, MatchRegex, MatchWord, MatchStarts, MatchAll}

// Rule is one row of response_rules. Any one of its keywords is enough.
type Rule struct {
	ID        string
	Name      string
	Keywords  []string
	MatchType MatchType
	Response  string
	// Priority: the highest wins; among equals the oldest, then the smallest id.
	Priority  int
	CreatedAt time.Time
	// When narrows it, Then says what it does beyond Response, and Limits how often.
	When   When
	Then   Then
	Limits Limits
	// Version grows with each change of the row.
	Version int
	// Active rules are those that answer. [Compile] takes what it is given.
	Active bool
}

// Same says whether two rules are one version of one rule.
func (r Rule) Same(o Rule) bool {
	same := o
	same.CreatedAt, same.Limits.From, same.Limits.Until = r.CreatedAt, r.Limits.From, r.Limits.Until
	return r.CreatedAt.Equal(o.CreatedAt) && r.Limits.From.Equal(o.Limits.From) && r.Limits.Until.Equal(o.Limits.Until) && reflect.DeepEqual(r, same)
}

// before orders rules as they are asked: those for otherwise after all others.
func before(a, b Rule) int {
	if a.When.Otherwise != b.When.Otherwise {
		if b.When.Otherwise {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(b.Priority, a.Priority), a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
}

// What can be wrong with a rule. A rule with such a fault is left out of the set, the others work.
var (
	ErrNoKeyword  = errors.New("keywords: expected at least one that is not blank, or conditions (when) that say what the rule is for")
	ErrMatchType  = errors.New("match_type: expected exact, contains, regex, word, starts_with or all_of")
	ErrNoResponse = errors.New("response_text: expected a text that is not blank, or something else to do (then)")
	ErrRegex      = errors.New("keywords: expected RE2 expressions")
)

// Problem is a rule that cannot be used, and why.
type Problem struct {
	Rule Rule
	Err  error
}
