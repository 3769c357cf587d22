package engine

import (
	"context"
	"fmt"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/rules"
	"github.com/parley-dm/parley/pkg/rules/template"
)

// Rules answers by the business's rules.
type Rules struct{}

// Name is its name in traces and metrics.
func (Rules) Name() string { return "rules" }

// Decide asks the set of the turn.
func (Rules) Decide(_ context.Context, t *Turn) (Verdict, error) {
	turn := rules.TurnOf(t.Event, t.First)
	turn.Language, turn.Now, turn.Returning, turn.Labels = t.Language, t.Now, t.Returning, t.Labels
	turn.Intent, turn.Sentiment, turn.History = t.Class.Intent, t.Class.Sentiment, t.Known
	v := t.Rules.Decide(turn)
	out := Verdict{Explain: v.Trace}
	if !v.Matched {
		return out, nil
	}
	r := &v.Rule
	d := &Decision{
		Origin: dm.OriginRule, Rule: *r, MatchedOn: v.Keyword, Reason: "matched", Private: r.Then.PrivateReply, Like: r.Then.Like, HandOff: r.Then.HandOff,
		Silent: r.Then.Silent, Labels: r.Then.Labels, Remember: Remembers(r), Language: v.Language,
	}
	if !d.Silent {
		parts, err := v.Parts(facts(t))
		if err != nil {
			return out, fmt.Errorf("say it: %w", err)
		}
		d.Parts = parts
	}
	out.Decision = d
	return out, nil
}

func facts(t *Turn) template.Facts {
	f := template.Facts{Customer: t.Customer, Account: t.Account, Message: t.Event.Text, Time: t.At.UTC()}
	if t.Zone != nil {
		f.Time = t.At.In(t.Zone)
	}
	return f
}

// Remembers says whether what a rule does depends on what it did before in a conversation.
func Remembers(r *rules.Rule) bool {
	if r.Limits.OncePerCustomer || r.Limits.Cooldown > 0 {
		return true
	}
	for i := range r.Then.Reply {
		if r.Then.Reply[i].Choose == rules.ChooseTurn {
			return true
		}
	}
	for _, parts := range r.Then.ByLanguage {
		for i := range parts {
			if parts[i].Choose == rules.ChooseTurn {
				return true
			}
		}
	}
	return false
}
