package webhook

import (
	"strings"

	"github.com/parley-dm/parley/pkg/dm"
)

// shape is the key that says what an item is about.
type shape uint8

const (
	shapeNone shape = iota
	shapeMessage
	shapePostback
	shapeEdit
	shapeReaction
	shapeRead
	shapeReferral
	shapeOptin
	shapeControl
	shapeComment
	shapeLiveComment
	shapeMention
)

// item is what finish needs to know of an event besides the event itself.
type item struct {
	shape                                     shape
	sender, recipient                         string
	at                                        stamp
	raw                                       []byte
	standby, self, echo, deleted, unsupported bool
	storyReply, editNumbered, reacted         bool
	// broken: something that is needed has a type that it cannot have.
	broken bool
}

// add begins the next event. The pointers hold until the next call.
func (p *parser) add(i item) (*dm.Event, *item) {
	p.events = append(p.events, dm.Event{})
	p.items = append(p.items, i)
	return &p.events[len(p.events)-1], &p.items[len(p.items)-1]
}

// messaging reads one item of messaging or standby.
func (p *parser) messaging(standby bool) {
	start := p.offset()
	e, i := p.add(item{standby: standby})
	if !p.each(func(name string) { p.member(e, i, name) }) {
		i.broken = true
	}
	i.raw = p.since(start)
}

// member reads one member of an item.
func (p *parser) member(e *dm.Event, i *item, name string) {
	switch name {
	case "sender":
		i.sender = p.party(i)
	case "recipient":
		i.recipient = p.party(i)
	case "timestamp", "time":
		if at := p.time(); at != 0 {
			i.at = at
		}
	case "is_self":
		i.self = p.flag() || i.self
	case "message":
		p.part(i, shapeMessage, func(name string) { p.message(e, i, name) })
	case "postback":
		p.part(i, shapePostback, func(name string) { p.postback(e, i, name) })
	case "message_edit":
		p.part(i, shapeEdit, func(name string) { p.edit(e, i, name) })
	case "reaction":
		p.part(i, shapeReaction, func(name string) { p.reaction(e, i, name) })
	case "read":
		p.part(i, shapeRead, func(name string) {
			if name == "mid" {
				e.MID = p.mid(i)
				return
			}
			p.skip()
		})
	default:
		p.rareMember(e, i, name)
	}
}

// rareMember reads the members that say how a customer comes or whose the thread is.
func (p *parser) rareMember(e *dm.Event, i *item, name string) {
	switch name {
	case "optin":
		p.part(i, shapeOptin, func(name string) {
			if name == "payload" {
				e.Payload = p.optional()
				return
			}
			p.skip()
		})
	case "referral":
		// Beside a message or postback it only says where the customer came from.
		if p.kind() == '{' && i.shape == shapeNone {
			i.shape = shapeReferral
		}
		p.referral(e)
	case "pass_thread_control", "take_thread_control", "request_thread_control":
		e.Control, _, _ = strings.Cut(name, "_")
		p.part(i, shapeControl, func(name string) { p.control(e, name) })
	default:
		p.skip()
	}
}

// part reads the object that gives an item its shape; the first of several does.
func (p *parser) part(i *item, s shape, member func(name string)) {
	switch {
	case p.kind() == 'n':
		p.skip()
	case i.shape != shapeNone && i.shape != shapeReferral:
		p.skip()
	default:
		i.shape = s
		if !p.each(member) {
			i.broken = true
		}
	}
}

// party reads {"id": …} of a sender or recipient.
func (p *parser) party(i *item) (id string) {
	if p.kind() == 'n' {
		p.skip()
		return ""
	}
	ok := true
	object := p.each(func(name string) {
		if name == "id" {
			id, ok = p.str()
			return
		}
		p.skip()
	})
	if !object || !ok || id != "" && !validID(id) {
		i.broken = true
		return ""
	}
	return id
}

// mid reads an id that becomes a key.
func (p *parser) mid(i *item) string {
	mid, ok := p.str()
	if !ok || mid != "" && !validMID(mid) {
		i.broken = true
		return ""
	}
	return mid
}

