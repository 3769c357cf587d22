// Package template fills the gaps in what a business says: {{customer.first_name | "there"}}.
//
// A gap is a field of a fixed list, checked when the template is made, with an optional text for when the field is empty. That
// is all: no expressions, no loops, no code, and what a customer wrote is never read as a template. text/template of the
// standard library can call methods and loop for ever, and the small modules that fill {{name}} know no fields, so that a
// misspelt one is found by the first customer; hence these few lines.
//
// Braces that hold no path such as a.b are text like any other: answers that were written before there were templates stay
// as they are.
package template

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// The bounds of what is filled in: a customer's text may be long, and a text may repeat it.
const (
	maxValue = 500
	// MaxText is the longest text, in bytes, filled or not. Meta's messages have 1000, the sender splits what is longer.
	MaxText = 10_000
)

// ErrField is a gap that cannot be filled, ErrDefault one whose default is not in quotes, ErrLong a text beyond [MaxText].
var (
	ErrField   = errors.New("unknown field")
	ErrDefault = errors.New(`expected a default in quotes, such as {{customer.first_name | "there"}}`)
	ErrLong    = errors.New("text is too long")
)

// Facts is what gaps are filled with. Empty ones are missing.
type Facts struct {
	Customer Customer
	Account  Account
	// Message is the text that is answered.
	Message string
	// Match are the groups of the expression that matched, by number and by name, and as text and keyword what matched.
	Match map[string]string
	// Time is when the customer wrote, in the business's time zone.
	Time time.Time
}

// Customer is whom is answered. Without a first name the first word of the name is taken for it.
type Customer struct{ FirstName, Name, Username string }

// Account is who answers.
type Account struct{ ID, Name string }

// fields are all fields but the groups of expressions.
var fields = map[string]func(*Facts) string{
	"customer.first_name": func(f *Facts) string {
		first, _, _ := strings.Cut(strings.TrimSpace(f.Customer.Name), " ")
		return either(f.Customer.FirstName, first)
	},
	"customer.name":     func(f *Facts) string { return f.Customer.Name },
	"customer.username": func(f *Facts) string { return f.Customer.Username },
	"message.text":      func(f *Facts) string { return f.Message },
	"match.text":        func(f *Facts) string { return f.Match["text"] },
	"match.keyword":     func(f *Facts) string { return f.Match["keyword"] },
	"account.id":        func(f *Facts) string { return f.Account.ID },
	"account.name":      func(f *Facts) string { return f.Account.Name },
	"time.of_day":       func(f *Facts) string { return timed(f, ofDay) },
	"time.hour":         func(f *Facts) string { return timed(f, layout("15")) },
	"time.clock":        func(f *Facts) string { return timed(f, layout("15:04")) },
	"time.date":         func(f *Facts) string { return timed(f, layout("2006-01-02")) },
	"time.weekday":      func(f *Facts) string { return timed(f, layout("Monday")) },
}

// Fields lists what a gap may name; match.1 and match.name stand beside them where an expression has such groups.
func Fields() []string {
	all := make([]string, 0, len(fields))
	for f := range fields {
		all = append(all, f)
	}
	slices.Sort(all)
	return all
}

func either(a, b string) string {
	if strings.TrimSpace(a) != "" {
		return a
	}
	return b
}

func timed(f *Facts, say func(time.Time) string) string {
	if f.Time.IsZero() {
		return ""
	}
	return say(f.Time)
}

func layout(l string) func(time.Time) string { return func(t time.Time) string { return t.Format(l) } }

// ofDay is what one wishes somebody well for; the night counts as evening.
func ofDay(t time.Time) string {
	switch h := t.Hour(); {
	case h >= 5 && h < 12:
		return "morning"
	case h >= 12 && h < 18:
		return "afternoon"
	default:
		return "evening"
	}
}

// gap finds what is meant as one: a path in double braces. The default may hold braces and escaped quotes.
var gap = regexp.MustCompile(`\{\{\s*([A-Za-z_]+\.[A-Za-z0-9_.]+)\s*(?:\|\s*("(?:[^"\\]|\\.)*"|[^{}]*?))?\s*\}\}`)

// unescape reads what a default has between its quotes.
var unescape = strings.NewReplacer(`\"`, `"`, `\\`, `\`, `\n`, "\n")

// Template is a text with gaps. It never changes.
type Template struct{ pieces []piece }

// piece is a text, or a gap where value is given.
type piece struct {
	text  string
	group string
	value func(*Facts) string
}

// Parse makes a template. Groups are those of the expression that the text may name as match.1 or match.name.
func Parse(text string, groups []string) (*Template, error) {
	if len(text) > MaxText {
		return nil, fmt.Errorf("%w: got %d bytes, expected at most %d", ErrLong, len(text), MaxText)
	}
	if !strings.Contains(text, "{{") {
		return &Template{pieces: []piece{{text: text}}}, nil
	}
	t := &Template{}
	at := 0
	for _, m := range gap.FindAllStringSubmatchIndex(text, -1) {
		p, err := parseGap(text[m[2]:m[3]], sub(text, m[4], m[5]), groups)
		if err != nil {
			return nil, err
		}
		t.pieces = append(t.pieces, piece{text: text[at:m[0]]}, p)
		at = m[1]
	}
	t.pieces = append(t.pieces, piece{text: text[at:]})
	return t, nil
}

func sub(s string, from, to int) *string {
	if from < 0 {
		return nil
	}
	s = s[from:to]
	return &s
}

func parseGap(path string, otherwise *string, groups []string) (piece, error) {
	p := piece{value: fields[path]}
	if group, ok := strings.CutPrefix(path, "match."); ok && p.value == nil && slices.Contains(groups, group) {
		p.group = group
		p.value = func(f *Facts) string { return f.Match[group] }
	}
	if p.value == nil {
		return p, fmt.Errorf("%w %q: expected %s", ErrField, path, expected(groups))
	}
	if otherwise == nil {
		return p, nil
	}
	quoted := *otherwise
	if len(quoted) < 2 || quoted[0] != '"' {
		return p, fmt.Errorf("%w: got %s", ErrDefault, quoted)
	}
	p.text = unescape.Replace(quoted[1 : len(quoted)-1])
	return p, nil
}

func expected(groups []string) string {
	all := Fields()
	for _, g := range groups {
		all = append(all, "match."+g)
	}
	s := "one of " + strings.Join(all, ", ")
	if len(groups) == 0 {
		s += "; match.1 and the like need a rule with match_type regex and such a group"
	}
	return s
}

// Plain says whether there is nothing to fill in.
func (t *Template) Plain() bool { return len(t.pieces) == 1 }

// Render fills the gaps. What is filled in is cut at 500 bytes each, the whole at [MaxText].
func (t *Template) Render(f *Facts) string {
	if t.Plain() {
		return t.pieces[0].text
	}
	var b strings.Builder
	for _, p := range t.pieces {
		if p.value == nil {
			b.WriteString(p.text)
			continue
		}
		b.WriteString(cut(either(strings.TrimSpace(p.value(f)), p.text), maxValue))
	}
	return cut(b.String(), MaxText)
}

// cut shortens between two runes.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	n := limit - len("…")
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
