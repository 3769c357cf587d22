package page

import (
	"cmp"
	"fmt"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/services/console/internal/store"
)

// traceData is how one message came about.
type traceData struct {
	store.Talk
	Back  string
	Asked string // the id of the message that was asked for
	Steps []step
	Chart drawing
	JSON  []rawRow
}

// step is one entry of the timeline.
type step struct {
	Tone, Title string
	At          time.Time
	Took        string // since the step before
	Facts       []fact
	Quote       string
	Decided     *dm.Trace
	Rule        *ruleWon
	Attempt     *dm.Attempt
}

type fact struct{ Name, Value string }

// ruleWon is the rule that answered.
type ruleWon struct{ ID, Name, Matched string }

type rawRow struct{ ID, Title, Text string }

// inboxTrace shows the way of one message: webhook, event, decision, intent, attempts, row.
func (p *Pages) inboxTrace(w http.ResponseWriter, r *http.Request) error {
	t, err := p.talk(r)
	if err != nil {
		return err
	}
	id := chi.URLParam(r, "message")
	story, err := p.Store.Story(r.Context(), t, id)
	if err != nil {
		return err
	}
	d := &traceData{Talk: *t, Back: "/inbox/" + t.ID, Asked: id}
	c := newChart()
	if m := story.Heard; m != nil {
		d.heard(m, c, len(story.Replies) == 0 || !byPerson(&story.Replies[0]))
		d.addJSON(story, m, "The customer's message")
	}
	if story.Decision != nil {
		d.silent(story.Decision)
	}
	for i := range story.Replies {
		m := &story.Replies[i]
		d.replied(m, c)
		d.addJSON(story, m, fmt.Sprintf("The reply, message %d of %d", i+1, len(story.Replies)))
	}
	if story.Heard != nil && len(story.Replies) == 0 && story.Decision == nil {
		d.Steps = append(d.Steps, step{Title: "No reply of the bot is known", Tone: "", Facts: []fact{{"why", "None was decided yet, or its record is older than what is kept."}}})
	}
	d.took()
	d.Chart = c.draw()
	return p.show(w, r, "inbox/trace", "Trace", d)
}

func byPerson(m *store.ThreadMessage) bool {
	return m.Meta.Intent != nil && m.Meta.Intent.Origin == dm.OriginOperator
}

func (d *traceData) addJSON(s *store.Story, m *store.ThreadMessage, title string) {
	if row, ok := s.Rows[m.ID]; ok {
		d.JSON = append(d.JSON, rawRow{ID: "row-" + m.ID, Title: title, Text: string(row)})
	}
}

// heard adds the webhook and the event.
func (d *traceData) heard(m *store.ThreadMessage, c *timeChart, charted bool) {
	text := m.Text
	if m.DeletedAt != nil {
		text = "(unsent by the customer)"
	}
	d.Steps = append(d.Steps, step{Title: "The customer wrote", At: m.At, Tone: "accent", Quote: cmp.Or(text, typeName(m.Type)), Facts: facts("Meta's id", m.MID)})
	received := m.Meta.ReceivedAt
	if received.IsZero() {
		return
	}
	d.Steps = append(d.Steps, step{Title: "Webhook accepted, event made", At: received, Tone: "good", Facts: facts(
		"event", m.Meta.EventID, "kind", string(m.Meta.Kind), "came by", string(m.Meta.Source))})
	if charted {
		c.add("Meta → ingress", "wait", m.At, received)
	}
}

// silent adds why there is no reply.
func (d *traceData) silent(h *store.Happening) {
	dec := h.Event.Decision
	d.Steps = append(d.Steps, step{Title: "Decided: no reply", At: h.At, Tone: "warn", Decided: dec.Trace, Facts: facts("why", whySilent(dec.Reason))})
}

// replied adds the decision of a message of ours, its attempts and how it stands.
func (d *traceData) replied(m *store.ThreadMessage, c *timeChart) {
	i, at := m.Meta.Intent, m.CreatedAt
	if i != nil {
		at = i.CreatedAt
	}
	if i != nil && i.Part == 0 {
		d.decided(i, c)
	} else if i == nil && m.Meta.Delivery == nil {
		d.Steps = append(d.Steps, step{Title: "Written outside Parley: heard of by its echo", At: m.At, Tone: "accent", Quote: cmp.Or(m.Text, typeName(m.Type)), Facts: facts("app", m.Meta.AppID)})
	}
	if dl := m.Meta.Delivery; dl != nil {
		for n := range dl.Attempts {
			a := &dl.Attempts[n]
			s := step{Title: fmt.Sprintf("Attempt %d", n+1), At: a.At, Tone: "bad", Attempt: a}
			switch {
			case a.Status/100 == 2:
				s.Tone, s.Title = "good", s.Title+": taken by Meta"
			case a.Status == 0:
				s.Title += ": no answer"
			default:
				s.Title += ": refused"
			}
			d.Steps = append(d.Steps, s)
			if n == 0 {
				c.add("waiting to be sent", "wait", at, a.At)
			}
			c.add(fmt.Sprintf("attempt %d", n+1), map[bool]string{true: "good", false: "bad"}[s.Tone == "good"], a.At, a.At.Add(time.Duration(a.DurationMS)*time.Millisecond))
		}
	}
	words, tone, _ := stateWords(m.Status)
	settled := m.At
	if m.Meta.Delivery != nil {
		settled = m.Meta.Delivery.At
	}
	d.Steps = append(d.Steps, step{Title: "Row: " + words, At: settled, Tone: cmp.Or(tone, map[bool]string{true: "good"}[m.SentAt != nil]), Quote: cmp.Or(m.Text, typeName(m.Type)), Facts: facts(
		"reason", stateReason(m), "Meta's id", m.MID, "row", m.ID)})
}

func (d *traceData) decided(i *store.MessageIntent, c *timeChart) {
	s := step{At: i.CreatedAt, Tone: "good", Decided: i.Trace, Facts: facts("intent", i.ID, "answers event", i.EventID)}
	switch i.Origin {
	case dm.OriginOperator:
		s.Title = "A person wrote this"
	case dm.OriginFallback:
		s.Title, s.Tone = "Decided: the fallback, as no rule matched", "warn"
	case dm.OriginEngine:
		s.Title = "Decided by an engine"
	default:
		s.Title, s.Rule = "Decided: a rule won", &ruleWon{ID: i.RuleID, Name: i.RuleName, Matched: i.MatchedOn}
	}
	d.Steps = append(d.Steps, s)
	if len(d.Steps) > 1 && i.Origin != dm.OriginOperator {
		c.add("deciding", "accent", d.Steps[len(d.Steps)-2].At, i.CreatedAt)
	}
}

// took adds how long after the step before each was.
func (d *traceData) took() {
	for i := 1; i < len(d.Steps); i++ {
		if a, b := d.Steps[i-1].At, d.Steps[i].At; !a.IsZero() && b.After(a) {
			d.Steps[i].Took = "+" + spell(b.Sub(a))
		}
	}
}

// facts pairs names and values, without those that have none.
func facts(pairs ...string) []fact {
	var out []fact
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			out = append(out, fact{pairs[i], pairs[i+1]})
		}
	}
	return out
}

// spell is a duration for people.
func spell(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	default:
		return fmt.Sprintf("%d days", int(d.Hours()/24))
	}
}
