package envelope

import (
	"github.com/parley-dm/parley/pkg/dm"
)

// scan reads an envelope as [Envelope.Encode] writes it; false for anything else, which is encoding/json's to judge.
func scan[T Data](payload []byte, e *Envelope[T]) bool {
	s := &scanner{in: payload}
	for more := s.first('{', '}'); more; more = s.more('}') {
		switch string(s.name()) {
		case "id":
			e.ID = s.text()
		case "type":
			e.Type = s.text()
		case "version":
			e.Version = int(s.number())
		case "time":
			e.Time = s.time()
		case "account":
			e.Account = s.text()
		case "conversation":
			e.Conversation = s.text()
		case "correlation_id":
			e.CorrelationID = s.text()
		case "causation_id":
			e.CausationID = s.text()
		case "data":
			switch data := any(&e.Data).(type) {
			case *dm.Event:
				s.event(data)
			case *dm.ReplyIntent:
				s.intent(data)
			case *dm.Delivery:
				s.delivery(data)
			}
		default:
			s.fail()
		}
	}
	return s.end()
}

// conversation reads a member of a conversation, which is part of its owner's object; false if the name is none of its.
func (s *scanner) conversation(c *dm.Conversation, name []byte) bool {
	switch string(name) {
	case "channel":
		c.Channel = dm.Channel(s.text())
	case "account":
		c.Account = s.text()
	case "customer":
		c.Customer = s.text()
	default:
		return false
	}
	return true
}

func (s *scanner) event(e *dm.Event) {
	for more := s.first('{', '}'); more; more = s.more('}') {
		switch name := s.name(); string(name) {
		case "id":
			e.ID = s.text()
		case "kind":
			e.Kind = dm.EventKind(s.text())
		case "mid":
			e.MID = s.text()
		case "text":
			e.Text = s.text()
		case "message_type":
			e.MessageType = s.text()
		case "attachments":
			s.attachments(&e.Attachments)
		case "edits":
			e.Edits = int(s.number())
		case "own":
			e.Own = s.flag()
		case "standby":
			e.Standby = s.flag()
		case "known_account":
			e.KnownAccount = s.flag()
		case "time":
			e.Time = s.time()
		case "received_at":
			e.ReceivedAt = s.time()
		case "source":
			e.Source = dm.Source(s.text())
		case "raw":
			e.Raw = s.raw()
		default:
			if !s.conversation(&e.Conversation, name) && !s.ours(e, name) {
				s.eventDetail(e, name)
			}
		}
	}
}

// ours reads a member of an event that Parley made; false if the name is none of those.
func (s *scanner) ours(e *dm.Event, name []byte) bool {
	switch string(name) {
	case "hold":
		s.hold(&e.Hold)
	case "decision":
		s.decision(&e.Decision)
	case "labels":
		s.labels(&e.Labels)
	case "profile":
		s.profile(&e.Profile)
	default:
		return false
	}
	return true
}

// eventDetail reads a member that few events have.
func (s *scanner) eventDetail(e *dm.Event, name []byte) {
	var to *string
	switch string(name) {
	case "payload":
		to = &e.Payload
	case "reply_to_mid":
		to = &e.ReplyToMID
	case "story_id":
		to = &e.StoryID
	case "reaction":
		to = &e.Reaction
	case "emoji":
		to = &e.Emoji
	case "ref":
		to = &e.Ref
	case "ad_id":
		to = &e.AdID
	case "product_id":
		to = &e.ProductID
	case "app_id":
		to = &e.AppID
	case "control":
		to = &e.Control
	case "old_owner_app_id":
		to = &e.OldOwner
	case "new_owner_app_id":
		to = &e.NewOwner
	case "comment_id":
		to = &e.CommentID
	case "parent_id":
		to = &e.ParentID
	case "media_id":
		to = &e.MediaID
	case "username":
		to = &e.Username
	default:
		s.fail()
		return
	}
	*to = s.text()
}

func (s *scanner) hold(to **dm.Hold) {
	if *to != nil {
		s.fail() // a second time
	}
	h := &dm.Hold{}
	*to = h
	for more := s.first('{', '}'); more; more = s.more('}') {
		switch string(s.name()) {
		case "holder":
			h.Holder = dm.Holder(s.text())
		case "reason":
			h.Reason = dm.HoldReason(s.text())
		case "by":
			h.By = s.text()
		case "at":
			h.At = s.time()
		case "until":
			h.Until = s.time()
		case "mid":
			h.MID = s.text()
		case "cause":
			h.Cause = s.text()
		default:
			s.fail()
		}
	}
}

