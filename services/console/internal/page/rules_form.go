package page

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/repository"
	"github.com/parley-dm/parley/pkg/rules"
)

// ruleForm is a rule as the form has it: fields as they were typed, and beside them the rest of the rule, which the form does
// not show and must not lose.
type ruleForm struct {
	Version                           int
	Name, Priority, Keywords          string
	MatchType, Text, QuickReplies     string
	On, Days                          map[string]bool
	Languages, Accounts, Customers    string
	Zone, From, To                    string
	Labels, Cooldown, FromAt, UntilAt string
	Active, Outside                   bool
	Otherwise, IgnoreAccents          bool
	HandOff, Silent, Like             bool
	PrivateReply, Once                bool
	// Base is the rule's conditions, actions and limits as they were when the form was made, as JSON.
	Base string
	// Rich: the reply is more than one text with quick replies; only YAML shows it, and the form leaves it as it is.
	Rich bool
}

// ruleBase is what a form does not show of a rule.
type ruleBase struct {
	Keywords []string     `json:"keywords"`
	Response string       `json:"response"`
	When     rules.When   `json:"when"`
	Then     rules.Then   `json:"then"`
	Limits   rules.Limits `json:"limits"`
}

const formTime = "2006-01-02T15:04"

// rich says whether a reply is more than the form can show.
func rich(t *rules.Then) bool {
	if len(t.Reply) == 0 {
		return false
	}
	first := t.Reply[0]
	plain := first.Part
	plain.Kind, plain.QuickReplies = dm.PartText, nil
	asks := slices.ContainsFunc(first.QuickReplies, func(q dm.QuickReply) bool { return q.Ask != "" || strings.Contains(q.Title, "|") })
	return len(t.Reply) > 1 || rules.KindOf(&first) != dm.PartText || len(first.Variants) > 0 || first.Choose != "" || !plain.Plain() || asks
}

// formOf shows a rule as a form.
func formOf(r *repository.Rule) ruleForm {
	base, _ := json.Marshal(ruleBase{r.Keywords, r.Response, r.When, r.Then, r.Limits}) // texts, numbers and times only
	f := ruleForm{
		Version: r.Version, Name: r.Name, Priority: strconv.Itoa(r.Priority), Keywords: strings.Join(r.Keywords, "\n"), MatchType: string(r.MatchType),
		Text: r.Response, Active: r.Active, Languages: strings.Join(r.When.Languages, " "), Accounts: strings.Join(r.When.Accounts, " "),
		Customers: string(r.When.Customers), Otherwise: r.When.Otherwise, IgnoreAccents: r.When.IgnoreAccents, On: map[string]bool{}, Days: map[string]bool{},
		HandOff: r.Then.HandOff, Silent: r.Then.Silent, Like: r.Then.Like, PrivateReply: r.Then.PrivateReply, Labels: strings.Join(r.Then.Labels, ", "),
		Once: r.Limits.OncePerCustomer, Base: string(base), Rich: rich(&r.Then),
	}
	for _, o := range r.When.On {
		f.On[string(o)] = true
	}
	if h := r.When.Hours; h != nil {
		f.Zone, f.From, f.To, f.Outside = h.Zone, h.From, h.To, h.Outside
		for _, d := range h.Days {
			f.Days[d] = true
		}
	}
	if !f.Rich && len(r.Then.Reply) == 1 {
		f.Text, f.QuickReplies = r.Then.Reply[0].Text, quickLines(r.Then.Reply[0].QuickReplies)
	}
	if r.Limits.Cooldown != 0 {
		f.Cooldown = shortSpan(r.Limits.Cooldown)
	}
	f.FromAt, f.UntilAt = formAt(r.Limits.From), formAt(r.Limits.Until)
	return f
}

