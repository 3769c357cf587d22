package engine

import (
	"context"
	"strings"
	"time"

	"github.com/parley-dm/parley/pkg/dm"
)

// Fallback says that somebody will answer, when nobody else does.
type Fallback struct {
	// Text is what is said; blank is silence. ByLanguage is what is said instead to messages in a language (ISO 639-1).
	Text       string
	ByLanguage map[string]string
	// Cooldown is how long it is not said again in a conversation; 0 for no bound.
	Cooldown time.Duration
	// HandOffAfter hands the conversation to a person at the so-manieth message in a row that comes here; 0 never. HandOffText is said
	// then, blank says nothing, and HandOffByLanguage instead to messages in a language.
	HandOffAfter      int
	HandOffText       string
	HandOffByLanguage map[string]string
}

// Name is its name in traces and metrics.
func (*Fallback) Name() string { return "fallback" }

// The reasons of the fallback, and of its silence.
const (
	ReasonNoMatch  = "no_match"          // no rule matches the text
	ReasonNoText   = "no_text"           // there is no text that a rule could match
	ReasonCooldown = "fallback_cooldown" // it was said a while ago

	ReasonFallbacks = "fallbacks_in_a_row" // so many messages in a row that a person gets the conversation
)

// Decide always decides.
func (f *Fallback) Decide(_ context.Context, t *Turn) (Verdict, error) {
	reason := ReasonNoMatch
	if strings.TrimSpace(t.Event.Text+t.Event.Payload) == "" {
		reason = ReasonNoText
	}
	if f.HandOffAfter > 0 && t.Known.MissedBefore(t.Now)+1 >= f.HandOffAfter {
		return f.handOff(t), nil
	}
	silent := func(reason string) (Verdict, error) {
		return Verdict{Decision: &Decision{Origin: dm.OriginFallback, Reason: reason, Silent: true}}, nil
	}
	text, language := in(t, f.Text, f.ByLanguage)
	if strings.TrimSpace(text) == "" {
		return silent(reason)
	}
	if f.Cooldown > 0 {
		if last := t.Known.Facts().LastFallback; !last.IsZero() && t.Now.Before(last.Add(f.Cooldown)) {
			return silent(ReasonCooldown)
		}
	}
	return Verdict{Decision: &Decision{
		Origin: dm.OriginFallback, Reason: reason, Language: language, Parts: []dm.Part{{Kind: dm.PartText, Text: text}},
	}}, nil
}

// handOff gives the conversation to a person, and says so.
func (f *Fallback) handOff(t *Turn) Verdict {
	text, language := in(t, f.HandOffText, f.HandOffByLanguage)
	d := &Decision{Origin: dm.OriginFallback, Reason: ReasonFallbacks, Language: language, HandOff: true}
	if strings.TrimSpace(text) != "" {
		d.Parts = []dm.Part{{Kind: dm.PartText, Text: text}}
	}
	return Verdict{Decision: d}
}

// in is a text in the message's language, where there is one, and the language if it was asked for.
func in(t *Turn, text string, byLanguage map[string]string) (said, language string) {
	if len(byLanguage) == 0 || t.Language == nil {
		return text, ""
	}
	language = t.Language()
	if own, ok := byLanguage[language]; ok {
		text = own
	}
	return text, language
}
