// Package engine is who may answer: the rules, an engine behind HTTP, the fallback, each behind the one interface [Engine], and the
// [Chain] that asks them one after another.
//
// An engine decides and does nothing: it sends nothing, keeps nothing, and is not asked at all where nothing is to be answered.
// One that fails, hangs, panics or answers rubbish is passed over, so that the next one answers in time.
package engine

import (
	"context"
	"time"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/rules"
	"github.com/parley-dm/parley/pkg/rules/template"
	"github.com/parley-dm/parley/services/responder/internal/state"
)

// Turn is what a decision is about. Engines read it only, and may do so when nobody waits for them any more.
type Turn struct {
	// Event is what is answered. Of several messages that are answered as one it is the last, with the texts of all.
	Event *dm.Event
	// At is when the customer wrote, Now when it is decided.
	At, Now time.Time
	// Rules is the set in use.
	Rules *rules.Set
	// First: the customer has never written before; Returning: they have had a reply before. Both are false where nobody knows.
	First, Returning bool
	// Known is what is remembered of the conversation.
	Known state.View
	// Labels are the conversation's.
	Labels []string
	// Language gives the message's language (ISO 639-1), "" where nobody can say; nil is nobody.
	Language func() string
	Class    Class
	Customer template.Customer
	Account  template.Account
	// Zone is the business's time zone; UTC if nil.
	Zone *time.Location
	// History gives what was said before, the oldest first; nil where nobody keeps it.
	History func(ctx context.Context) ([]Said, error)
}

// Class is what a classifier says of a message.
type Class struct{ Intent, Sentiment string }

// Classifier says what a message wants and in what mood. There is none yet; without one, rules that ask for it do not match.
type Classifier interface {
	Classify(ctx context.Context, t *Turn) (Class, error)
}

// Said is one message of the conversation.
type Said struct {
	// From is customer or business.
	From string    `json:"from"`
	At   time.Time `json:"at"`
	MID  string    `json:"mid,omitempty"`
	Type string    `json:"type,omitempty"`
	Text string    `json:"text,omitempty"`
}

// The values of Said.From.
const (
	FromCustomer = "customer"
	FromBusiness = "business"
)

// Decision is what is done about a turn.
type Decision struct {
	Origin dm.Origin
	// Rule is the rule that won, for OriginRule, and MatchedOn its keyword.
	Rule      rules.Rule
	MatchedOn string
	// Reason says in a word why.
	Reason string
	Parts  []dm.Part
	// Private: Parts are the private reply to a comment. Like: a heart is set on the message. HandOff: a person gets the
	// conversation, after what is said. Silent: nothing is said, by nobody.
	Private, Like, HandOff, Silent bool
	Labels                         []string
	// Remember: what the rule does next time depends on its having answered.
	Remember bool
	// Language is what the message was taken for, where somebody asked.
	Language string
}

// Verdict is what an engine says: a decision, or nothing, and then the next one is asked.
type Verdict struct {
	Decision *Decision
	// Detail is for the trace; Explain may add more to it, and may be nil.
	Detail  string
	Explain func(*dm.Trace)
}

// Engine decides what is answered. It is safe for concurrent use.
type Engine interface {
	Name() string
	Decide(ctx context.Context, t *Turn) (Verdict, error)
}
