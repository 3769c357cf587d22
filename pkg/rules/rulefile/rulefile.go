// Package rulefile reads and writes rules as YAML, for people who keep them in files.
//
// Reading names everything that is wrong at once, with file, line, column and field: what YAML cannot be, fields that do not
// exist, and what a rule cannot be. The package knows no PostgreSQL; who is imported over whom is the caller's. [Example] is a
// file that shows what rules can do, and is kept true by a test.
package rulefile

import (
	"bytes"
	"cmp"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/parley-dm/parley/pkg/rules"
)

// Example is a commented file with the rules of a shop.
//
//go:embed example.yaml
var Example []byte

// The bounds of a file.
const (
	maxBytes    = 32 << 20
	maxRules    = 50_000
	maxProblems = 100
)

// Problem is one thing that is wrong with a file.
type Problem struct { //nolint:errname // it is called a problem everywhere, as in package rules
	File string
	// Line and Column count from 1; 0 where nobody can say.
	Line, Column int
	// Field is a path such as rules[3].when.hours.zone; Rule the name of the rule that it is in.
	Field, Rule string
	Err         error
}

func (p *Problem) Error() string {
	s := fmt.Sprintf("%s:%d:%d: %s: ", p.File, p.Line, p.Column, p.Field)
	if p.Rule != "" {
		s += fmt.Sprintf("rule %q: ", p.Rule)
	}
	return s + p.Err.Error()
}

func (p *Problem) Unwrap() error { return p.Err }

// Problems is everything that is wrong with a file, as far as the first hundred.
type Problems []*Problem //nolint:errname // see Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i := range p {
		lines[i] = p[i].Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives each of them.
func (p Problems) Unwrap() []error {
	out := make([]error, len(p))
	for i := range p {
		out[i] = p[i]
	}
	return out
}

// file and fileRule are how a file looks.
type file struct {
	Rules []fileRule `json:"rules"`
}

type fileRule struct {
	ID        string          `json:"id,omitempty"`
	Name      string          `json:"name"`
	Active    *bool           `json:"active,omitempty"`
	Priority  int             `json:"priority,omitempty"`
	MatchType rules.MatchType `json:"match_type,omitempty"`
	Keywords  []string        `json:"keywords,omitempty"`
	When      rules.When      `json:"when,omitzero"`
	Response  string          `json:"response_text,omitempty"`
	Then      rules.Then      `json:"then,omitzero"`
	Limits    rules.Limits    `json:"limits,omitzero"`
}

// Parse reads a file; name is what problems call it. Without match_type keywords are contained, without active a rule is. Among
// rules of one priority the order of the file counts: each is a microsecond younger than the one before. The error is [Problems].
func Parse(name string, b []byte) ([]rules.Rule, error) {
	d := &decoder{file: name, at: map[string]position{}}
	if len(b) > maxBytes {
		d.problem(position{}, "", fmt.Errorf("got %d bytes, expected at most %d", len(b), maxBytes))
		return nil, d.problems
	}
	tree, err := parser.ParseBytes(b, 0)
	if err != nil {
		d.problem(syntaxPosition(err), "", syntaxError(err))
		return nil, d.problems
	}
	var f file
	root := rootOf(tree)
	switch {
	case len(tree.Docs) > 1:
		d.problem(position{line: 1, column: 1}, "", errors.New("got several documents, expected one"))
	case root == nil:
		d.problem(position{line: 1, column: 1}, "rules", errors.New("got an empty file, expected a list of rules"))
	default:
		d.decodeRoot(root, &f)
	}
	out := d.rules(f.Rules)
	if len(d.problems) > 0 {
		return nil, d.problems
	}
	return out, nil
}

func rootOf(tree *ast.File) ast.Node {
	if len(tree.Docs) == 0 {
		return nil
	}
	return tree.Docs[0].Body
}

// rules makes rules of what was read, and checks what could be read of each.
func (d *decoder) rules(all []fileRule) []rules.Rule {
	if len(all) > maxRules {
		d.problem(d.position("rules"), "rules", fmt.Errorf("got %d rules, expected at most %d", len(all), maxRules))
		return nil
	}
	d.unread = map[int][]string{}
	for _, p := range d.problems {
		var i int
		if _, err := fmt.Sscanf(p.Field, "rules[%d]", &i); err == nil {
			d.unread[i] = append(d.unread[i], p.Field)
		}
	}
	names := map[string]int{}
	out := make([]rules.Rule, len(all))
	for i := range all {
		path := "rules[" + strconv.Itoa(i) + "]"
		out[i] = all[i].rule(i)
		r := &out[i]
		if strings.TrimSpace(r.Name) == "" {
			if len(d.unread[i]) > 0 {
				continue // of a rule without a name that was not read, nothing is known
			}
			d.problem(d.position(path), path+".name", errors.New("expected a name"))
		} else if first, ok := names[r.Name]; ok {
			d.problem(d.position(path+".name"), path+".name", fmt.Errorf("got %q, which rules[%d] is called, too; expected a name of its own", r.Name, first))
		}
		names[r.Name] = i
		d.check(path, r, d.unread[i])
	}
	slices.SortStableFunc(d.problems, func(a, b *Problem) int { return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column)) })
	return out
}

