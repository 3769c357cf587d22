package rules

import (
	"cmp"
	"slices"
)

// Set is a compiled set of rules. It never changes: a change of the rules makes a new one.
type Set struct {
	rules []entry // in the order in which they are asked; a rule's place is its rank
	// folded finds keywords among letters as Fold leaves them, bare among letters without their accents, too.
	folded, bare finder
	patterns     []pattern // by rank
	prefilter    prefilter
	// always are the ranks of rules without keywords, which their conditions decide; by payload those that ask for one.
	always    []int
	byPayload map[string][]int
	version   string
}

// entry is a rule that can be used.
type entry struct {
	rule  Rule
	gate  gate
	reply reply
}

// finder finds keywords in one form of a text.
type finder struct {
	exact map[string][]needle // each list by rank
	index index
	used  bool
}

// Len is how many rules the set has.
func (s *Set) Len() int { return len(s.rules) }

// Version names what is in the set: equal sets have equal versions, in every process.
func (s *Set) Version() string { return s.version }

// Rules are the rules in the order in which they are asked.
func (s *Set) Rules() []Rule {
	out := make([]Rule, len(s.rules))
	for i := range s.rules {
		out[i] = s.rules[i].rule
	}
	return out
}

// maxSkips bounds what a verdict tells of.
const maxSkips = 100

// question is one call of Decide.
type question struct {
	set  *Set
	turn *Turn
	on   occasions
	// best is the best match so far; none at first.
	best found
	// refused are the ranks that were blocked, one bit each, and why.
	refused  []uint64
	skips    []skipped
	asked    bool
	language string
}

// found is a match: a rule by its rank, and what it matched on.
type found struct {
	rank    int
	keyword string
	text    int
	// from and to are bytes of the text in the given form.
	form     form
	from, to int
	pattern  *pattern
}

type skipped struct {
	rank           int
	reason, detail string
	keyword        string
}

// Decide finds the first rule, in the order in which rules are asked, whose keywords and conditions match and whose limits let
// it answer. Rules that are for otherwise are asked when no other is left. Of each text only the first 16 KiB are looked at.
func (s *Set) Decide(t Turn) Verdict {
	v := Verdict{set: s, turn: &t}
	q := question{set: s, turn: &t, best: found{rank: none}}
	q.on, _ = occasionsOf(known(t.Occasions))
	q.askAlways()
	texts := make([]text, len(t.Texts))
	for i, raw := range t.Texts {
		texts[i] = newText(raw)
		if texts[i].folded != "" {
			q.askText(i, &texts[i])
		}
	}
	v.Language = q.language
	v.Skipped = q.told()
	if q.best.rank == none {
		return v
	}
	e := &s.rules[q.best.rank]
	v.Matched, v.Rule, v.reply, v.Keyword = true, e.rule, &e.reply, q.best.keyword
	if e.reply.byLanguage != nil {
		v.Language = q.askLanguage()
	}
	if q.best.keyword != "" {
		q.quote(&v, &texts[q.best.text])
	}
	return v
}

// known leaves out occasions that no rule can name.
func known(all []Occasion) []Occasion {
	for _, o := range all {
		if bitOf(o) == 0 {
			return slices.DeleteFunc(slices.Clone(all), func(o Occasion) bool { return bitOf(o) == 0 })
		}
	}
	return all
}

// Match is [Set.Decide] for texts alone.
func (s *Set) Match(texts ...string) (Match, bool) {
	v := s.Decide(Turn{Occasions: []Occasion{OnText}, Texts: texts})
	return Match{Rule: v.Rule, Keyword: v.Keyword}, v.Matched
}

// Match says which rule won and on which of its keywords, as the operator wrote it.
type Match struct {
	Rule    Rule
	Keyword string
}

