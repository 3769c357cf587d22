package template_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/parley-dm/parley/pkg/rules/template"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func facts() template.Facts {
	return template.Facts{
		Customer: template.Customer{Name: "Ada Lovelace", Username: "ada"}, Account: template.Account{ID: "1784", Name: "Shop"},
		Message: "where is {{account.id}}?", Match: map[string]string{"1": "42", "number": "42", "text": "order 42", "keyword": `order (\d+)`},
		Time: time.Date(2026, 11, 24, 8, 5, 0, 0, time.UTC),
	}
}

func TestGapsAreFilled(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"plain":                                      "plain",
		"Hi {{customer.first_name}}!":                "Hi Ada!",
		"{{ customer.name }}":                        "Ada Lovelace",
		"{{customer.username | \"you\"}}":            "ada",
		"{{match.2 | \"none\"}}":                     "none",
		"{{match.number}} and {{match.1}}":           "42 and 42",
		"{{match.text}}, {{match.keyword}}":          `order 42, order (\d+)`,
		"{{account.name}} ({{account.id}})":          "Shop (1784)",
		"Good {{time.of_day}}, {{time.clock}}":       "Good morning, 08:05",
		"{{time.hour}} {{time.date}}":                "08 2026-11-24",
		"{{time.weekday}}":                           "Tuesday",
		"you said: {{message.text}}":                 "you said: where is {{account.id}}?",
		`{{match.2 | "a \"quoted\" } brace"}}`:       `a "quoted" } brace`,
		"{{match.2}}":                                "",
		"{ a }, {{}}, {{ x }}, {{name}}, }}{{":       "{ a }, {{}}, {{ x }}, {{name}}, }}{{",
		"{{1.5}} {{a b.c}} ${{price}} {{{nothing}}}": "{{1.5}} {{a b.c}} ${{price}} {{{nothing}}}",
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			tmpl, err := template.Parse(text, []string{"0", "1", "2", "number"})
			require.NoError(t, err)
			f := facts()
			require.Equal(t, want, tmpl.Render(&f))
		})
	}
}

func TestWhatCannotBeFilledIsRefusedWithWhatCan(t *testing.T) {
	t.Parallel()
	_, err := template.Parse("Hi {{customer.firstname}}", nil)
	require.ErrorIs(t, err, template.ErrField)
	require.ErrorContains(t, err, `"customer.firstname": expected one of account.id, account.name, customer.first_name`)
	_, err = template.Parse("{{match.1}}", nil)
	require.ErrorIs(t, err, template.ErrField)
	_, err = template.Parse("{{customer.name | there}}", nil)
	require.ErrorIs(t, err, template.ErrDefault)
	_, err = template.Parse(strings.Repeat("x", template.MaxText+1), nil)
	require.ErrorIs(t, err, template.ErrLong)
}

func TestWhatIsFilledInIsBounded(t *testing.T) {
	t.Parallel()
	tmpl, err := template.Parse(strings.Repeat("{{message.text}}", 100), nil)
	require.NoError(t, err)
	got := tmpl.Render(&template.Facts{Message: strings.Repeat("ä", 10_000)})
	require.LessOrEqual(t, len(got), template.MaxText)
	require.True(t, utf8.ValidString(got))
}

func TestTheDayHasThreeParts(t *testing.T) {
	t.Parallel()
	tmpl, err := template.Parse("{{time.of_day}}", nil)
	require.NoError(t, err)
	for hour, want := range map[int]string{4: "evening", 5: "morning", 11: "morning", 12: "afternoon", 17: "afternoon", 18: "evening", 23: "evening"} {
		require.Equal(t, want, tmpl.Render(&template.Facts{Time: time.Date(2026, 1, 1, hour, 59, 0, 0, time.UTC)}), "%d", hour)
	}
	require.Empty(t, tmpl.Render(&template.Facts{}))
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "{{", `{{customer.name | "a\"b"}}`, "{{match.1}}", "{{a.b}}", "{{{{customer.name}}}}", "\xff{{time.hour}}"} {
		f.Add(s, "Ada")
	}
	f.Fuzz(func(t *testing.T, text, name string) {
		tmpl, err := template.Parse(text, []string{"1"})
		if err != nil {
			return
		}
		got := tmpl.Render(&template.Facts{Customer: template.Customer{Name: name}})
		require.LessOrEqual(t, len(got), template.MaxText)
		if !strings.Contains(text, "{{") {
			require.Equal(t, text, got)
		}
	})
}
