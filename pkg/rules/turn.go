package rules

import (
	"time"

	"github.com/parley-dm/parley/pkg/dm"
)

// Turn is what a decision is about. [TurnOf] fills in what the event itself says.
type Turn struct {
	// EventID draws among variants: the same event always draws the same.
	EventID string
	// Account is the id of ours that is written to.
	Account string
	// Occasions are what the event is; without any no rule matches.
	Occasions []Occasion
	// Texts are what keywords are looked for in: what the customer wrote, or the title and the payload of a button.
	Texts []string
	// Payloads are compared with [When.Payloads].
	Payloads []string
	// Language gives the ISO 639-1 code of the message's language, "" where nobody can say. It is asked at most once, and only
	// when it matters; nil is nobody.
	Language func() string
	// Intent and Sentiment are what a classifier said; without one they are empty.
	Intent, Sentiment string
	// Returning: the customer has had a reply before.
	Returning bool
	// Labels are those of the conversation.
	Labels []string
	// Now is when it is decided; what hours, limits and cool-downs are measured by.
	Now time.Time
	// History is what rules did in this conversation before; nil for nothing.
	History History
}

// History is what rules did before in one conversation.
type History interface {
	// Rule says what a rule, by its id, did there. What came of the event that is decided now must not count: a repetition
	// would be decided differently.
	Rule(id string) Past
}

// Past is what one rule did in one conversation.
type Past struct {
	// Last is when it answered last; zero for never.
	Last time.Time
	// Times is how often it answered; variants that take turns are counted by it.
	Times int
}

// Verdict is what the rules say to a turn.
type Verdict struct {
	// Matched: a rule won. Otherwise only Skipped and Language mean something.
	Matched bool
	Rule    Rule
	// Keyword is what it matched on, as the operator wrote it; empty for a rule that its conditions decide.
	Keyword string
	// Words are what of the text matched, Text which of the texts, and From and To its bytes there.
	Words          string
	Text, From, To int
	// Captures are the groups of the expression that matched, by number and by name.
	Captures map[string]string
	// Language is what the message was taken for; empty where it did not matter or is not known.
	Language string
	// Skipped are the rules that would have won but for a condition or a limit, in order. At most 100 are told.
	Skipped []Skip

	set   *Set
	reply *reply
	turn  *Turn
}

// Skip is a rule that was passed over.
type Skip struct {
	Rule Rule
	// Reason is one word, as in dm.TraceRule; Detail says more.
	Reason, Detail string
	Keyword        string
}

// The reasons to pass over a rule.
const (
	SkipOccasion  = "occasion"
	SkipPayload   = "payload"
	SkipAccount   = "account"
	SkipCustomer  = "customer"
	SkipLabel     = "label"
	SkipFrom      = "from"
	SkipUntil     = "until"
	SkipHours     = "hours"
	SkipOnce      = "once"
	SkipCooldown  = "cooldown"
	SkipIntent    = "intent"
	SkipSentiment = "sentiment"
	SkipLanguage  = "language"
)

// Trace writes the verdict into a trace.
func (v *Verdict) Trace(t *dm.Trace) {
	if v.set == nil {
		return
	}
	t.Rules, t.RulesVersion, t.Language = v.set.Len(), v.set.version, v.Language
	t.Intent, t.Sentiment = v.turn.Intent, v.turn.Sentiment
	for _, o := range v.turn.Occasions {
		t.Occasions = append(t.Occasions, string(o))
	}
	for _, s := range v.Skipped {
		t.Try(dm.TraceRule{ID: s.Rule.ID, Name: s.Rule.Name, Version: s.Rule.Version, Skipped: s.Reason, Detail: s.Detail, Keyword: s.Keyword})
	}
	if v.Matched {
		t.Try(dm.TraceRule{
			ID: v.Rule.ID, Name: v.Rule.Name, Version: v.Rule.Version, Won: true, Keyword: v.Keyword, Words: v.Words, From: v.From, To: v.To,
		})
	}
}
