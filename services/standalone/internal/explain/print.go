package explain

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/repository"
)

// Print writes an explanation for people. Texts are printed as far as the explanation has them; see [Explanation.Withhold].
func (x *Explanation) Print(w io.Writer) error {
	p := printer{w: w}
	p.message(&x.Message)
	if x.Message.Direction == repository.Outbound {
		p.answers(x)
	}
	p.decision(x)
	if x.Message.Direction == repository.Outbound {
		p.delivery(&x.Message)
	}
	for i := range x.Replies {
		p.reply(&x.Replies[i], i, len(x.Replies))
	}
	return p.err
}

type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

// field prints one fact; what is not known is left out.
func (p *printer) field(name, value string) {
	if value != "" {
		p.line("  %-10s %s", name, value)
	}
}

func at(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05.000 MST")
}

func (p *printer) message(m *repository.Message) {
	p.line("message")
	p.field("mid", cmp.Or(m.MID, "none yet"))
	p.field("id", m.ID)
	who := "customer " + m.Customer + " to account " + m.Account
	if m.Direction == repository.Outbound {
		who = "account " + m.Account + " to customer " + m.Customer
	}
	p.field("from", who+", "+string(m.Channel))
	p.field("at", at(m.At))
	p.field("what", m.Type+", "+m.Status)
	p.field("text", quoted(m.Text))
	p.field("payload", quoted(m.Metadata.Payload))
	if n := len(m.Metadata.Edits); n > 0 {
		p.field("edits", fmt.Sprintf("%d, first it was %s", n, quoted(m.Metadata.FirstText)))
	}
	p.field("unsent", at(m.DeletedAt))
}

func quoted(s string) string {
	if s == "" {
		return ""
	}
	return fmt.Sprintf("%q", s)
}

func (p *printer) answers(x *Explanation) {
	switch {
	case x.Answers != nil:
		p.line("answers")
		p.field("mid", cmp.Or(x.Answers.MID, "none"))
		p.field("id", x.Answers.ID)
		p.field("at", at(x.Answers.At))
		p.field("what", x.Answers.Type)
		p.field("text", quoted(x.Answers.Text))
	case x.Event != nil:
		p.line("answers")
		p.field("event", x.Event.ID)
		p.field("at", at(x.Event.At))
		p.field("what", string(x.Event.Kind))
	case x.Message.Metadata.Intent == nil:
		p.line("answers nothing that is known: it was not sent by Parley%s", byApp(x.Message.Metadata.AppID))
	case x.Message.Metadata.Intent.EventID == "":
		p.line("answers nothing: it was written without being asked")
	default:
		p.line("answers event %s, which the archive does not have", x.Message.Metadata.Intent.EventID)
	}
}

func byApp(app string) string {
	if app == "" {
		return ""
	}
	return ", but by app " + app
}

func (p *printer) decision(x *Explanation) {
	d := x.Decision
	if d == nil {
		if x.Message.Direction == repository.Inbound {
			p.line("decision\n  the archive has none: it was not decided yet, or before decisions were kept, or nothing is answered to such a message")
		}
		return
	}
	p.line("decision")
	p.line("  %s", d.said())
	p.field("reason", worded(d.Reason))
	t := d.Trace
	if t == nil {
		return
	}
	if t.Why != d.Reason {
		p.field("why", worded(t.Why))
	}
	p.field("at", at(t.At))
	if t.Micros > 0 {
		p.field("took", (time.Duration(t.Micros) * time.Microsecond).String())
	}
	p.field("occasion", strings.Join(t.Occasions, ", "))
	p.field("language", t.Language)
	p.field("intent", t.Intent)
	p.field("sentiment", t.Sentiment)
	if t.Rules > 0 || t.RulesVersion != "" {
		p.field("rules", strings.TrimSpace(fmt.Sprintf("%d %s", t.Rules, version(t.RulesVersion))))
	}
	for _, e := range t.Engines {
		p.field("asked", e.Name+": "+e.Outcome+detail(e.Detail))
	}
	for _, r := range t.Tried {
		p.field("tried", tried(r))
	}
	if t.MoreTried > 0 {
		p.field("tried", fmt.Sprintf("and %d more", t.MoreTried))
	}
}

func version(s string) string {
	if s == "" {
		return ""
	}
	return "(set " + s + ")"
}

func detail(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}

// said is the decision in a sentence.
func (d *Decision) said() string {
	switch d.Origin {
	case dm.OriginRule:
		s := fmt.Sprintf("answered by rule %q (%s)", d.RuleName, d.RuleID)
		if d.MatchedOn != "" {
			s += fmt.Sprintf(", which matched on %q", d.MatchedOn)
		}
		return s
	case dm.OriginFallback:
		return "answered with the fallback"
	case dm.OriginEngine:
		return "answered by an engine"
	case dm.OriginOperator:
		return "written by a person"
	default:
		return "not answered"
	}
}

// tried is one rule that was tried.
func tried(r dm.TraceRule) string {
	s := fmt.Sprintf("%q", cmp.Or(r.Name, r.ID))
	if r.Version > 0 {
		s += fmt.Sprintf(" version %d", r.Version)
	}
	switch {
	case r.Won:
		s += ": won"
	case r.Skipped != "":
		s += ": passed over for its " + r.Skipped
	}
	if r.Keyword != "" {
		s += fmt.Sprintf(", keyword %q", r.Keyword)
	}
	if r.Words != "" {
		s += fmt.Sprintf(" on %q", r.Words)
	}
	return s + detail(r.Detail)
}

func (p *printer) reply(m *repository.Message, n, of int) {
	p.line("reply %d of %d", n+1, of)
	p.field("mid", cmp.Or(m.MID, "none yet"))
	p.field("id", m.ID)
	p.field("what", m.Type+", "+m.Status)
	p.field("text", quoted(m.Text))
	if i := m.Metadata.Intent; i != nil && i.Origin == dm.OriginOperator {
		p.field("by", "a person")
	}
	p.outcome(m)
}

func (p *printer) delivery(m *repository.Message) {
	if m.Metadata.Intent == nil && m.Metadata.Delivery == nil {
		return
	}
	p.line("delivery")
	p.outcome(m)
}

// outcome prints what came of sending a message.
func (p *printer) outcome(m *repository.Message) {
	d := m.Metadata.Delivery
	if d == nil {
		p.field("outcome", "not known yet")
		return
	}
	p.field("outcome", string(d.Outcome)+" at "+at(d.At))
	p.field("reason", d.Reason)
	p.field("stop", string(d.Stop))
	for i, a := range d.Attempts {
		p.field(fmt.Sprintf("attempt %d", i+1), attempt(a))
	}
}

func attempt(a dm.Attempt) string {
	s := fmt.Sprintf("%s, %d ms, ", at(a.At), a.DurationMS)
	if a.Status == 0 {
		s += "no answer"
	} else {
		s += fmt.Sprintf("HTTP %d", a.Status)
	}
	if a.Code != 0 {
		s += fmt.Sprintf(", code %d", a.Code)
		if a.Subcode != 0 {
			s += fmt.Sprintf("/%d", a.Subcode)
		}
	}
	if a.Error != "" {
		s += ": " + a.Error
	}
	return s
}
