package envelope

import (
	"github.com/parley-dm/parley/pkg/dm"
)

// partBytes is about how long a part becomes: a plain text, as most are, without growing the buffer.
func partBytes(p *dm.Part) int {
	return 64 + len(p.Text) + 128*(len(p.Media)+len(p.QuickReplies)+len(p.Buttons)) + 512*len(p.Elements)
}

func (w *writer) parts(all []dm.Part) {
	if len(all) == 0 {
		w.value(all) // null or []
		return
	}
	for i := range all {
		w.element(i)
		w.part(&all[i])
	}
	w.out = append(w.out, ']')
}

// part writes a part's members and its end.
func (w *writer) part(p *dm.Part) {
	w.str("kind", string(p.Kind))
	w.optional("text", p.Text)
	w.quickReplies(p.QuickReplies)
	w.media(p.Media)
	w.elements(p.Elements)
	w.buttons(p.Buttons)
	w.optional("post_id", p.PostID)
	w.optional("mid", p.MID)
	w.optional("reaction", p.Reaction)
	w.optional("reply_to_mid", p.ReplyToMID)
	w.optional("comment_id", p.CommentID)
	if p.HumanAgent {
		w.flag("human_agent", true)
	}
	w.out = append(w.out, '}')
}

func (w *writer) quickReplies(all []dm.QuickReply) {
	if len(all) == 0 {
		return
	}
	w.key("quick_replies")
	for i := range all {
		w.element(i)
		w.optional("title", all[i].Title)
		w.optional("payload", all[i].Payload)
		w.optional("ask", all[i].Ask)
		w.out = append(w.out, '}')
	}
	w.out = append(w.out, ']')
}

func (w *writer) media(all []dm.Media) {
	if len(all) == 0 {
		return
	}
	w.key("media")
	for i := range all {
		w.element(i)
		w.optional("url", all[i].URL)
		w.optional("attachment_id", all[i].AttachmentID)
		w.out = append(w.out, '}')
	}
	w.out = append(w.out, ']')
}

func (w *writer) elements(all []dm.Element) {
	if len(all) == 0 {
		return
	}
	w.key("elements")
	for i := range all {
		e := &all[i]
		w.element(i)
		w.str("title", e.Title)
		w.optional("subtitle", e.Subtitle)
		w.optional("image_url", e.ImageURL)
		w.optional("url", e.URL)
		w.buttons(e.Buttons)
		w.out = append(w.out, '}')
	}
	w.out = append(w.out, ']')
}

func (w *writer) buttons(all []dm.Button) {
	if len(all) == 0 {
		return
	}
	w.key("buttons")
	for i := range all {
		w.element(i)
		w.str("title", all[i].Title)
		w.optional("url", all[i].URL)
		w.optional("payload", all[i].Payload)
		w.out = append(w.out, '}')
	}
	w.out = append(w.out, ']')
}

func (s *scanner) part(p *dm.Part) {
	for more := s.first('{', '}'); more; more = s.more('}') {
		switch string(s.name()) {
		case "kind":
			p.Kind = dm.PartKind(s.text())
		case "text":
			p.Text = s.text()
		case "quick_replies":
			s.quickReplies(&p.QuickReplies)
		case "media":
			s.media(&p.Media)
		case "elements":
			s.elements(&p.Elements)
		case "buttons":
			s.buttons(&p.Buttons)
		case "post_id":
			p.PostID = s.text()
		case "mid":
			p.MID = s.text()
		case "reaction":
			p.Reaction = s.text()
		case "reply_to_mid":
			p.ReplyToMID = s.text()
		case "comment_id":
			p.CommentID = s.text()
		case "human_agent":
			p.HumanAgent = s.flag()
		default:
			s.fail()
		}
	}
}

func (s *scanner) quickReplies(to *[]dm.QuickReply) {
	if *to != nil {
		s.fail()
	}
	*to = []dm.QuickReply{}
	for more := s.first('[', ']'); more; more = s.more(']') {
		var v dm.QuickReply
		for more := s.first('{', '}'); more; more = s.more('}') {
			switch string(s.name()) {
			case "title":
				v.Title = s.text()
			case "payload":
				v.Payload = s.text()
			case "ask":
				v.Ask = s.text()
			default:
				s.fail()
			}
		}
		*to = append(*to, v)
	}
}

func (s *scanner) media(to *[]dm.Media) {
	if *to != nil {
		s.fail()
	}
	*to = []dm.Media{}
	for more := s.first('[', ']'); more; more = s.more(']') {
		var v dm.Media
		for more := s.first('{', '}'); more; more = s.more('}') {
			switch string(s.name()) {
			case "url":
				v.URL = s.text()
			case "attachment_id":
				v.AttachmentID = s.text()
			default:
				s.fail()
			}
		}
		*to = append(*to, v)
	}
}

func (s *scanner) elements(to *[]dm.Element) {
	if *to != nil {
		s.fail()
	}
	*to = []dm.Element{}
	for more := s.first('[', ']'); more; more = s.more(']') {
		var v dm.Element
		for more := s.first('{', '}'); more; more = s.more('}') {
			switch string(s.name()) {
			case "title":
				v.Title = s.text()
			case "subtitle":
				v.Subtitle = s.text()
			case "image_url":
				v.ImageURL = s.text()
			case "url":
				v.URL = s.text()
			case "buttons":
				s.buttons(&v.Buttons)
			default:
				s.fail()
			}
		}
		*to = append(*to, v)
	}
}

func (s *scanner) buttons(to *[]dm.Button) {
	if *to != nil {
		s.fail()
	}
	*to = []dm.Button{}
	for more := s.first('[', ']'); more; more = s.more(']') {
		var v dm.Button
		for more := s.first('{', '}'); more; more = s.more('}') {
			switch string(s.name()) {
			case "title":
				v.Title = s.text()
			case "url":
				v.URL = s.text()
			case "payload":
				v.Payload = s.text()
			default:
				s.fail()
			}
		}
		*to = append(*to, v)
	}
}
