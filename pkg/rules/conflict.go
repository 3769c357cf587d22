package rules

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
)

// Conflict is a rule, or one of its keywords, that can never win, because an earlier rule matches whatever it matches.
type Conflict struct {
	// Rule never wins, with any keyword, or with Keyword where that is given.
	Rule    Rule
	Keyword string
	// By is the rule that always wins instead, on ByKeyword; empty where By has no keywords.
	By        Rule
	ByKeyword string
}

// Conflicts finds rules and keywords that can never win. What it says is so; what it does not say may be so all the same: an
// expression is only compared with its like, and several rules that cover one together are not added up.
func (s *Set) Conflicts() []Conflict {
	patterns := map[string][]*pattern{}
	for i := range s.patterns {
		p := &s.patterns[i]
		patterns[p.re.String()] = append(patterns[p.re.String()], p)
	}
	var out []Conflict
	for rank := range s.rules {
		out = append(out, s.conflictsOf(rank, patterns)...)
	}
	return out
}

// cover is how often the keywords of a rule are covered by an earlier rule, and by which of its keywords first.
type cover struct {
	times   int
	keyword string
}

func (s *Set) conflictsOf(rank int, patterns map[string][]*pattern) []Conflict {
	b := &s.rules[rank]
	if len(b.rule.Keywords) == 0 {
		return s.alwaysConflicts(rank)
	}
	if c := s.alwaysConflicts(rank); c != nil {
		return c
	}
	var keywords []string
	for _, k := range b.rule.Keywords {
		if strings.TrimSpace(Fold(k)) != "" {
			keywords = append(keywords, k)
		}
	}
	all := b.rule.MatchType == MatchAll
	if all { // as a text in which each of them stands by itself
		keywords = []string{strings.Join(keywords, " \x00 ")}
	}
	covers := map[int]cover{}
	var single []Conflict
	for _, k := range keywords {
		by := s.covering(rank, k, patterns)
		ranks := make([]int, 0, len(by))
		for r, keyword := range by {
			c := covers[r]
			covers[r] = cover{times: c.times + 1, keyword: cmp.Or(c.keyword, keyword)}
			ranks = append(ranks, r)
		}
		if len(ranks) > 0 {
			first := slices.Min(ranks)
			single = append(single, Conflict{Rule: b.rule, Keyword: k, By: s.rules[first].rule, ByKeyword: by[first]})
		}
	}
	if all {
		single = nil
	}
	whole := none
	for r, c := range covers {
		if c.times == len(keywords) && r < whole {
			whole = r
		}
	}
	if whole != none {
		return []Conflict{{Rule: b.rule, By: s.rules[whole].rule, ByKeyword: covers[whole].keyword}}
	}
	return single
}

// alwaysConflicts is for an earlier rule without keywords.
func (s *Set) alwaysConflicts(rank int) []Conflict {
	b := &s.rules[rank]
	ranks := s.always
	for _, p := range b.rule.When.Payloads {
		ranks = append(slices.Clip(ranks), s.byPayload[p]...)
	}
	for _, r := range ranks {
		if r < rank && s.wider(r, rank) {
			return []Conflict{{Rule: b.rule, By: s.rules[r].rule}}
		}
	}
	return nil
}

// covering gives the earlier rules, with one keyword each, that match whenever a rule matches on a keyword.
func (s *Set) covering(rank int, keyword string, patterns map[string][]*pattern) map[int]string {
	b := &s.rules[rank].rule
	by := map[int]string{}
	note := func(r int, k string) {
		if _, ok := by[r]; !ok && r < rank && s.wider(r, rank) {
			by[r] = k
		}
	}
	if b.MatchType == MatchRegex {
		if p, err := newPattern(keyword, rank, b.When.IgnoreAccents); err == nil {
			for _, other := range patterns[p.re.String()] {
				note(other.rank, other.keyword)
			}
		}
		return by
	}
	for _, f := range []*finder{&s.folded, &s.bare} {
		if b.When.IgnoreAccents && f == &s.folded {
			continue // that one wants accents which this one does not
		}
		folded := strings.Trim(Fold(keyword), " ")
		if f == &s.bare {
			folded = bareOf(folded)
		}
		if b.MatchType == MatchExact {
			for _, n := range f.exact[folded] {
				note(n.rank, n.keyword)
			}
		}
		padded := " " + folded + " "
		f.index.find(padded, rank, func(n *needle, at int) int {
			if implied(b.MatchType, n, padded, at) {
				note(n.rank, n.keyword)
			}
			return rank
		})
	}
	return by
}

// implied says whether a needle stands in every text in which a keyword, given padded, is found by a match type.
func implied(how MatchType, n *needle, padded string, at int) bool {
	to := at + len(n.folded)
	inner := at >= 1 && to < len(padded) // the spaces around it are not part of the keyword
	switch how {
	case MatchExact:
		return n.stands(padded, at)
	case MatchStarts:
		return inner && (n.how == MatchContains || n.how == MatchStarts && at == 1)
	case MatchContains:
		return inner && n.how == MatchContains
	default: // as a word, so with something else on both sides
		if n.how == MatchContains {
			return inner
		}
		return n.how != MatchStarts && inner && n.stands(padded, at)
	}
}

// wider says whether an earlier rule may answer whenever a later one may: it has no limits, and no condition that the other has
// not.
func (s *Set) wider(earlier, later int) bool {
	a, b := &s.rules[earlier], &s.rules[later]
	v, w := &a.rule.When, &b.rule.When
	return a.rule.Limits == Limits{} &&
		b.gate.on&^a.gate.on == 0 &&
		includes(v.Payloads, w.Payloads) && includes(v.Languages, w.Languages) && includes(v.Intents, w.Intents) &&
		includes(v.Sentiments, w.Sentiments) && includes(v.Accounts, w.Accounts) &&
		(v.Customers == "" || v.Customers == w.Customers) &&
		!slices.ContainsFunc(v.Labels, func(l string) bool { return !slices.Contains(w.Labels, l) }) &&
		(v.Hours == nil || reflect.DeepEqual(v.Hours, w.Hours))
}

// includes says whether whatever is in the second list is in the first; empty lists have everything in them.
func includes(all, some []string) bool {
	if len(all) == 0 {
		return true
	}
	return len(some) > 0 && !slices.ContainsFunc(some, func(s string) bool { return !slices.Contains(all, s) })
}
