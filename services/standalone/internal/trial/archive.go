package trial

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/repository"
	"github.com/parley-dm/parley/pkg/rules"
	"github.com/parley-dm/parley/pkg/rules/language"
	"github.com/parley-dm/parley/pkg/rules/template"
)

// Messages are those of the archive.
type Messages interface {
	Each(ctx context.Context, s repository.Stretch, f func(repository.Message) error) error
	History(ctx context.Context, q repository.HistoryOf) ([]repository.Message, error)
}

// What may have answered a message beside a rule, or may now.
const (
	ByFallback = "(the fallback)"
	ByEngine   = "(an engine)"
	ByNothing  = "(nothing)"
	ByNoRule   = "(no rule)" // so that the fallback or an engine would
)

// Change is one way in which messages would be answered otherwise.
type Change struct {
	// Before and After are names of rules, or one of the constants. They are equal where the same rule would say other words.
	Before, After string
	Count         int
	// Examples are the first of the messages.
	Examples []Example
}

// Example is one message.
type Example struct {
	Account, MID, ID string
	Text             string
}

// Report is what trying a set on archived messages found.
type Report struct {
	// Messages is how many customers' messages were tried, Customers of how many. Person is how many of them a person answered:
	// they are not compared.
	Messages, Customers, Person int
	// Same is how many would be answered by the same rule with the same words.
	Same    int
	Changes []Change
}

// Different is how many messages would be answered otherwise.
func (r *Report) Different() int {
	n := 0
	for i := range r.Changes {
		n += r.Changes[i].Count
	}
	return n
}

// Options says how to try.
type Options struct {
	Stretch repository.Stretch
	// Examples is how many messages of each change are told.
	Examples int
}

// OnArchive asks the rules about each customer's message of a stretch, in the order of its conversation, and compares with
// what was answered. Limits, labels and first contact are followed as the rules would have had them.
func OnArchive(ctx context.Context, messages Messages, set *rules.Set, o Options) (Report, error) {
	a := &archive{messages: messages, set: set, o: o, changes: map[[2]string]*Change{}}
	stretch := o.Stretch
	stretch.Direction = "" // replies say what was answered
	err := messages.Each(ctx, stretch, func(m repository.Message) error {
		if len(a.page) > 0 && a.page[0].Conversation != m.Conversation {
			if err := a.conversation(ctx); err != nil {
				return err
			}
		}
		a.page = append(a.page, m)
		return nil
	})
	if err == nil {
		err = a.conversation(ctx)
	}
	for _, c := range a.changes {
		a.report.Changes = append(a.report.Changes, *c)
	}
	slices.SortFunc(a.report.Changes, func(a, b Change) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Before, b.Before), cmp.Compare(a.After, b.After))
	})
	return a.report, err
}

type archive struct {
	messages Messages
	set      *rules.Set
	o        Options
	// page is the messages of the conversation that is being read.
	page    []repository.Message
	report  Report
	changes map[[2]string]*Change
}

// past is what the rules did in one conversation while they were tried.
type past map[string]rules.Past

// Rule is what a rule did.
func (p past) Rule(id string) rules.Past { return p[id] }

// conversation tries the messages of one.
func (a *archive) conversation(ctx context.Context) error {
	page := a.page
	a.page = nil
	if len(page) == 0 {
		return nil
	}
	earlier, err := a.messages.History(ctx, repository.HistoryOf{Conversation: page[0].Conversation, Before: &page[0], Limit: 1})
	if err != nil {
		return err
	}
	answers := map[string][]*repository.Message{}
	for i := range page {
		if intent := page[i].Metadata.Intent; intent != nil && intent.EventID != "" {
			answers[intent.EventID] = append(answers[intent.EventID], &page[i])
		}
	}
	first, returning, tried := len(earlier) == 0, len(earlier) > 0, false
	did, labels := past{}, []string{}
	for i := range page {
		m := &page[i]
		event := eventOf(m)
		if m.Direction != repository.Inbound || !event.FromCustomer() {
			continue
		}
		turn := rules.TurnOf(&event, first)
		turn.Now, turn.History, turn.Labels, turn.Returning = m.At, did, labels, returning
		turn.Language = func() string { return language.Detect(event.Text) }
		verdict := a.set.Decide(turn)
		if verdict.Matched {
			p := did[verdict.Rule.ID]
			did[verdict.Rule.ID] = rules.Past{Last: m.At, Times: p.Times + 1}
			labels = append(labels, verdict.Rule.Then.Labels...)
		}
		a.compare(m, answers[m.Metadata.EventID], &verdict)
		first, returning, tried = false, true, true
	}
	if tried {
		a.report.Customers++
	}
	return nil
}

