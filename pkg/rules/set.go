package rules

import (
	"fmt"
	"slices"
	"strings"
)

// Set is a compiled set of rules. It never changes: a change of the rules makes a new one.
type Set struct {
	rules    []Rule // in the order in which they are asked; a rule's place is its rank
	exact    map[string]needle
	contains index
	patterns []pattern // by rank
}

// Match says which rule won and on which of its keywords, as the operator wrote it.
type Match struct {
	Rule    Rule
	Keyword string
}

// Compile makes a set of the rules that can be used and names those that cannot.
func Compile(all []Rule) (*Set, []Problem) {
	sorted := slices.Clone(all)
	slices.SortStableFunc(sorted, before)
	s := &Set{exact: map[string]needle{}}
	var needles []needle
	var problems []Problem
	for _, r := range sorted {
		rank := len(s.rules)
		c, err := compileRule(r, rank)
		if err != nil {
			problems = append(problems, Problem{Rule: r, Err: err})
			continue
		}
		s.rules = append(s.rules, r)
		s.patterns = append(s.patterns, c.patterns...)
		needles = append(needles, c.contains...)
		for _, n := range c.exact {
			if _, ok := s.exact[n.folded]; !ok {
				s.exact[n.folded] = n
			}
		}
	}
	s.contains = newIndex(needles)
	return s, problems
}

// compiled is what one rule adds to a set.
type compiled struct {
	exact, contains []needle
	patterns        []pattern
}

func compileRule(r Rule, rank int) (compiled, error) {
	var c compiled
	if strings.TrimSpace(r.Response) == "" {
		return c, ErrNoResponse
	}
	for _, k := range r.Keywords {
		folded := Fold(k)
		trimmed := strings.Trim(folded, " ")
		if trimmed == "" {
			continue // a blank keyword would match everything; nobody means that
		}
		switch r.MatchType {
		case MatchExact:
			c.exact = append(c.exact, needle{folded: trimmed, rank: rank, keyword: k})
		case MatchContains:
			c.contains = append(c.contains, needle{folded: folded, rank: rank, keyword: k})
		case MatchRegex:
			p, err := newPattern(k, rank)
			if err != nil {
				return c, err
			}
			c.patterns = append(c.patterns, p)
		default:
			return c, fmt.Errorf("%w: got %q", ErrMatchType, r.MatchType)
		}
	}
	if len(c.exact)+len(c.contains)+len(c.patterns) == 0 {
		return c, ErrNoKeyword
	}
	return c, nil
}

// Len is how many rules the set has.
func (s *Set) Len() int { return len(s.rules) }

// Match finds the first rule, in the order in which rules are asked, that matches any of the texts: what a customer
// wrote, or the title and the payload of a button. Blank texts match nothing. Of a text only the first 16 KiB are
// looked at.
func (s *Set) Match(texts ...string) (Match, bool) {
	rank, keyword := none, ""
	for _, raw := range texts {
		t := newText(raw)
		if t.folded == "" {
			continue
		}
		if n, ok := s.exact[t.folded]; ok && n.rank < rank {
			rank, keyword = n.rank, n.keyword
		}
		if n, ok := s.contains.find(t.padded, rank); ok {
			rank, keyword = n.rank, n.keyword
		}
		// Expressions cost the most: only those that would still win are tried.
		for i := range s.patterns {
			p := &s.patterns[i]
			if p.rank >= rank {
				break
			}
			if p.matches(&t) {
				rank, keyword = p.rank, p.keyword
			}
		}
	}
	if rank == none {
		return Match{}, false
	}
	return Match{Rule: s.rules[rank], Keyword: keyword}, true
}