func (s *scanner) profile(to **dm.Profile) {
	if *to != nil {
		s.fail() // a second time
	}
	p := &dm.Profile{}
	*to = p
	for more := s.first('{', '}'); more; more = s.more('}') {
		switch string(s.name()) {
		case "name":
			p.Name = s.text()
		case "username":
			p.Username = s.text()
		case "picture_url":
			p.PictureURL = s.text()
		case "no_consent":
			p.NoConsent = s.flag()
		case "fetched_at":
			p.FetchedAt = s.time()
		default:
			s.fail()
		}
	}
}

func (s *scanner) attachments(to *[]dm.Attachment) {
	if *to != nil {
		s.fail() // a second time: encoding/json knows what that means
	}
	*to = []dm.Attachment{}
	for more := s.first('[', ']'); more; more = s.more(']') {
		var a dm.Attachment
		for more := s.first('{', '}'); more; more = s.more('}') {
			switch string(s.name()) {
			case "type":
				a.Type = s.text()
			case "url":
				a.URL = s.text()
			case "title":
				a.Title = s.text()
			case "media_id":
				a.MediaID = s.text()
			default:
				s.fail()
			}
		}
		*to = append(*to, a)
	}
}

func (s *scanner) intent(i *dm.ReplyIntent) {
	for more := s.first('{', '}'); more; more = s.more('}') {
		switch name := s.name(); string(name) {
		case "id":
			i.ID = s.text()
		case "event_id":
			i.EventID = s.text()
		case "step":
			i.Step = int(s.number())
		case "origin":
			i.Origin = dm.Origin(s.text())
		case "rule_id":
			i.RuleID = s.text()
		case "rule_name":
			i.RuleName = s.text()
		case "matched_on":
			i.MatchedOn = s.text()
		case "parts":
			if i.Parts != nil {
				s.fail()
			}
			i.Parts = []dm.Part{}
			for more := s.first('[', ']'); more; more = s.more(']') {
				i.Parts = append(i.Parts, dm.Part{})
				s.part(&i.Parts[len(i.Parts)-1])
			}
		case "event_time":
			i.EventTime = s.time()
		case "received_at":
			i.ReceivedAt = s.time()
		case "created_at":
			i.CreatedAt = s.time()
		case "expires":
			i.Expires = s.time()
		case "trace":
			s.trace(&i.Trace)
		default:
			if !s.conversation(&i.Conversation, name) {
				s.fail()
			}
		}
	}
}

func (s *scanner) delivery(d *dm.Delivery) {
	for more := s.first('{', '}'); more; more = s.more('}') {
		switch name := s.name(); string(name) {
		case "id":
			d.ID = s.text()
		case "intent_id":
			d.IntentID = s.text()
		case "part":
			d.Part = int(s.number())
		case "of":
			d.Of = int(s.number())
		case "outcome":
			d.Outcome = dm.Outcome(s.text())
		case "mid":
			d.MID = s.text()
		case "origin":
			d.Origin = dm.Origin(s.text())
		case "message":
			s.part(&d.Message)
		case "attempts":
			s.attempts(&d.Attempts)
		case "reason":
			d.Reason = s.text()
		case "stop":
			d.Stop = dm.Stop(s.text())
		case "sent_at":
			d.SentAt = s.time()
		case "received_at":
			d.ReceivedAt = s.time()
		default:
			if !s.conversation(&d.Conversation, name) {
				s.fail()
			}
		}
	}
}

func (s *scanner) attempts(to *[]dm.Attempt) {
	if *to != nil {
		s.fail()
	}
	*to = []dm.Attempt{}
	for more := s.first('[', ']'); more; more = s.more(']') {
		var a dm.Attempt
		for more := s.first('{', '}'); more; more = s.more('}') {
			switch string(s.name()) {
			case "at":
				a.At = s.time()
			case "duration_ms":
				a.DurationMS = s.number()
			case "status":
				a.Status = int(s.number())
			case "code":
				a.Code = int(s.number())
			case "subcode":
				a.Subcode = int(s.number())
			case "error":
				a.Error = s.text()
			case "fbtrace_id":
				a.TraceID = s.text()
			default:
				s.fail()
			}
		}
		*to = append(*to, a)
	}
}
