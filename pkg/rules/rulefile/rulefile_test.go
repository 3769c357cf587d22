package rulefile_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/parley-dm/parley/pkg/rules"
	"github.com/parley-dm/parley/pkg/rules/rulefile"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTheExampleIsGoodAndComesBackAsItIs(t *testing.T) {
	t.Parallel()
	all, err := rulefile.Parse("example.yaml", rulefile.Example)
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(all), 15)
	_, problems := rules.Compile(all)
	require.Empty(t, problems)

	written, err := rulefile.Format(all)
	require.NoError(t, err)
	again, err := rulefile.Parse("written.yaml", written)
	require.NoError(t, err, string(written))
	require.Len(t, again, len(all))
	twice, err := rulefile.Format(again)
	require.NoError(t, err)
	require.Equal(t, string(written), string(twice))
	for i := range all {
		all[i].Then, again[i].Then = rules.Then{}, rules.Then{} // kinds are written out; Format compared them above
		require.True(t, all[i].Same(again[i]), "%+v\n%+v", all[i], again[i])
	}
}

func TestEveryProblemIsNamedAtOnceWithItsPlace(t *testing.T) {
	t.Parallel()
	_, err := rulefile.Parse("bad.yaml", []byte(`rules:
  - name: first
    keywrds: [price]
    priority: high
    response_text: hello
  - name: second
    keywords: price
    when: {hours: {zone: Europe/Berlin, form: "10:00"}}
    limits: {cooldown: soon}
    response_text: true
`))
	var problems rulefile.Problems
	require.ErrorAs(t, err, &problems)
	got := strings.Split(err.Error(), "\n")
	require.Len(t, got, 6)
	for i, want := range []string{
		"bad.yaml:3:5: rules[0].keywrds: unknown field, expected one of active, id, keywords, limits, match_type, name, priority, response_text, then, when",
		`bad.yaml:4:15: rules[0].priority: got a text, expected a whole number`,
		`bad.yaml:7:15: rules[1].keywords: got a text, expected a list`,
		`bad.yaml:8:41: rules[1].when.hours.form: unknown field, expected one of days, from, holidays, outside, to, zone`,
		`bad.yaml:9:24: rules[1].limits.cooldown: got "soon", expected a time span such as 90m or 24h`,
		`bad.yaml:10:20: rules[1].response_text: got "true", expected a text; put it in quotes if it is one`,
	} {
		require.Equal(t, want, got[i])
	}
}

// What cannot be read in one place keeps nothing else from being checked, and makes no problems of its own.
func TestWhatCannotBeReadHidesNothing(t *testing.T) {
	t.Parallel()
	_, err := rulefile.Parse("bad.yaml", []byte(`rules:
  - name: misspelt
    keywords: [price]
    answer_text: hello
  - name: zone
    keywords: [open]
    when: {hours: {zone: Berlin}, languages: [german]}
    response_text: hello
  - name: regex
    match_type: regex
    keywords: ["(a"]
    response_text: hello {{customer.firstname}}
    when: {hours: {form: "10:00"}}
  - keywords: [x]
    response_text: y
`))
	var problems rulefile.Problems
	require.ErrorAs(t, err, &problems)
	got := make([]string, len(problems))
	for i, p := range problems {
		got[i] = fmt.Sprintf("%d %s", p.Line, p.Field)
	}
	require.Equal(t, []string{
		"4 rules[0].answer_text", "7 rules[1].when.hours.zone", "7 rules[1].when.languages", "11 rules[2].keywords", "12 rules[2].response_text", "13 rules[2].when.hours.form",
		"14 rules[3].name",
	}, got, err.Error())
}

func TestWhatARuleCannotBeIsNamedAtItsField(t *testing.T) {
	t.Parallel()
	_, err := rulefile.Parse("bad.yaml", []byte(`rules:
  - name: everything
    response_text: hello
  - name: zone
    keywords: [open]
    when:
      hours:
        zone: Berlin
    response_text: hello
  - name: zone
    match_type: regex
    keywords: ["(a"]
    then:
      reply:
        - text: hello {{customer.firstname}}
        - text: hi
          quick_replies: [{title: "far too long a title for a quick reply", payload: x}]
`))
	var problems rulefile.Problems
	require.ErrorAs(t, err, &problems)
	fields := make([]string, len(problems))
	for i, p := range problems {
		fields[i] = p.Field
		require.Positive(t, p.Line)
		require.Positive(t, p.Column)
	}
	require.Equal(t, []string{
		"rules[0].keywords", "rules[1].when.hours.zone", "rules[2].name", "rules[2].keywords", "rules[2].then.reply[0]",
	}, fields, err.Error())
	require.ErrorIs(t, err, rules.ErrNoKeyword)
	require.ErrorIs(t, err, rules.ErrRegex)
	require.Contains(t, err.Error(), `bad.yaml:8:15: rules[1].when.hours.zone: rule "zone": `)
	require.Contains(t, err.Error(), `unknown field "customer.firstname": expected one of account.id`)
}

func TestWhatIsNoFileOfRules(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"empty":     {"", "expected a list of rules"},
		"syntax":    {"rules: [", "no YAML"},
		"alias":     {"rules:\n  - &a {name: x, keywords: [x], response_text: x}\n  - *a\n", "anchor"},
		"null":      {"rules:\n  - name:\n    keywords: [x]\n    response_text: x\n", "leave the field out"},
		"a list":    {"- name: x\n", "expected fields and their values"},
		"twice":     {"rules:\n  - name: x\n    name: y\n", "f"},
		"documents": {"rules: []\n---\nrules: []\n", "several documents"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := rulefile.Parse("f", []byte(c.text))
			require.ErrorContains(t, err, c.want)
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(rulefile.Example)
	for _, s := range []string{"", "rules:", "rules: [{name: a, keywords: [b], response_text: c}]", "rules:\n- name: &a [*a]", "\xff", "rules: {a: b}", "? a\n: b"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := rulefile.Parse("f", b)
		if err != nil {
			return
		}
		written, err := rulefile.Format(all)
		require.NoError(t, err)
		again, err := rulefile.Parse("again", written)
		require.NoError(t, err, "%s", written)
		twice, err := rulefile.Format(again)
		require.NoError(t, err)
		require.Equal(t, string(written), string(twice))
	})
}
