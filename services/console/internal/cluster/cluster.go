// Package cluster puts messages together that say nearly the same, so that a person sees which rule to write next. It compares words, not
// meanings.
package cluster

import (
	"cmp"
	"slices"
	"strings"
	"unicode"

	"github.com/parley-dm/parley/pkg/rules"
)

// Cluster is messages that are alike.
type Cluster struct {
	// Example is the newest of them, Words what nearly all of them have in common, Count how many there are.
	Example string
	Words   []string
	Count   int
}

// The bounds: how alike two messages must be (shared words of all their words), how many words of one are looked at, how long the shortest
// telling word is, and how many clusters are compared with each message.
const (
	alike       = 0.5
	maxWords    = 24
	minWord     = 2
	maxClusters = 500
)

type growing struct {
	Cluster
	words  map[string]struct{} // of the first message
	counts map[string]int
}

// Of puts messages, the newest first, into clusters, the largest first; those that nobody else is like are left out.
func Of(messages []string, most int) []Cluster {
	var all []*growing
	having := map[string][]int{} // which clusters' first messages have a word: most clusters share none with a message
	shared := make([]int, maxClusters)
	for _, m := range messages {
		words := wordsOf(m)
		if len(words) == 0 {
			continue
		}
		clear(shared)
		for w := range words {
			for _, i := range having[w] {
				shared[i]++
			}
		}
		best, score := (*growing)(nil), alike
		for i, g := range all {
			if s := similarity(shared[i], len(words), len(g.words)); s >= score {
				best, score = g, s
			}
		}
		if best == nil {
			if len(all) >= maxClusters {
				continue
			}
			best = &growing{Cluster: Cluster{Example: m}, words: words, counts: map[string]int{}}
			for w := range words {
				having[w] = append(having[w], len(all))
			}
			all = append(all, best)
		}
		best.Count++
		for w := range words {
			best.counts[w]++
		}
	}
	return largest(all, most)
}

// largest are the clusters of two and more, the largest first.
func largest(all []*growing, most int) []Cluster {
	var out []Cluster
	for _, g := range all {
		if g.Count < 2 {
			continue
		}
		g.Words = common(g.counts, g.Count)
		out = append(out, g.Cluster)
	}
	slices.SortStableFunc(out, func(a, b Cluster) int { return cmp.Compare(b.Count, a.Count) })
	return out[:min(len(out), most)]
}

// wordsOf are a message's words, folded as rules fold them.
func wordsOf(m string) map[string]struct{} {
	words := map[string]struct{}{}
	for _, w := range strings.FieldsFunc(rules.Fold(m), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) && r < 0x2000 }) {
		if len(w) >= minWord && len(words) < maxWords {
			words[w] = struct{}{}
		}
	}
	return words
}

// similarity is the share of the words of two messages, of a and b words, that both have (Jaccard).
func similarity(both, a, b int) float64 { return float64(both) / float64(a+b-both) }

// common are the words that two thirds of the messages have, the longest first: what a keyword could be.
func common(counts map[string]int, n int) []string {
	var out []string
	for w, c := range counts {
		if 3*c >= 2*n {
			out = append(out, w)
		}
	}
	slices.SortFunc(out, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	return out[:min(len(out), 5)]
}