// admit says whether a rule may answer, and remembers why not.
func (q *question) admit(rank int, keyword string) bool {
	e := &q.set.rules[rank]
	if e.gate.simple && e.gate.on&q.on != 0 {
		return true
	}
	word, bit := rank/64, uint64(1)<<(rank%64)
	if len(q.refused) > 0 && q.refused[word]&bit != 0 {
		return false
	}
	reason, detail := q.blocked(&e.rule, &e.gate)
	if reason == "" {
		return true
	}
	if q.refused == nil {
		q.refused = make([]uint64, (len(q.set.rules)+63)/64)
	}
	q.refused[word] |= bit
	// A rule without keywords is not worth telling of where something else happened than it is about.
	if keyword != "" || reason != SkipOccasion && reason != SkipPayload {
		q.skips = append(q.skips, skipped{rank: rank, reason: reason, detail: detail, keyword: keyword})
	}
	return false
}

// told are the rules that were passed over and would have come before the one that won. Each of those was asked: at any time
// only what is behind the best match so far is left out.
func (q *question) told() []Skip {
	slices.SortFunc(q.skips, func(a, b skipped) int { return cmp.Compare(a.rank, b.rank) })
	var out []Skip
	for _, s := range q.skips {
		if s.rank > q.best.rank || len(out) == maxSkips {
			break
		}
		out = append(out, Skip{Rule: q.set.rules[s.rank].rule, Reason: s.reason, Detail: s.detail, Keyword: s.keyword})
	}
	return out
}

// askAlways asks the rules that have no keywords.
func (q *question) askAlways() {
	ask := func(ranks []int) {
		for _, rank := range ranks {
			if rank >= q.best.rank {
				return
			}
			if q.admit(rank, "") {
				q.best = found{rank: rank}
				return
			}
		}
	}
	for _, p := range q.turn.Payloads {
		ask(q.set.byPayload[p])
	}
	ask(q.set.always)
}

// askText asks the rules that have keywords about one text.
func (q *question) askText(i int, t *text) {
	q.askFinder(i, t, &q.set.folded, formFolded)
	if q.set.bare.used {
		q.askFinder(i, t, &q.set.bare, formBare)
	}
	q.askPatterns(i, t)
}

func (q *question) askFinder(i int, t *text, f *finder, form form) {
	padded := t.padded
	if form == formBare {
		padded = t.bare()
	}
	folded := padded[1 : len(padded)-1]
	for k := range f.exact[folded] {
		n := &f.exact[folded][k]
		if n.rank >= q.best.rank {
			break
		}
		if q.admit(n.rank, n.keyword) {
			q.best = found{rank: n.rank, keyword: n.keyword, text: i, form: form, from: 0, to: len(folded)}
		}
	}
	f.index.find(padded, q.best.rank, func(n *needle, at int) int {
		if n.stands(padded, at) && q.admit(n.rank, n.keyword) {
			q.best = found{rank: n.rank, keyword: n.keyword, text: i, form: form, from: at - 1, to: at - 1 + len(n.folded)}
		}
		return q.best.rank
	})
}

// stands says whether a needle that was found in a padded text stands there as its rule wants.
func (n *needle) stands(padded string, at int) bool {
	switch n.how {
	case MatchWord:
		return isWordAt(padded, at, at+len(n.folded))
	case MatchStarts:
		return at == 1
	case MatchAll:
		return isWordAt(padded, at, at+len(n.folded)) && !slices.ContainsFunc(n.rest, func(k string) bool { return !hasWord(padded, k) })
	default:
		return true
	}
}

// askPatterns tries the expressions: they cost the most, so only those that would still win.
func (q *question) askPatterns(i int, t *text) {
	may := q.set.prefilter.ask(t)
	for k := range q.set.patterns {
		p := &q.set.patterns[k]
		if p.rank >= q.best.rank {
			return
		}
		if may[k/64]&(1<<(k%64)) == 0 {
			continue
		}
		if form, ok := p.matches(t); ok && q.admit(p.rank, p.keyword) {
			q.best = found{rank: p.rank, keyword: p.keyword, text: i, form: form, pattern: p}
		}
	}
}