// text reads what a person wrote.
func (p *parser) text(i *item) string {
	text, ok := p.str()
	if !ok {
		i.broken = true
	}
	return text
}

func (p *parser) message(e *dm.Event, i *item, name string) {
	switch name {
	case "mid":
		e.MID = p.mid(i)
	case "text":
		e.Text = p.text(i)
	case "attachments":
		p.list(func() { p.attachment(e) })
	case "quick_reply":
		p.each(func(name string) {
			if name == "payload" {
				e.Payload = p.optional()
				return
			}
			p.skip()
		})
	case "reply_to":
		p.replyTo(e, i)
	case "referral":
		p.referral(e)
	case "is_echo":
		i.echo = p.flag()
	case "is_self":
		i.self = p.flag() || i.self
	case "is_deleted":
		i.deleted = p.flag()
	case "is_unsupported":
		i.unsupported = p.flag()
	case "app_id":
		e.AppID = p.optional()
	default:
		p.skip()
	}
}

func (p *parser) replyTo(e *dm.Event, i *item) {
	p.each(func(name string) {
		switch name {
		case "mid":
			if mid := p.optional(); validMID(mid) {
				e.ReplyToMID = mid
			}
		case "story":
			i.storyReply = p.each(func(name string) {
				if name == "id" {
					e.StoryID = p.optional()
					return
				}
				p.skip()
			})
		default:
			p.skip()
		}
	})
}

func (p *parser) attachment(e *dm.Event) {
	if len(e.Attachments) == maxAttachments {
		p.skip()
		return
	}
	var a dm.Attachment
	member := func(name string) bool {
		switch name {
		case "url":
			a.URL = p.optional()
		case "title":
			a.Title = p.optional()
		default:
			return false
		}
		return true
	}
	p.each(func(name string) {
		switch {
		case name == "type":
			a.Type = p.optional()
		case name == "payload":
			p.each(func(name string) {
				switch {
				case name == "ig_post_media_id", name == "reel_video_id":
					a.MediaID = p.optional()
				case !member(name):
					p.skip()
				}
			})
		case !member(name): // a fallback has url and title beside its type
			p.skip()
		}
	})
	if a.Type == "" {
		a.Type = "unknown"
	}
	e.Attachments = append(e.Attachments, a)
}

func (p *parser) postback(e *dm.Event, i *item, name string) {
	switch name {
	case "mid":
		e.MID = p.mid(i)
	case "title":
		e.Text = p.text(i)
	case "payload":
		e.Payload = p.optional()
	case "referral":
		p.referral(e)
	case "is_self":
		i.self = p.flag() || i.self
	default:
		p.skip()
	}
}

func (p *parser) edit(e *dm.Event, i *item, name string) {
	switch name {
	case "mid":
		e.MID = p.mid(i)
	case "text":
		e.Text = p.text(i)
	case "num_edit":
		e.Edits, i.editNumbered = p.count()
	default:
		p.skip()
	}
}

func (p *parser) reaction(e *dm.Event, i *item, name string) {
	switch name {
	case "mid":
		e.MID = p.mid(i)
	case "action":
		switch p.optional() {
		case "react":
			i.reacted = true
		case "unreact":
		default:
			i.broken = true
		}
	case "reaction":
		e.Reaction = p.optional()
	case "emoji":
		e.Emoji = p.optional()
	default:
		p.skip()
	}
}

func (p *parser) referral(e *dm.Event) {
	p.each(func(name string) {
		switch name {
		case "ref":
			e.Ref = p.optional()
		case "ad_id":
			e.AdID = p.optional()
		case "product":
			p.each(func(name string) {
				if name == "id" {
					e.ProductID = p.optional()
					return
				}
				p.skip()
			})
		default:
			p.skip()
		}
	})
}

func (p *parser) control(e *dm.Event, name string) {
	switch name {
	case "previous_owner_app_id":
		e.OldOwner = p.optional()
	case "new_owner_app_id", "requested_owner_app_id":
		e.NewOwner = p.optional()
	default:
		p.skip()
	}
}