func (f *fileRule) rule(i int) rules.Rule {
	r := rules.Rule{
		ID: f.ID, Name: f.Name, Keywords: f.Keywords, MatchType: f.MatchType, Response: f.Response, Priority: f.Priority,
		When: f.When, Then: f.Then, Limits: f.Limits, Active: f.Active == nil || *f.Active,
		CreatedAt: time.Unix(0, 0).UTC().Add(time.Duration(i) * time.Microsecond),
	}
	if r.MatchType == "" {
		r.MatchType = rules.MatchContains
	}
	return r
}

// check says what is wrong with a rule, at the field that it is about; nothing that may only come of fields that were not read.
func (d *decoder) check(path string, r *rules.Rule, unread []string) {
	for _, err := range flat(rules.Check(*r)) {
		if len(unread) > 0 && (errors.Is(err, rules.ErrNoKeyword) || errors.Is(err, rules.ErrNoResponse)) {
			continue // what is missing may be what was not read
		}
		field := fieldOf.FindString(err.Error())
		full := path
		if field != "" {
			full += "." + field
		}
		_, stands := d.at[full]
		if slices.ContainsFunc(unread, func(u string) bool { return within(full, u) || within(u, full) || !stands && parent(u) == parent(full) }) {
			continue
		}
		d.add(&Problem{File: d.file, Line: d.position(full).line, Column: d.position(full).column, Field: full, Rule: r.Name, Err: err})
	}
}

// within says whether a field is another one, or in it.
func within(field, in string) bool {
	rest, ok := strings.CutPrefix(field, in)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// parent is the field that a field is in.
func parent(field string) string { return field[:max(strings.LastIndexByte(field, '.'), 0)] }

// flat undoes errors.Join.
func flat(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || !strings.Contains(err.Error(), "\n") {
		if err == nil {
			return nil
		}
		if ok && len(joined.Unwrap()) == 1 {
			return flat(joined.Unwrap()[0])
		}
		return []error{err}
	}
	var out []error
	for _, e := range joined.Unwrap() {
		out = append(out, flat(e)...)
	}
	return out
}

// Format writes rules as a file that [Parse] reads as the same rules, in the order given. Formatting what was parsed again
// changes nothing.
func Format(all []rules.Rule) ([]byte, error) {
	f := file{Rules: make([]fileRule, len(all))}
	for i := range all {
		f.Rules[i] = fileRuleOf(&all[i])
	}
	var compact bytes.Buffer
	encoder := json.NewEncoder(&compact)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(f); err != nil {
		return nil, fmt.Errorf("write rules: %w", err)
	}
	var ordered any
	if err := yaml.UnmarshalWithOptions(compact.Bytes(), &ordered, yaml.UseOrderedMap()); err != nil {
		return nil, fmt.Errorf("write rules: %w", err)
	}
	out, err := yaml.MarshalWithOptions(ordered, yaml.IndentSequence(true), yaml.UseLiteralStyleIfMultiline(true))
	if err != nil {
		return nil, fmt.Errorf("write rules: %w", err)
	}
	return out, nil
}

func fileRuleOf(r *rules.Rule) fileRule {
	f := fileRule{
		ID: r.ID, Name: r.Name, Priority: r.Priority, MatchType: r.MatchType, Keywords: r.Keywords, When: r.When, Response: r.Response,
		Then: r.Then, Limits: r.Limits,
	}
	if !r.Active {
		f.Active = new(bool)
	}
	f.Then.Reply = withKinds(f.Then.Reply)
	if f.Then.ByLanguage != nil {
		own := make(map[string][]rules.Part, len(f.Then.ByLanguage))
		for language, parts := range f.Then.ByLanguage {
			own[language] = withKinds(parts)
		}
		f.Then.ByLanguage = own
	}
	return f
}

// withKinds writes out what kind each part is, which a file may leave out.
func withKinds(parts []rules.Part) []rules.Part {
	out := append([]rules.Part(nil), parts...)
	for i := range out {
		out[i].Kind = rules.KindOf(&out[i])
	}
	return out
}
