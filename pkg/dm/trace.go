package dm

import (
	"time"
	"unicode/utf8"
)

// The bounds of a trace: it travels with each reply and is kept with each message.
const (
	maxTraceSteps   = 24
	maxTraceEngines = 8
	maxTraceWords   = 160 // bytes of a name, a keyword or matched words
)

// Trace says how a decision came about: who was asked, which rules were tried, what matched on which words and what was passed
// over. Of the message's text it holds nothing but the words that matched.
type Trace struct {
	// Engines are those that were asked, in order; the last one decided.
	Engines []TraceEngine `json:"engines,omitempty"`
	// Occasions are what the event was taken for, as rules name them.
	Occasions []string `json:"occasions,omitempty"`
	// Rules is how many rules there were; RulesVersion names the set: equal sets have equal names.
	Rules        int    `json:"rules,omitempty"`
	RulesVersion string `json:"rules_version,omitempty"`
	// Tried are the rules whose keywords matched, in the order in which they are asked; the one that won is the last. MoreTried
	// counts those for which there was no room.
	Tried     []TraceRule `json:"tried,omitempty"`
	MoreTried int         `json:"more_tried,omitempty"`
	// Language is what the message was taken to be written in (ISO 639-1); empty where nobody asked or nobody knew.
	Language  string `json:"language,omitempty"`
	Intent    string `json:"intent,omitempty"`
	Sentiment string `json:"sentiment,omitempty"`
	// Why says in a word why there is no reply, or why the fallback was said.
	Why string `json:"why,omitempty"`
	// At is when it was decided, Micros how long that took.
	At     time.Time `json:"at,omitzero"`
	Micros int64     `json:"micros,omitempty"`
}

// TraceEngine is one engine that was asked.
type TraceEngine struct {
	Name string `json:"name"`
	// Outcome is a word: decided, passed, failed, timeout.
	Outcome string `json:"outcome"`
	Detail  string `json:"detail,omitempty"`
	Micros  int64  `json:"micros,omitempty"`
}

// TraceRule is one rule that was tried.
type TraceRule struct {
	ID      string `json:"id"`
	Name    string `json:"name,omitempty"`
	Version int    `json:"version,omitempty"`
	// Won, or what it was passed over for: occasion, account, customer, label, from, until, hours, once, cooldown, intent,
	// sentiment, language, payload.
	Won     bool   `json:"won,omitempty"`
	Skipped string `json:"skipped,omitempty"`
	// Detail says more, such as until when a cool-down lasts.
	Detail string `json:"detail,omitempty"`
	// Keyword is what matched, as the operator wrote it; Words the words of the message that it matched on, which are its bytes
	// From to To.
	Keyword string `json:"keyword,omitempty"`
	Words   string `json:"words,omitempty"`
	From    int    `json:"from,omitempty"`
	To      int    `json:"to,omitempty"`
}

// Try adds a rule that was tried. Of too many the first ones stay, and the one that won.
func (t *Trace) Try(r TraceRule) {
	r.Name, r.Keyword, r.Words, r.Detail = short(r.Name), short(r.Keyword), short(r.Words), short(r.Detail)
	if len(t.Tried) < maxTraceSteps {
		t.Tried = append(t.Tried, r)
		return
	}
	t.MoreTried++
	if r.Won {
		t.Tried[maxTraceSteps-1] = r
	}
}

// Ask adds an engine that was asked.
func (t *Trace) Ask(e TraceEngine) {
	if len(t.Engines) < maxTraceEngines {
		e.Name, e.Detail = short(e.Name), short(e.Detail)
		t.Engines = append(t.Engines, e)
	}
}

// Compact leaves out of the trace of a reply what its intent says itself: the name of the rule that won and its keyword.
func (t *Trace) Compact(i *ReplyIntent) {
	for n := range t.Tried {
		if r := &t.Tried[n]; r.Won && r.ID == i.RuleID {
			r.Name, r.Keyword = "", ""
		}
	}
}

// Expand puts back what [Trace.Compact] left out.
func (t *Trace) Expand(ruleID, ruleName, matchedOn string) {
	for n := range t.Tried {
		if r := &t.Tried[n]; r.Won && r.ID == ruleID {
			r.Name, r.Keyword = short(ruleName), short(matchedOn)
		}
	}
}

// short cuts between two runes.
func short(s string) string {
	if len(s) <= maxTraceWords {
		return s
	}
	n := maxTraceWords - len("…")
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
