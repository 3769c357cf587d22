package rules

import (
	"strings"

	"github.com/parley-dm/parley/pkg/dm"
)

// occasions are a set of them.
type occasions uint16

// allOccasions are all there are; an occasion's place is its bit.
var allOccasions = []Occasion{
	OnText, OnMedia, OnStoryReply, OnStoryMention, OnQuickReply, OnPostback, OnFirst, OnReferral, OnReaction, OnComment, OnLiveComment,
}

func occasionsOf(all []Occasion) (set occasions, unknown Occasion) {
	for _, o := range all {
		bit := bitOf(o)
		if bit == 0 {
			return 0, o
		}
		set |= bit
	}
	return set, ""
}

func bitOf(o Occasion) occasions {
	for i, known := range allOccasions {
		if o == known {
			return 1 << i
		}
	}
	return 0
}

// messages are the occasions that a rule is asked about which names none, comments those that are answered privately only.
var (
	messages, _ = occasionsOf([]Occasion{OnText, OnMedia, OnStoryReply, OnStoryMention, OnQuickReply, OnPostback})
	comments, _ = occasionsOf([]Occasion{OnComment, OnLiveComment})
)

// Occasions says what an event is to rules; nothing for what no rule can answer. A message may be several: a story reply with a
// text is a text, too.
func Occasions(e *dm.Event, first bool) []Occasion {
	out := kindOccasions(e)
	if first && e.FromCustomer() {
		out = append(out, OnFirst)
	}
	return out
}

func kindOccasions(e *dm.Event) []Occasion {
	switch e.Kind {
	case dm.KindMessage:
		return messageOccasions(e)
	case dm.KindPostback:
		return []Occasion{OnPostback}
	case dm.KindReferral:
		return []Occasion{OnReferral}
	case dm.KindReaction:
		return []Occasion{OnReaction}
	case dm.KindComment:
		return []Occasion{OnComment}
	case dm.KindLiveComment:
		return []Occasion{OnLiveComment}
	default:
		return nil
	}
}

func messageOccasions(e *dm.Event) []Occasion {
	var out []Occasion
	switch {
	case e.MessageType == "story_reply":
		out = append(out, OnStoryReply)
	case e.MessageType == "story_mention":
		out = append(out, OnStoryMention)
	case e.Payload != "":
		out = append(out, OnQuickReply)
	}
	switch {
	case strings.TrimSpace(e.Text) != "":
		out = append(out, OnText)
	case len(out) == 0:
		out = append(out, OnMedia)
	}
	return out
}

// TurnOf fills in what an event says by itself. What the conversation, the customer and the clock say is the caller's to add.
func TurnOf(e *dm.Event, first bool) Turn {
	t := Turn{EventID: e.ID, Account: e.Account, Occasions: Occasions(e, first), Texts: []string{e.Text}}
	for _, p := range []string{e.Payload, e.Ref, e.Reaction, e.Emoji} {
		if p != "" {
			t.Payloads = append(t.Payloads, p)
		}
	}
	if e.Payload != "" {
		t.Texts = append(t.Texts, e.Payload)
	}
	return t
}
