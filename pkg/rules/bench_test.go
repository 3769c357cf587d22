package rules_test

import (
	"fmt"
	"testing"

	"github.com/parley-dm/parley/pkg/rules"
)

// many gives rules as a shop has them: three keywords each, one in twenty an expression, one in ten exact.
func many(n int) []rules.Rule {
	out := make([]rules.Rule, n)
	for i := range out {
		how := rules.MatchContains
		k := []string{fmt.Sprintf("product %d", i), fmt.Sprintf("artikel-%d", i), fmt.Sprintf("المنتج %d", i)}
		switch {
		case i%20 == 7:
			how = rules.MatchRegex
			k = []string{fmt.Sprintf(`\border\s+#?%d\b`, i)}
		case i%10 == 3:
			how = rules.MatchExact
		}
		out[i] = rule(fmt.Sprintf("rule %05d", i), how, k...)
	}
	return out
}

func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{10, 1_000, 10_000} {
		set, _ := rules.Compile(many(n))
		for name, text := range map[string]string{
			"ascii": "Hello! I have seen your new collection yesterday and would like to know whether you ship to Norway?",
			"utf8":  "مرحبا، رأيت مجموعتكم الجديدة أمس وأود أن أعرف هل تشحنون إلى النرويج؟",
			"hit":   "how much is product 7?",
		} {
			b.Run(fmt.Sprintf("rules=%d/text=%s", n, name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					set.Match(text)
				}
			})
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	all := many(10_000)
	for b.Loop() {
		rules.Compile(all)
	}
}

func BenchmarkFold(b *testing.B) {
	for name, text := range map[string]string{"ascii": "How much is product 7?", "latin": "Wie viel kostet das für Größe M, bitte schön?", "arabic": "مرحبا، رأيت مجموعتكم الجديدة أمس وأود أن أعرف هل تشحنون"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				rules.Fold(text)
			}
		})
	}
}
