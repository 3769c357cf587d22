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
}

// Name is its name in traces and metrics.
func (*Fallback) Name() string { return "fallback" }

// The reasons of the fallback, and of its silence.
const (
	ReasonNoMatch  = "no_match"          // no rule matches the text
	ReasonNoText   = "no_text"           // there is no text that a rule could match
	ReasonCooldown = "fallback_cooldown" // it was said a while ago
)

// Decide always decides.
func (f *Fallback) Decide(_ context.Context, t *Turn) (Verdict, error) {
	reason := ReasonNoMatch
	if strings.TrimSpace(t.Event.Text+t.Event.Payload) == "" {
		reason = ReasonNoText
	}
	silent := func(reason string) (Verdict, error) {
		return Verdict{Decision: &Decision{Origin: dm.OriginFallback, Reason: reason, Silent: true}}, nil
	}
	text, language := f.Text, ""
	if len(f.ByLanguage) > 0 && t.Language != nil {
		language = t.Language()
		if own, ok := f.ByLanguage[language]; ok {
			text = own
		}
	}
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
