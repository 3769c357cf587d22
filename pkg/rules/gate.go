package rules

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// What can be wrong with conditions and limits.
var (
	ErrCondition = errors.New("when")
	ErrLimit     = errors.New("limits")
)

// gate is what a rule asks beside its keywords.
type gate struct {
	on occasions
	// simple: there is nothing to ask but the occasion.
	simple bool
	hours  *schedule
}

func newGate(r *Rule) (gate, error) {
	w := &r.When
	g := gate{on: messages}
	var errs []error
	problem := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	if len(w.On) > 0 {
		var unknown Occasion
		if g.on, unknown = occasionsOf(w.On); unknown != "" || g.on == 0 {
			problem("%w.on: got %q, expected one of %s", ErrCondition, unknown, join(allOccasions))
		}
	}
	if w.Customers != "" && w.Customers != NewCustomers && w.Customers != ReturningCustomers {
		problem("%w.customers: got %q, expected %s or %s", ErrCondition, w.Customers, NewCustomers, ReturningCustomers)
	}
	for _, l := range w.Languages {
		if !isLanguage(l) {
			problem("%w.languages: got %q, expected an ISO 639-1 code of two small letters, such as de", ErrCondition, l)
		}
	}
	for _, l := range []struct {
		field string
		list  []string
	}{{"payloads", w.Payloads}, {"intents", w.Intents}, {"sentiments", w.Sentiments}, {"accounts", w.Accounts}, {"labels", w.Labels}} {
		if slices.ContainsFunc(l.list, blank) {
			problem("%w.%s: got an empty one, expected a text", ErrCondition, l.field)
		}
	}
	if w.Hours != nil {
		var err error
		if g.hours, err = newSchedule(w.Hours); err != nil {
			problem("%w.%w", ErrCondition, err)
		}
	}
	errs = append(errs, checkLimits(&r.Limits)...)
	g.simple = !narrowed(w) && r.Limits == Limits{}
	return g, errors.Join(errs...)
}

func checkLimits(l *Limits) (errs []error) {
	if l.Cooldown < 0 {
		errs = append(errs, fmt.Errorf("%w.cooldown: got %s, expected a time span such as 90m", ErrLimit, l.Cooldown))
	}
	if !l.From.IsZero() && !l.Until.IsZero() && !l.Until.After(l.From) {
		errs = append(errs, fmt.Errorf("%w.until: got %s, which is not after from, %s", ErrLimit, l.Until.Format(time.RFC3339), l.From.Format(time.RFC3339)))
	}
	return errs
}

// narrowed says whether there is a condition beside the occasion.
func narrowed(w *When) bool {
	return len(w.Payloads)+len(w.Languages)+len(w.Intents)+len(w.Sentiments)+len(w.Accounts)+len(w.Labels) > 0 || w.Customers != "" || w.Hours != nil
}

// decisive says whether conditions may decide without a keyword: they narrow, or say that they mean everything.
func decisive(w *When) bool { return narrowed(w) || len(w.On) > 0 || w.Otherwise }

func isLanguage(s string) bool {
	return len(s) == 2 && 'a' <= s[0] && s[0] <= 'z' && 'a' <= s[1] && s[1] <= 'z'
}

func blank(s string) bool { return strings.TrimSpace(s) == "" }

func join[S ~string](all []S) string {
	out := make([]string, len(all))
	for i, s := range all {
		out[i] = string(s)
	}
	return strings.Join(out, ", ")
}

// blocked says in a word why a rule may not answer, "" if it may. What costs most is asked last.
func (q *question) blocked(r *Rule, g *gate) (reason, detail string) {
	if g.on&q.on == 0 {
		return SkipOccasion, ""
	}
	if g.simple {
		return "", ""
	}
	if reason, detail = q.unmet(&r.When); reason != "" {
		return reason, detail
	}
	if reason, detail = q.limited(r); reason != "" {
		return reason, detail
	}
	if g.hours != nil && !g.hours.holds(q.turn.Now) {
		return SkipHours, q.turn.Now.In(g.hours.zone).Format("Mon 15:04 MST")
	}
	if l := r.When.Languages; len(l) > 0 && !slices.Contains(l, q.askLanguage()) {
		return SkipLanguage, cmp.Or(q.language, "unknown")
	}
	return "", ""
}

// unmet asks the conditions that only compare.
func (q *question) unmet(w *When) (reason, detail string) {
	t := q.turn
	switch {
	case len(w.Payloads) > 0 && !intersect(w.Payloads, t.Payloads):
		return SkipPayload, ""
	case len(w.Accounts) > 0 && !slices.Contains(w.Accounts, t.Account):
		return SkipAccount, t.Account
	case w.Customers == NewCustomers && t.Returning, w.Customers == ReturningCustomers && !t.Returning:
		return SkipCustomer, "expected " + string(w.Customers)
	case len(w.Intents) > 0 && !slices.Contains(w.Intents, t.Intent):
		return SkipIntent, t.Intent
	case len(w.Sentiments) > 0 && !slices.Contains(w.Sentiments, t.Sentiment):
		return SkipSentiment, t.Sentiment
	}
	for _, l := range w.Labels {
		if !slices.Contains(t.Labels, l) {
			return SkipLabel, l
		}
	}
	return "", ""
}

func (q *question) limited(r *Rule) (reason, detail string) {
	l, now := &r.Limits, q.turn.Now
	switch {
	case !l.From.IsZero() && now.Before(l.From):
		return SkipFrom, l.From.UTC().Format(time.RFC3339)
	case !l.Until.IsZero() && !now.Before(l.Until):
		return SkipUntil, l.Until.UTC().Format(time.RFC3339)
	case !l.OncePerCustomer && l.Cooldown == 0 || q.turn.History == nil:
		return "", ""
	}
	past := q.turn.History.Rule(r.ID)
	if past.Last.IsZero() && past.Times == 0 {
		return "", ""
	}
	if l.OncePerCustomer {
		return SkipOnce, ""
	}
	if over := past.Last.Add(time.Duration(l.Cooldown)); now.Before(over) {
		return SkipCooldown, "until " + over.UTC().Format(time.RFC3339)
	}
	return "", ""
}

func (q *question) askLanguage() string {
	if !q.asked {
		q.asked = true
		if q.turn.Language != nil {
			q.language = q.turn.Language()
		}
	}
	return q.language
}

func intersect(a, b []string) bool {
	return slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
}