// shortSpan writes 24h0m0s as 24h.
func shortSpan(d rules.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func formAt(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(formTime)
}

func quickLines(all []dm.QuickReply) string {
	lines := make([]string, len(all))
	for i, q := range all {
		lines[i] = q.Title
		if q.Payload != "" && q.Payload != q.Title {
			lines[i] += " | " + q.Payload
		}
	}
	return strings.Join(lines, "\n")
}

// readForm takes what was typed.
func readForm(r *http.Request) ruleForm {
	get, on := r.PostFormValue, func(name string) bool { return r.PostFormValue(name) == "1" }
	set := func(name string) map[string]bool {
		out := map[string]bool{}
		for _, v := range r.PostForm[name] {
			out[v] = true
		}
		return out
	}
	version, _ := strconv.Atoi(get("version")) // 0 for a new rule
	return ruleForm{
		Version: max(version, 0), Name: get("name"), Priority: get("priority"), Keywords: unixLines(get("keywords")), MatchType: get("match_type"),
		Text: unixLines(get("response_text")), QuickReplies: unixLines(get("quick_replies")), On: set("when.on"), Days: set("when.hours.days"),
		Languages: get("when.languages"), Accounts: get("when.accounts"), Customers: get("when.customers"), Zone: strings.TrimSpace(get("when.hours.zone")),
		From: get("when.hours.from"), To: get("when.hours.to"), Outside: on("when.hours.outside"), Otherwise: on("when.otherwise"),
		IgnoreAccents: on("when.ignore_accents"), HandOff: on("then.hand_off"), Silent: on("then.silent"), Like: on("then.like"),
		PrivateReply: on("then.private_reply"), Labels: get("then.labels"), Once: on("limits.once_per_customer"), Cooldown: strings.TrimSpace(get("limits.cooldown")),
		FromAt: get("limits.from"), UntilAt: get("limits.until"), Active: on("active"), Base: get("base"), Rich: on("rich"),
	}
}

func unixLines(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }

// rule makes a rule of the form, and says at which field something is wrong.
func (f *ruleForm) rule() (repository.Rule, map[string]string) {
	problems := map[string]string{}
	var base ruleBase
	if f.Base != "" {
		if err := json.Unmarshal([]byte(f.Base), &base); err != nil {
			problems[""] = "The rest of the rule did not arrive whole: load the page again."
		}
	}
	r := repository.Rule{Rule: rules.Rule{
		Name: strings.TrimSpace(f.Name), Keywords: base.Keywords, MatchType: rules.MatchType(f.MatchType), Response: base.Response, Version: f.Version,
		Active: f.Active, When: base.When, Then: base.Then, Limits: base.Limits,
	}}
	if f.Keywords != strings.Join(base.Keywords, "\n") { // a keyword may have a line of its own in it, which only YAML shows
		r.Keywords = slices.DeleteFunc(strings.Split(f.Keywords, "\n"), func(k string) bool { return strings.TrimSpace(k) == "" })
	}
	var err error
	if r.Priority, err = strconv.Atoi(strings.TrimSpace(f.Priority)); f.Priority != "" && (err != nil || r.Priority != int(int32(r.Priority))) { //nolint:gosec // compared with itself
		problems["priority"] = fmt.Sprintf("got %q, expected a whole number", f.Priority)
	}
	f.when(&r.When)
	f.then(&r.Rule)
	f.limits(&r.Limits, problems)
	checkRule(&r, problems)
	return r, problems
}

func (f *ruleForm) when(w *rules.When) {
	w.On, w.Languages, w.Accounts = nil, words(f.Languages), words(f.Accounts)
	for _, o := range occasions {
		if f.On[string(o.Value)] {
			w.On = append(w.On, o.Value)
		}
	}
	w.Customers, w.Otherwise, w.IgnoreAccents = rules.Customers(f.Customers), f.Otherwise, f.IgnoreAccents
	var holidays []string
	if w.Hours != nil {
		holidays = w.Hours.Holidays
	}
	if f.Zone == "" && f.From == "" && f.To == "" && len(f.Days) == 0 && !f.Outside {
		w.Hours = nil
		return
	}
	w.Hours = &rules.Hours{Zone: f.Zone, From: f.From, To: f.To, Outside: f.Outside, Holidays: holidays}
	for _, d := range weekdays {
		if f.Days[d] {
			w.Hours.Days = append(w.Hours.Days, d)
		}
	}
}

func (f *ruleForm) then(r *rules.Rule) {
	t := &r.Then
	t.HandOff, t.Silent, t.Like, t.PrivateReply, t.Labels = f.HandOff, f.Silent, f.Like, f.PrivateReply, listed(f.Labels)
	if rich(t) {
		return
	}
	quick := quickReplies(f.QuickReplies)
	switch {
	case len(t.Reply) == 0 && len(quick) == 0:
		r.Response = f.Text
	case f.Text == "" && len(quick) == 0:
		t.Reply, r.Response = nil, ""
	default:
		r.Response = ""
		t.Reply = []rules.Part{{Part: dm.Part{Kind: dm.PartText, Text: f.Text, QuickReplies: quick}}}
	}
}

func (f *ruleForm) limits(l *rules.Limits, problems map[string]string) {
	l.OncePerCustomer = f.Once
	l.Cooldown = 0
	if f.Cooldown != "" {
		if err := l.Cooldown.UnmarshalText([]byte(f.Cooldown)); err != nil {
			problems["limits.cooldown"] = fmt.Sprintf("got %q, expected a time span such as 90m or 24h", f.Cooldown)
		}
	}
	for _, t := range []struct {
		name, typed string
		to          *time.Time
	}{{"limits.from", f.FromAt, &l.From}, {"limits.until", f.UntilAt, &l.Until}} {
		if t.typed == formAt(*t.to) {
			continue // its seconds and its zone stay
		}
		*t.to = time.Time{}
		if t.typed == "" {
			continue
		}
		at, err := time.Parse(formTime, t.typed)
		if err != nil {
			problems[t.name] = fmt.Sprintf("got %q, expected a date and a time such as 2026-12-24T08:00", t.typed)
			continue
		}
		*t.to = at
	}
}

func quickReplies(lines string) []dm.QuickReply {
	var out []dm.QuickReply
	for line := range strings.Lines(lines) {
		title, payload, _ := strings.Cut(line, "|")
		title, payload = strings.TrimSpace(title), strings.TrimSpace(payload)
		if title == "" && payload == "" {
			continue
		}
		if payload == "" {
			payload = title
		}
		out = append(out, dm.QuickReply{Title: title, Payload: payload})
	}
	return out
}

// words are apart by spaces or commas, listed by commas alone.
func words(s string) []string {
	out := strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ';' || r <= ' ' })
	if len(out) == 0 {
		return nil
	}
	return out
}

func listed(s string) []string {
	var out []string
	for _, one := range strings.Split(s, ",") {
		if one = strings.TrimSpace(one); one != "" {
			out = append(out, one)
		}
	}
	return out
}
