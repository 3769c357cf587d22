package page

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/services/console/internal/store"
)

// item is one line of a thread: a message, or something that happened between messages.
type item struct {
	At  time.Time
	Day string // set on the first of a day
	// Said is a message; Event what happened, in words.
	Said  *bubble
	Event string
}

// bubble is a message as it is shown.
type bubble struct {
	ID, Text, TypeName string
	// Who is customer, bot, person or app; By is their name.
	Who, By       string
	At            time.Time
	Media         []medium
	QuickReplies  []string
	Cards         []card
	Buttons       []dm.Button
	Quote, Tapped string
	Story, Shop   string
	Reaction      string
	Edits         []store.MessageEdit
	Deleted       bool
	State         string // a word for people; empty for inbound
	Tone, Icon    string
	Reason        string
	Rule, Words   string
	Trace         string // the address of its trace
	Unanswered    string // why the bot said nothing to it
}

// medium is a picture, a recording, a file.
type medium struct {
	// URL is Meta's link, which ends after days. Kept is a path of ours to the file, if it is kept, and Size how large it is.
	Name, URL, Kept, Size string
	// Shown: the browser may load it from where it is.
	Image, Video, Audio bool
}

// card is one element of a template.
type card struct {
	dm.Element
	Picture string
}

// items puts messages and what happened in the order of their times.
func (p *Pages) items(t *store.Talk, messages []store.ThreadMessage, kept keptMedia, happened []store.Happening) []item {
	texts := map[string]string{}
	for i := range messages {
		texts[messages[i].MID] = messages[i].Text
	}
	silent := map[string]string{}
	var all []item
	for i := range happened {
		h := &happened[i]
		if d := h.Event.Decision; h.Kind == dm.KindDecision {
			if d != nil && h.Event.MID != "" {
				silent[h.Event.MID] = whySilent(d.Reason)
			}
			continue
		}
		if words := happeningWords(h); words != "" {
			all = append(all, item{At: h.At, Event: words})
		}
	}
	for i := range messages {
		b := p.bubble(t, &messages[i], kept)
		if quoted := messages[i].Meta.ReplyToMID; quoted != "" {
			b.Quote = cmp.Or(texts[quoted], "an earlier message")
		}
		if b.Who == "customer" {
			b.Unanswered = silent[messages[i].MID]
		}
		all = append(all, item{At: messages[i].At, Said: b})
	}
	slices.SortStableFunc(all, func(a, b item) int { return a.At.Compare(b.At) })
	day := ""
	for i := range all {
		if d := all[i].At.UTC().Format("Monday, 2 January 2006"); d != day {
			day, all[i].Day = d, d
		}
	}
	return all
}

func (p *Pages) bubble(t *store.Talk, m *store.ThreadMessage, kept keptMedia) *bubble {
	b := &bubble{ID: m.ID, Text: m.Text, At: m.At, Deleted: m.DeletedAt != nil, Trace: "/inbox/" + t.ID + "/trace/" + m.ID}
	b.Who, b.By = speaker(t, m)
	if m.Direction == "outbound" {
		b.State, b.Tone, b.Icon = stateWords(m.Status)
		b.Reason = stateReason(m)
	}
	if i := m.Meta.Intent; i != nil {
		b.Rule, b.Words = i.RuleName, i.MatchedOn
		if i.Origin == dm.OriginFallback {
			b.Rule = "no rule matched: the fallback"
		}
	}
	if b.Deleted {
		return b
	}
	for i, a := range m.Meta.Attachments {
		one := p.medium(a.Type, a.URL, a.Title)
		if k, ok := kept[m.MID][i]; ok {
			one.keep("/inbox/"+t.ID+"/media/"+m.ID+"/"+strconv.Itoa(i), a.Type, &k)
		}
		b.Media = append(b.Media, one)
	}
	part := sentPart(m)
	if part != nil {
		p.addPart(b, part)
	}
	if m.Type == "postback" {
		b.Tapped = cmp.Or(m.Text, m.Meta.Payload)
		b.Text = ""
	}
	switch m.Type {
	case "story_reply":
		b.Story = "in reply to your story"
	case "story_mention":
		b.Story = "mentioned you in their story"
	}
	if m.Meta.ProductID != "" {
		b.Shop = "about product " + m.Meta.ProductID
	}
	if b.Text == "" && len(b.Media) == 0 && len(b.Cards) == 0 && b.Tapped == "" {
		b.TypeName = typeName(m.Type)
	}
	if r := m.Meta.Reaction; r != nil && !r.Removed {
		b.Reaction = cmp.Or(r.Emoji, r.Reaction)
	}
	b.Edits = olderTexts(m)
	return b
}

// olderTexts are what an edited message said before, the first first.
func olderTexts(m *store.ThreadMessage) []store.MessageEdit {
	if len(m.Meta.Edits) == 0 || m.Meta.FirstText == "" {
		return nil
	}
	older := []store.MessageEdit{{Text: m.Meta.FirstText, At: m.CreatedAt}}
	for _, e := range m.Meta.Edits {
		if e.Text != "" && e.Text != m.Text {
			older = append(older, e)
		}
	}
	return older
}

// sentPart is what a message of ours is beyond its text.
func sentPart(m *store.ThreadMessage) *dm.Part {
	switch {
	case m.Meta.Delivery != nil && m.Meta.Delivery.Message != nil:
		return m.Meta.Delivery.Message
	case m.Meta.Intent != nil:
		return m.Meta.Intent.Message
	default:
		return nil
	}
}