// compare counts what would be different.
func (a *archive) compare(m *repository.Message, answers []*repository.Message, v *rules.Verdict) {
	a.report.Messages++
	before, person := answeredBy(answers)
	if person {
		a.report.Person++
		return
	}
	after := ByNoRule
	if v.Matched {
		after = v.Rule.Name
	}
	switch {
	case before == after && sameWords(answers, v), after == ByNoRule && (before == ByFallback || before == ByEngine || before == ByNothing),
		before == ByNothing && v.Matched && v.Rule.Then.Silent:
		a.report.Same++
		return
	}
	c := a.changes[[2]string{before, after}]
	if c == nil {
		c = &Change{Before: before, After: after}
		a.changes[[2]string{before, after}] = c
	}
	if c.Count++; len(c.Examples) < a.o.Examples {
		c.Examples = append(c.Examples, Example{Account: m.Account, MID: m.MID, ID: m.ID, Text: m.Text})
	}
}

// answeredBy is what answered a message.
func answeredBy(answers []*repository.Message) (by string, person bool) {
	by = ByNothing
	for _, m := range answers {
		switch intent := m.Metadata.Intent; intent.Origin {
		case dm.OriginRule:
			return intent.RuleName, false
		case dm.OriginFallback:
			by = ByFallback
		case dm.OriginEngine:
			by = ByEngine
		case dm.OriginOperator:
			person = true
		}
	}
	return by, person && by == ByNothing
}

// sameWords compares the texts that were said with those that would be. What cannot be compared counts as the same: a text that
// depends on the customer's name, which the archive's messages do not have, and variants that take turns.
func sameWords(answers []*repository.Message, v *rules.Verdict) bool {
	if depends(v.Rule) {
		return true
	}
	parts, err := v.Parts(template.Facts{})
	if err != nil {
		return false
	}
	var would, said []string
	for i := range parts {
		would = append(would, strings.Fields(parts[i].Text)...)
	}
	for _, m := range answers {
		if m.Metadata.Intent.Origin == dm.OriginRule {
			said = append(said, strings.Fields(m.Text)...)
		}
	}
	return slices.Equal(would, said)
}

func depends(r rules.Rule) bool {
	texts := []string{r.Response}
	all := [][]rules.Part{r.Then.Reply}
	for _, parts := range r.Then.ByLanguage {
		all = append(all, parts)
	}
	for _, parts := range all {
		for i := range parts {
			if len(parts[i].Variants) > 0 {
				return true
			}
			texts = append(texts, parts[i].Text)
		}
	}
	return len(r.Then.ByLanguage) > 0 || slices.ContainsFunc(texts, func(s string) bool { return strings.Contains(s, "{{") })
}

// eventOf is the event that a message was, as it was said first.
func eventOf(m *repository.Message) dm.Event {
	meta := &m.Metadata
	text := m.Text
	if meta.FirstText != "" {
		text = meta.FirstText
	}
	return dm.Event{
		ID: meta.EventID, Conversation: m.Conversation, Kind: cmp.Or(meta.Kind, dm.KindMessage), MID: m.MID, Text: text, MessageType: m.Type,
		Attachments: meta.Attachments, Payload: meta.Payload, ReplyToMID: meta.ReplyToMID, StoryID: meta.StoryID, Ref: meta.Ref, AdID: meta.AdID,
		KnownAccount: !meta.UnknownAccount, Time: m.At, ReceivedAt: either(meta.ReceivedAt, m.CreatedAt), Source: meta.Source,
	}
}

func either(a, b time.Time) time.Time {
	if a.IsZero() {
		return b
	}
	return a
}
