// Package trial tries a set of rules before it is put to use: on cases that say which rule is expected, and on messages of
// the archive.
//
// It decides as the responder does, by package rules, and sends nothing. What surrounds the rules there (who holds the
// conversation, other engines, the fallback) is not tried.
package trial

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/parley-dm/parley/pkg/rules"
	"github.com/parley-dm/parley/pkg/rules/language"
)

// maxCases bounds a file of cases.
const maxCases = 10_000

// Case is one message and the rule that is to answer it.
type Case struct {
	// Message is what the customer wrote; Payload that of a quick reply or a button.
	Message string `yaml:"message"`
	Payload string `yaml:"payload"`
	// Rule is the name of the rule that is expected; empty for none, which is the fallback.
	Rule string `yaml:"rule"`
	// On is what happened, as in a rule; a text if empty.
	On []rules.Occasion `yaml:"on"`
	// Account, Language, Intent, Sentiment and Labels are what rules may ask for; without Language the message tells.
	Account   string   `yaml:"account"`
	Language  string   `yaml:"language"`
	Intent    string   `yaml:"intent"`
	Sentiment string   `yaml:"sentiment"`
	Labels    []string `yaml:"labels"`
	// Returning: the customer has had a reply before.
	Returning bool `yaml:"returning"`
	// At is when the message came; now if zero.
	At time.Time `yaml:"at"`
}

// Cases reads a file of cases; name is what problems call it. The error names the line.
func Cases(name string, text []byte, set *rules.Set) ([]Case, error) {
	var file struct {
		Cases []Case `yaml:"cases"`
	}
	err := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict()).Decode(&file)
	switch {
	case errors.Is(err, io.EOF) || err == nil && len(file.Cases) == 0:
		return nil, fmt.Errorf("%s: cases: got none, expected a list", name)
	case err != nil:
		return nil, fmt.Errorf("%s: %s", name, yaml.FormatError(err, false, true))
	case len(file.Cases) > maxCases:
		return nil, fmt.Errorf("%s: got %d cases, expected at most %d", name, len(file.Cases), maxCases)
	}
	known := map[string]bool{"": true}
	for _, r := range set.Rules() {
		known[r.Name] = true
	}
	var errs []error
	for n, c := range file.Cases {
		if !known[c.Rule] {
			errs = append(errs, fmt.Errorf("%s: cases[%d].rule: got %q, expected the name of an active rule, or none for the fallback", name, n, c.Rule))
		}
	}
	return file.Cases, errors.Join(errs...)
}

// Difference is a case that another rule answers than expected.
type Difference struct {
	// Number counts the cases from 1.
	Number int
	Case
	// Got is the rule that answers, Keyword what it matched on; both empty for none.
	Got, Keyword string
	// Why is why the expected rule was passed over, where it was.
	Why string
}

// Check asks the rules about each case. now is when the cases that say no time happen.
func Check(set *rules.Set, cases []Case, now time.Time) []Difference {
	var out []Difference
	for n, c := range cases {
		verdict := set.Decide(c.turn(n, now))
		got := ""
		if verdict.Matched {
			got = verdict.Rule.Name
		}
		if got == c.Rule {
			continue
		}
		d := Difference{Number: n + 1, Case: c, Got: got, Keyword: verdict.Keyword}
		for _, s := range verdict.Skipped {
			if s.Rule.Name == c.Rule {
				d.Why = s.Reason
				if s.Detail != "" {
					d.Why += ", " + s.Detail
				}
			}
		}
		out = append(out, d)
	}
	return out
}

func (c *Case) turn(n int, now time.Time) rules.Turn {
	t := rules.Turn{
		EventID: fmt.Sprintf("case %d", n), Account: c.Account, Occasions: c.On, Texts: []string{c.Message}, Intent: c.Intent, Sentiment: c.Sentiment,
		Returning: c.Returning, Labels: c.Labels, Now: c.At, Language: func() string { return cmp.Or(c.Language, language.Detect(c.Message)) },
	}
	if len(t.Occasions) == 0 {
		t.Occasions = []rules.Occasion{cmp.Or(occasionOf(c), rules.OnText)}
	}
	if c.Payload != "" {
		t.Texts, t.Payloads = append(t.Texts, c.Payload), []string{c.Payload}
	}
	if t.Now.IsZero() {
		t.Now = now
	}
	return t
}

// occasionOf is what a case that does not say it is about.
func occasionOf(c *Case) rules.Occasion {
	if c.Payload != "" {
		return rules.OnPostback
	}
	return ""
}
