package rules

import (
	"cmp"
	"slices"
)

// prefilter says which expressions may match a text, in one pass over it: those of which a required literal stands there, and
// those that have none.
type prefilter struct {
	literals index
	// always has the expressions without a literal, one bit each by their place.
	always []uint64
	// bare: some of them ignore accents.
	bare bool
}

// newPrefilter looks for the rarest set of words of each expression: of a thousand that begin with "order" a text with that word
// would otherwise have to be tried on each.
func newPrefilter(all []pattern) prefilter {
	f := prefilter{always: make([]uint64, (len(all)+63)/64)}
	count := map[string]int{}
	for i := range all {
		for _, set := range all[i].literals {
			for _, l := range set {
				count[l]++
			}
		}
	}
	var needles []needle
	for i := range all {
		f.bare = f.bare || all[i].bare
		if len(all[i].literals) == 0 {
			f.always[i/64] |= 1 << (i % 64)
			continue
		}
		for _, l := range rarest(all[i].literals, count) {
			needles = append(needles, needle{folded: l, rank: i})
		}
	}
	f.literals = newIndex(needles)
	return f
}

// rarest is the set whose words are in the fewest expressions, and among equals the one with the longest.
func rarest(sets [][]string, count map[string]int) []string {
	uses := func(set []string) int {
		n := 0
		for _, l := range set {
			n += count[l]
		}
		return n
	}
	return slices.MinFunc(sets, func(a, b []string) int {
		return cmp.Or(cmp.Compare(uses(a), uses(b)), cmp.Compare(shortest(b), shortest(a)))
	})
}

// ask gives one bit for each expression.
func (f *prefilter) ask(t *text) []uint64 {
	if len(f.always) == 0 {
		return nil
	}
	may := slices.Clone(f.always)
	mark := func(n *needle, _ int) int {
		may[n.rank/64] |= 1 << (n.rank % 64)
		return none
	}
	f.literals.find(t.lower, none, mark)
	if !t.ascii {
		f.literals.find(t.folded, none, mark)
	}
	if f.bare && !t.ascii {
		f.literals.find(t.bare(), none, mark)
	}
	return may
}