func (p *Pages) addPart(b *bubble, part *dm.Part) {
	for _, m := range part.Media {
		b.Media = append(b.Media, p.medium(string(part.Kind), m.URL, ""))
	}
	for _, q := range part.QuickReplies {
		b.QuickReplies = append(b.QuickReplies, cmp.Or(q.Title, map[string]string{"user_email": "their e-mail address", "user_phone_number": "their phone number"}[q.Ask]))
	}
	for _, e := range part.Elements {
		b.Cards = append(b.Cards, card{Element: e, Picture: p.picture(e.ImageURL)})
	}
	b.Buttons = part.Buttons
}

// medium says how an attachment is shown: a link, and the picture itself where its host is one of those that the
// Content-Security-Policy lets a browser load from.
func (p *Pages) medium(kind, address, title string) medium {
	m := medium{Name: cmp.Or(title, typeName(kind)), URL: address}
	if p.picture(address) != "" {
		m.Image, m.Video, m.Audio = kind == "image" || kind == "story_mention", kind == "video", kind == "audio"
	}
	return m
}

// picture is an address that the browser may load a picture from, or nothing.
func (p *Pages) picture(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil {
		return ""
	}
	for _, allowed := range p.o.MediaHosts {
		a, err := url.Parse(allowed)
		if err != nil || a.Scheme != u.Scheme || a.Port() != u.Port() {
			continue
		}
		if host, wild := strings.CutPrefix(a.Hostname(), "*"); wild && strings.HasSuffix(u.Hostname(), host) || !wild && host == u.Hostname() {
			return address
		}
	}
	return ""
}

// speaker tells apart who wrote a message.
func speaker(t *store.Talk, m *store.ThreadMessage) (who, name string) {
	var origin dm.Origin
	switch {
	case m.Direction == "inbound":
		return "customer", t.Name()
	case m.Meta.Intent != nil:
		origin = m.Meta.Intent.Origin
	case m.Meta.Delivery != nil:
		origin = m.Meta.Delivery.Origin
	default:
		return "app", "Written outside Parley"
	}
	if origin == dm.OriginOperator {
		return "person", "A person, in Parley"
	}
	return "bot", "Bot"
}

// stateWords says how a message of ours stands.
func stateWords(status string) (words, tone, icon string) {
	switch status {
	case "queued":
		return "Waiting to be sent", "", "clock"
	case "sent":
		return "Sent", "", "check"
	case "delivered":
		return "Delivered", "", "checks"
	case "read":
		return "Read", "good", "checks"
	case "failed":
		return "Not sent", "bad", "failures"
	case "expired":
		return "Not sent in time", "warn", "clock"
	case "unknown":
		return "Perhaps sent", "warn", "help"
	default:
		return status, "", "help"
	}
}

// stateReason says why a message of ours did not arrive.
func stateReason(m *store.ThreadMessage) string {
	switch m.Status {
	case "failed", "expired", "unknown":
	default:
		return ""
	}
	reason := ""
	if d := m.Meta.Delivery; d != nil {
		reason = d.Reason
		if reason == "" && len(d.Attempts) > 0 {
			reason = d.Attempts[len(d.Attempts)-1].Error
		}
	}
	if m.Status == "unknown" {
		return cmp.Or(reason, "the connection broke") + ". It is not sent again by itself, as it may have arrived; Failures lets you decide."
	}
	return cmp.Or(reason, "Meta refused it.")
}

// whySilent says why the bot said nothing to a message.
func whySilent(reason string) string {
	words := map[string]string{
		"person": "a person has the conversation", "late": "it came too late to be answered", "no_match": "no rule matched, and there is no fallback",
		"burst": "it was answered together with the next", "standby": "another app owns the thread", "off": "replies are off for this account",
		"limit": "too many automatic replies within a minute",
	}
	if w, ok := words[reason]; ok {
		return w
	}
	return strings.ReplaceAll(reason, "_", " ")
}

// happeningWords says what happened between messages.
func happeningWords(h *store.Happening) string {
	e := &h.Event
	switch h.Kind {
	case dm.KindHold:
		switch {
		case e.Hold == nil:
			return ""
		case e.Hold.Holder == dm.HolderBot && e.Hold.By != "":
			return e.Hold.By + " handed it back to the bot"
		case e.Hold.Holder == dm.HolderBot:
			return "The bot has it again"
		case e.Hold.Reason == dm.HoldOperator:
			return holderName(*e.Hold) + " took it over"
		default:
			return holderName(*e.Hold) + " has it: " + holdWhy(e.Hold.Reason)
		}
	case dm.KindLabel:
		if e.Labels == nil {
			return ""
		}
		var words []string
		for _, l := range e.Labels.Added {
			words = append(words, "+ "+l)
		}
		for _, l := range e.Labels.Removed {
			words = append(words, "− "+l)
		}
		return cmp.Or(e.Labels.By, "Somebody") + " labelled it: " + strings.Join(words, ", ")
	case dm.KindReferral:
		return "Came by a link or an ad" + map[bool]string{true: ": " + e.Ref}[e.Ref != ""]
	case dm.KindOptin:
		return "Allowed notification messages"
	case dm.KindThreadControl:
		return "The thread: " + cmp.Or(e.Control, "changed hands")
	default:
		return ""
	}
}
