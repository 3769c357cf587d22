package repository

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/parley-dm/parley/pkg/rules"
)

// Rule is a rule as it is stored. Its ID is empty before it is, and its Version counts its changes from 1.
type Rule struct {
	rules.Rule
	UpdatedAt time.Time
	// UpdatedBy is who changed it last; empty where the change did not say.
	UpdatedBy string
	// Broken is why a row could not be read whole, such as a condition that this program does not know. The fields that
	// could be read are there; such a rule is never asked.
	Broken error
}

// RuleVersion is one version of one rule.
type RuleVersion struct {
	RuleID  string
	Version int
	Change  Change
	At      time.Time
	// By is who made the change; empty where it did not say.
	By string
	// Rule is the rule after the change; before it, where it was deleted.
	Rule Rule
}

// Change says what happened to a rule.
type Change string

// The changes.
const (
	Created Change = "created"
	Updated Change = "updated"
	Deleted Change = "deleted"
)

// HistoryQuery picks versions of rules, newest first.
type HistoryQuery struct {
	// RuleID picks those of one rule; empty picks all.
	RuleID string
	// Before continues behind the last version of the page before; nil begins with the newest.
	Before *RuleVersion
	// Limit is how many at most; 50 if 0, 500 at most.
	Limit int
}

// The bounds of a page.
const (
	defaultPage = 50
	maxPage     = 500
)

func pageSize(limit int) int {
	if limit <= 0 {
		return defaultPage
	}
	return min(limit, maxPage)
}

// asked is the order in which rules are asked: those for otherwise after all others.
func asked(a, b Rule) int {
	if a.When.Otherwise != b.When.Otherwise {
		if b.When.Otherwise {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(b.Priority, a.Priority), a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
}

// split parts the active rules into those that can be used and those that could not be read.
func split(all []Rule) (ready []rules.Rule, broken []rules.Problem) {
	for _, r := range all {
		switch {
		case !r.Active:
		case r.Broken != nil:
			broken = append(broken, rules.Problem{Rule: r.Rule, Err: r.Broken})
		default:
			ready = append(ready, r.Rule)
		}
	}
	return ready, broken
}

// spec is the part of a rule that is stored as JSON.
type spec struct{ conditions, actions, limits string }

func encodeSpec(r *Rule) (spec, error) {
	var s spec
	for _, f := range []struct {
		name  string
		value any
		to    *string
	}{{"conditions", r.When, &s.conditions}, {"actions", r.Then, &s.actions}, {"limits", r.Limits, &s.limits}} {
		b, err := json.Marshal(f.value)
		if err != nil {
			return s, invalid(f.name, "%v", err)
		}
		if bytes.Contains(b, []byte(`\u0000`)) {
			return s, invalid(f.name, "got a NUL character, expected text")
		}
		*f.to = string(b)
	}
	return s, nil
}

// decodeSpec reads what [encodeSpec] wrote, or what somebody wrote with psql. What it does not know is an error: a rule of
// which only a part is understood would answer where it should not.
func decodeSpec(s spec, r *rules.Rule) error {
	var errs []error
	for _, f := range []struct {
		name, text string
		to         any
	}{{"conditions", s.conditions, &r.When}, {"actions", s.actions, &r.Then}, {"limits", s.limits, &r.Limits}} {
		if err := strict(f.text, f.to); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", f.name, err))
		}
	}
	return errors.Join(errs...)
}

func strict(text string, to any) error {
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("expected one JSON object, got more")
	}
	return nil
}

// prepare checks what the table would refuse, and fills in what it would. Whether a rule makes sense is package rules'.
func prepare(r *Rule) error {
	r.MatchType = cmp.Or(r.MatchType, rules.MatchContains)
	known := []rules.MatchType{rules.MatchExact, rules.MatchContains, rules.MatchRegex, rules.MatchWord, rules.MatchStarts, rules.MatchAll}
	switch {
	case strings.TrimSpace(r.Name) == "":
		return invalid("name", "got %q, expected one that is not blank", r.Name)
	case !slices.Contains(known, r.MatchType):
		return invalid("match_type", "got %q, expected one of %v", r.MatchType, known)
	}
	for _, f := range append([]string{r.Name, r.Response}, r.Keywords...) {
		if strings.IndexByte(f, 0) >= 0 || !utf8.ValidString(f) {
			return invalid("text", "got %q, expected UTF-8 without NUL", f)
		}
	}
	if r.Keywords == nil {
		r.Keywords = []string{}
	}
	if !r.CreatedAt.IsZero() {
		r.CreatedAt = r.CreatedAt.UTC().Truncate(time.Microsecond)
	}
	return nil
}

// isUUID is how PostgreSQL writes one.
var isUUID = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// checkID checks the id of a rule that is to be made, where it has one.
func checkID(id string) error {
	if id != "" && !isUUID.MatchString(id) {
		return invalid("id", "got %q, expected a UUID in lower case, or none", id)
	}
	return nil
}

// same says whether storing b over a would change anything.
func same(a, b *Rule) bool {
	x, errX := encodeSpec(a)
	y, errY := encodeSpec(b)
	return errX == nil && errY == nil && x == y && a.Broken == nil && a.Name == b.Name && a.MatchType == b.MatchType &&
		a.Response == b.Response && a.CreatedAt.Equal(b.CreatedAt) && a.Priority == b.Priority && a.Active == b.Active && slices.Equal(a.Keywords, b.Keywords)
}
