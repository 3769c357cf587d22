package envelope

import (
	"github.com/parley-dm/parley/pkg/dm"
)

func (w *writer) decision(d *dm.Decision) {
	if d == nil {
		return
	}
	w.key("decision")
	w.out = append(w.out, '{')
	w.str("event_id", d.EventID)
	w.str("kind", string(d.Kind))
	w.str("reason", d.Reason)
	w.trace(d.Trace)
	w.out = append(w.out, '}')
}

func (w *writer) labels(l *dm.Labels) {
	if l == nil {
		return
	}
	w.key("labels")
	w.out = append(w.out, '{')
	w.strs("added", l.Added)
	w.strs("removed", l.Removed)
	w.optional("by", l.By)
	w.optional("cause", l.Cause)
	w.time("at", l.At)
	w.out = append(w.out, '}')
}

func (w *writer) trace(t *dm.Trace) {
	if t == nil {
		return
	}
	w.key("trace")
	w.out = append(w.out, '{')
	w.engines(t.Engines)
	w.strs("occasions", t.Occasions)
	w.optionalNumber("rules", int64(t.Rules))
	w.optional("rules_version", t.RulesVersion)
	w.tried(t.Tried)
	w.optionalNumber("more_tried", int64(t.MoreTried))
	w.optional("language", t.Language)
	w.optional("intent", t.Intent)
	w.optional("sentiment", t.Sentiment)
	w.optional("why", t.Why)
	if !t.At.IsZero() {
		w.time("at", t.At)
	}
	w.optionalNumber("micros", t.Micros)
	w.out = append(w.out, '}')
}

func (w *writer) engines(all []dm.TraceEngine) {
	if len(all) == 0 {
		return
	}
	w.key("engines")
	for i := range all {
		w.element(i)
		w.str("name", all[i].Name)
		w.str("outcome", all[i].Outcome)
		w.optional("detail", all[i].Detail)
		w.optionalNumber("micros", all[i].Micros)
		w.out = append(w.out, '}')
	}
	w.out = append(w.out, ']')
}

func (w *writer) tried(all []dm.TraceRule) {
	if len(all) == 0 {
		return
	}
	w.key("tried")
	for i := range all {
		r := &all[i]
		w.element(i)
		w.str("id", r.ID)
		w.optional("name", r.Name)
		w.optionalNumber("version", int64(r.Version))
		if r.Won {
			w.flag("won", true)
		}
		w.optional("skipped", r.Skipped)
		w.optional("detail", r.Detail)
		w.optional("keyword", r.Keyword)
		w.optional("words", r.Words)
		w.optionalNumber("from", int64(r.From))
		w.optionalNumber("to", int64(r.To))
		w.out = append(w.out, '}')
	}
	w.out = append(w.out, ']')
}

// strs writes a list of strings; an empty one is left out.
func (w *writer) strs(name string, all []string) {
	if len(all) == 0 {
		return
	}
	w.key(name)
	for i, s := range all {
		if i == 0 {
			w.out = append(w.out, '[')
		} else {
			w.out = append(w.out, ',')
		}
		w.text(s)
	}
	w.out = append(w.out, ']')
}

func (s *scanner) decision(to **dm.Decision) {
	if *to != nil {
		s.fail() // a second time
	}
	d := &dm.Decision{}
	*to = d
	for more := s.first('{', '}'); more; more = s.more('}') {
		switch string(s.name()) {
		case "event_id":
			d.EventID = s.text()
		case "kind":
			d.Kind = dm.EventKind(s.text())
		case "reason":
			d.Reason = s.text()
		case "trace":
			s.trace(&d.Trace)
		default:
			s.fail()
		}
	}
}

func (s *scanner) labels(to **dm.Labels) {
	if *to != nil {
		s.fail()
	}
	l := &dm.Labels{}
	*to = l
	for more := s.first('{', '}'); more; more = s.more('}') {
		switch string(s.name()) {
		case "added":
			s.texts(&l.Added)
		case "removed":
			s.texts(&l.Removed)
		case "by":
			l.By = s.text()
		case "cause":
			l.Cause = s.text()
		case "at":
			l.At = s.time()
		default:
			s.fail()
		}
	}
}

func (s *scanner) trace(to **dm.Trace) {
	if *to != nil {
		s.fail()
	}
	t := &dm.Trace{}
	*to = t
	for more := s.first('{', '}'); more; more = s.more('}') {
		switch string(s.name()) {
		case "engines":
			s.engines(&t.Engines)
		case "occasions":
			s.texts(&t.Occasions)
		case "rules":
			t.Rules = int(s.number())
		case "rules_version":
			t.RulesVersion = s.text()
		case "tried":
			s.tried(&t.Tried)
		case "more_tried":
			t.MoreTried = int(s.number())
		case "language":
			t.Language = s.text()
		case "intent":
			t.Intent = s.text()
		case "sentiment":
			t.Sentiment = s.text()
		case "why":
			t.Why = s.text()
		case "at":
			t.At = s.time()
		case "micros":
			t.Micros = s.number()
		default:
			s.fail()
		}
	}
}

func (s *scanner) engines(to *[]dm.TraceEngine) {
	if *to != nil {
		s.fail()
	}
	*to = []dm.TraceEngine{}
	for more := s.first('[', ']'); more; more = s.more(']') {
		var e dm.TraceEngine
		for more := s.first('{', '}'); more; more = s.more('}') {
			switch string(s.name()) {
			case "name":
				e.Name = s.text()
			case "outcome":
				e.Outcome = s.text()
			case "detail":
				e.Detail = s.text()
			case "micros":
				e.Micros = s.number()
			default:
				s.fail()
			}
		}
		*to = append(*to, e)
	}
}

func (s *scanner) tried(to *[]dm.TraceRule) {
	if *to != nil {
		s.fail()
	}
	*to = []dm.TraceRule{}
	for more := s.first('[', ']'); more; more = s.more(']') {
		*to = append(*to, dm.TraceRule{})
		s.triedRule(&(*to)[len(*to)-1])
	}
}

func (s *scanner) triedRule(r *dm.TraceRule) {
	for more := s.first('{', '}'); more; more = s.more('}') {
		switch string(s.name()) {
		case "id":
			r.ID = s.text()
		case "name":
			r.Name = s.text()
		case "version":
			r.Version = int(s.number())
		case "won":
			r.Won = s.flag()
		case "skipped":
			r.Skipped = s.text()
		case "detail":
			r.Detail = s.text()
		case "keyword":
			r.Keyword = s.text()
		case "words":
			r.Words = s.text()
		case "from":
			r.From = int(s.number())
		case "to":
			r.To = int(s.number())
		default:
			s.fail()
		}
	}
}

func (s *scanner) texts(to *[]string) {
	if *to != nil {
		s.fail()
	}
	*to = []string{}
	for more := s.first('[', ']'); more; more = s.more(']') {
		*to = append(*to, s.text())
	}
}
