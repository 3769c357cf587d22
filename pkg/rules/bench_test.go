package rules_test

import (
	"fmt"
	"runtime"
	"strings"
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

// shop gives rules as they are with all that a rule may ask: conditions on three of four, accents ignored by every third, words and
// several of them, and buttons.
func shop(n int) []rules.Rule {
	all := many(n)
	for i := range all {
		r := &all[i]
		r.When.IgnoreAccents = i%3 == 0
		switch i % 8 {
		case 0:
			r.When.Languages = []string{"de", "en"}
		case 1:
			r.When.Hours = &rules.Hours{Zone: "Europe/Berlin", From: "09:00", To: "18:00"}
		case 2:
			r.Limits.OncePerCustomer = true
		case 4:
			r.When.Payloads, r.Keywords, r.MatchType = []string{fmt.Sprintf("BUTTON_%d", i)}, nil, ""
		case 5:
			r.When.Customers = rules.ReturningCustomers
		case 6:
			r.MatchType = rules.MatchAll
		}
	}
	return all
}

func BenchmarkDecide(b *testing.B) {
	all := shop(10_000)
	before := heap()
	set, problems := rules.Compile(all)
	if len(problems) > 0 {
		b.Fatal(problems[0])
	}
	b.Logf("a set of %d rules takes %.1f MB beside the rules themselves", set.Len(), float64(heap()-before)/1e6)
	for name, text := range map[string]string{
		"none": "Hello! I have seen your new collection yesterday and would like to know whether you ship to Norway?",
		"utf8": "Merhaba, dün yeni koleksiyonunuzu gördüm; Norveç'e gönderim yapıp yapmadığınızı öğrenmek istiyorum çünkü çok güzel",
		"hit":  "how much is product 7?", "blocked": "how much is product 101?",
		"long": strings.Repeat("Where is the product that I ordered? ", 27),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				set.Decide(said(text))
			}
		})
	}
	runtime.KeepAlive(set)
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
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
