package rules

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// gramLen is how many bytes of a needle the index looks up at each position of a text.
const gramLen = 4

// none is a rank behind that of every rule.
const none = math.MaxInt

// needle is one folded keyword to be found inside a text.
type needle struct {
	folded  string
	rank    int
	keyword string
	// offset is where its gram begins.
	offset int
}

// index finds, in one pass over a text, the needle of the best rank that stands in it, whatever their number: at each
// position one look-up gives the few needles that may stand there. Each needle is filed under the gram that is rarest
// among all of them, so that a thousand keywords that begin alike do not end up in one list.
type index struct {
	long map[uint32][]needle // each list by rank
	// short holds the needles of fewer bytes than a gram, by length.
	short [gramLen]map[string]needle
}

func newIndex(needles []needle) index {
	ix := index{long: map[uint32][]needle{}}
	count := map[uint32]int{}
	for _, n := range needles {
		for i := range len(n.folded) - gramLen + 1 {
			count[gramAt(n.folded, i)]++
		}
	}
	slices.SortStableFunc(needles, func(a, b needle) int { return cmp.Compare(a.rank, b.rank) })
	for _, n := range needles {
		if len(n.folded) < gramLen {
			ix.addShort(n)
			continue
		}
		rarest := gramAt(n.folded, 0)
		for i := range len(n.folded) - gramLen + 1 {
			if g := gramAt(n.folded, i); count[g] < count[rarest] {
				n.offset, rarest = i, g
			}
		}
		ix.long[rarest] = append(ix.long[rarest], n)
	}
	return ix
}

// addShort keeps the first of equal needles: they come by rank.
func (ix *index) addShort(n needle) {
	m := &ix.short[len(n.folded)]
	if *m == nil {
		*m = map[string]needle{}
	}
	if _, ok := (*m)[n.folded]; !ok {
		(*m)[n.folded] = n
	}
}

// find returns the needle of the best rank below limit that stands in s.
func (ix *index) find(s string, limit int) (needle, bool) {
	best := needle{rank: limit}
	found := false
	for i := range len(s) {
		for l := 1; l < gramLen && i+l <= len(s); l++ {
			if m := ix.short[l]; m != nil {
				if n, ok := m[s[i:i+l]]; ok && n.rank < best.rank {
					best, found = n, true
				}
			}
		}
		if i+gramLen > len(s) {
			continue
		}
		for _, n := range ix.long[gramAt(s, i)] {
			if n.rank >= best.rank {
				break
			}
			if n.offset <= i && strings.HasPrefix(s[i-n.offset:], n.folded) {
				best, found = n, true
			}
		}
	}
	return best, found
}

// gramAt gives the gram as a number, which is a quicker key than its bytes.
func gramAt(s string, i int) uint32 {
	return uint32(s[i]) | uint32(s[i+1])<<8 | uint32(s[i+2])<<16 | uint32(s[i+3])<<24
}
