package narrate

import (
	"cmp"
	"strings"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/services/standalone/internal/explain"
)

// made tells of what happened here: a decision to say nothing, a conversation that changed hands, labels, a name that was looked up.
func (n *Narrator) made(e *dm.Event) {
	if n.again(e.ID) {
		return
	}
	switch {
	case e.Kind == dm.KindEcho:
		return // one that is told again, for the responder alone; what it does of it is told too
	case e.Kind == dm.KindDecision && e.Decision != nil:
		n.line("rule", e.Conversation, "no answer: "+printable(explain.Meaning(e.Decision.Reason)))
	case e.Kind == dm.KindHold && e.Hold != nil:
		n.line("hold", e.Conversation, held(e.Hold))
	case e.Kind == dm.KindLabel && e.Labels != nil:
		n.line("tag", e.Conversation, labels(e.Labels))
	case e.Kind == dm.KindProfile && e.Profile != nil:
		if who := profile(e.Profile); who != "" {
			n.line("who", e.Conversation, "is "+who)
		}
	default:
		n.line("in", e.Conversation, string(e.Kind))
	}
}

// because says why a conversation changed hands.
var because = map[dm.HoldReason]string{
	dm.HoldOperator:      "somebody here said so",
	dm.HoldTakeover:      "the business answered by itself",
	dm.HoldHandOff:       "the bot handed it over",
	dm.HoldLoop:          "too many automatic replies within a minute",
	dm.HoldTooMany:       "Meta takes no more messages to this person for now",
	dm.HoldThreadControl: "the thread was passed or taken",
	dm.HoldStandby:       "another app owns the thread",
	dm.HoldOtherApp:      "another app owns the thread",
	dm.HoldOurs:          "what looked like a takeover was a message of ours",
}

func held(h *dm.Hold) string {
	who := "the bot has the conversation again"
	switch h.Holder {
	case dm.HolderPerson:
		who = "a person has the conversation, the bot is silent"
	case dm.HolderApp:
		who = "another app has the conversation, the bot is silent"
	case dm.HolderBot:
	}
	if h.Holder != dm.HolderBot && !h.Until.IsZero() {
		who += " until " + h.Until.Local().Format("2 Jan 15:04")
	}
	text := who + ": " + cmp.Or(because[h.Reason], string(h.Reason))
	if h.By != "" {
		text += " (" + printable(h.By) + ")"
	}
	return text
}

func labels(l *dm.Labels) string {
	var out []string
	for _, name := range l.Added {
		out = append(out, "+"+quote(name))
	}
	for _, name := range l.Removed {
		out = append(out, "−"+quote(name))
	}
	text := "labels " + strings.Join(out, " ")
	if l.By != "" {
		text += " (" + printable(l.By) + ")"
	}
	return text
}

func profile(p *dm.Profile) string {
	out := printable(p.Name)
	if p.Username != "" {
		out = strings.TrimSpace(out + " @" + printable(p.Username))
	}
	return out
}
