package rules

import (
	"cmp"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Compile makes a set of the rules that can be used and names those that cannot. It takes what it is given, active or not.
func Compile(all []Rule) (*Set, []Problem) {
	sorted := slices.Clone(all)
	slices.SortStableFunc(sorted, before)
	s := &Set{rules: make([]entry, 0, len(sorted)), folded: newFinder(), bare: newFinder(), byPayload: map[string][]int{}}
	var folded, bare []needle
	var problems []Problem
	for i := range sorted {
		c, err := compileRule(&sorted[i], len(s.rules))
		if err != nil {
			problems = append(problems, Problem{Rule: sorted[i], Err: err})
			continue
		}
		s.add(&c)
		if sorted[i].When.IgnoreAccents {
			s.bare.add(&c)
			bare = append(bare, c.inside...)
		} else {
			s.folded.add(&c)
			folded = append(folded, c.inside...)
		}
	}
	s.folded.index, s.bare.index = newIndex(folded), newIndex(bare)
	s.prefilter = newPrefilter(s.patterns)
	s.version = versionOf(s.rules)
	return s, problems
}

// Check says what is wrong with a rule, all of it.
func Check(r Rule) error {
	_, err := compileRule(&r, 0)
	return err
}

// compiled is what one rule adds to a set.
type compiled struct {
	entry         entry
	exact, inside []needle
	patterns      []pattern
	// always: it has no keywords; payloads are those that it asks for, then.
	always   bool
	payloads []string
}

func (s *Set) add(c *compiled) {
	rank := len(s.rules)
	s.rules = append(s.rules, c.entry)
	s.patterns = append(s.patterns, c.patterns...)
	switch {
	case !c.always:
	case len(c.payloads) > 0:
		for _, p := range c.payloads {
			s.byPayload[p] = append(s.byPayload[p], rank)
		}
	default:
		s.always = append(s.always, rank)
	}
}

func newFinder() finder { return finder{exact: map[string][]needle{}} }

func (f *finder) add(c *compiled) {
	f.used = f.used || len(c.exact)+len(c.inside) > 0
	for _, n := range c.exact {
		f.exact[n.folded] = append(f.exact[n.folded], n)
	}
}

func compileRule(r *Rule, rank int) (compiled, error) {
	c := compiled{entry: entry{rule: *r}}
	var problems []error
	gate, err := newGate(r)
	problems = append(problems, err)
	c.entry.gate = gate
	problems = append(problems, c.keywords(r, rank))
	reply, err := newReply(r, c.patterns)
	problems = append(problems, err, checkThen(r, gate.on))
	c.entry.reply = reply
	return c, errors.Join(problems...)
}

// keywords compiles what is looked for in texts.
func (c *compiled) keywords(r *Rule, rank int) error {
	if !slices.Contains(matchTypes, r.MatchType) && (len(r.Keywords) > 0 || r.MatchType != "") {
		return fmt.Errorf("%w: got %q", ErrMatchType, r.MatchType)
	}
	if len(r.Keywords) == 0 {
		if !decisive(&r.When) {
			return ErrNoKeyword
		}
		c.always, c.payloads = true, r.When.Payloads
		return nil
	}
	var words []needle
	for _, k := range r.Keywords {
		folded := Fold(k)
		if r.When.IgnoreAccents {
			folded = bareOf(folded)
		}
		trimmed := strings.Trim(folded, " ")
		switch {
		case trimmed == "":
			continue // a blank keyword would match everything; nobody means that
		case r.MatchType == MatchRegex:
			p, err := newPattern(k, rank, r.When.IgnoreAccents)
			if err != nil {
				return err
			}
			c.patterns = append(c.patterns, p)
			continue
		case r.MatchType != MatchContains:
			folded = trimmed
		}
		words = append(words, needle{folded: folded, rank: rank, keyword: k, how: r.MatchType})
	}
	switch {
	case len(words)+len(c.patterns) == 0:
		return ErrNoKeyword
	case r.MatchType == MatchExact:
		c.exact = words
	case r.MatchType == MatchAll:
		c.inside = []needle{anchored(words)}
	default:
		c.inside = words
	}
	return nil
}

// anchored makes one needle of words that must all be there: the longest is looked for first.
func anchored(words []needle) needle {
	slices.SortStableFunc(words, func(a, b needle) int { return cmp.Compare(len(b.folded), len(a.folded)) })
	n := words[0]
	for _, w := range words[1:] {
		n.rest = append(n.rest, w.folded)
		n.keyword += " + " + w.keyword
	}
	return n
}

// versionOf hashes which versions of which rules are in a set.
func versionOf(all []entry) string {
	h := fnv.New64a()
	for i := range all {
		r := &all[i].rule
		_, _ = io.WriteString(h, r.ID+"\x00"+strconv.Itoa(r.Version)+"\x00"+strconv.Itoa(r.Priority)+"\x00")
	}
	return strconv.FormatUint(h.Sum64(), 36)
}
