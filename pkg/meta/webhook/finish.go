package webhook

import (
	"bytes"
	"encoding/json"
	"strconv"

	"github.com/parley-dm/parley/pkg/dm"
)

// finish completes the events of an entry, those from first on, now that its account and time are known.
func (p *parser) finish(first int, account string, at stamp) {
	events, items := p.events[first:], p.items
	for n := range items {
		if !travels(items[n].raw) {
			p.finishWithKept(first, account, at)
			return
		}
		p.complete(&events[n], &items[n], account, at)
	}
}

// finishWithKept is finish for entries with items that do not travel as they are and may become several events.
func (p *parser) finishWithKept(first int, account string, at stamp) {
	events := append([]dm.Event(nil), p.events[first:]...)
	p.events = p.events[:first]
	for n := range p.items {
		i := &p.items[n]
		if travels(i.raw) {
			p.complete(&events[n], i, account, at)
			p.events = append(p.events, events[n])
			continue
		}
		p.keep(i.raw, dm.Conversation{Channel: dm.ChannelInstagram, Account: account}, i.time(at).or(p.o.ReceivedAt))
	}
}

// time is the item's own time, else that of its entry: the time of sending, but the only one that a comment has.
func (i *item) time(entry stamp) stamp {
	if i.at != 0 {
		return i.at
	}
	return entry
}

// complete gives an event its conversation, kind, type, time and id. entry.id decides whose event it is, whatever the
// item says of its recipient.
func (p *parser) complete(e *dm.Event, i *item, account string, at stamp) {
	e.Channel, e.Account = dm.ChannelInstagram, account
	e.Raw = i.raw
	e.Time = i.time(at).or(p.o.ReceivedAt)
	e.Standby = i.standby
	// Whatever the account sent itself is an echo, marked so or not: else a missing mark would make it answer itself.
	i.echo = i.echo || i.self || account != "" && i.sender == account
	e.Customer = i.sender
	if i.echo && i.shape != shapeComment && i.shape != shapeLiveComment {
		e.Customer = i.recipient
	}
	e.Kind = kindOf(e, i)
	if e.Kind == dm.KindUnknown {
		// What was read of it may be half of the truth; the raw item is all of it.
		*e = dm.Event{Conversation: e.Conversation, Kind: e.Kind, Time: e.Time, Standby: e.Standby, Raw: e.Raw}
		p.stamp(e, compact(i.raw))
		return
	}
	e.MessageType = messageType(e, i)
	e.Own = e.Own || i.echo && (i.shape == shapeComment || i.shape == shapeLiveComment || i.shape == shapeRead)
	p.stamp(e, identity(e, i)...)
}

// stamp sets an event's id and what every event has alike.
func (p *parser) stamp(e *dm.Event, identity ...string) {
	e.ID = dm.EventID(e.Channel, e.Account, e.Kind, identity...)
	e.ReceivedAt, e.Source = p.o.ReceivedAt, dm.SourceWebhook
	e.KnownAccount = p.o.Known != nil && p.o.Known(e.Channel, e.Account)
}

func kindOf(e *dm.Event, i *item) dm.EventKind {
	if i.broken {
		return dm.KindUnknown
	}
	switch i.shape {
	case shapeMessage, shapePostback:
		return saidKind(e, i)
	case shapeEdit:
		// A message_edit numbered 0 comes beside plain messages and edits nothing.
		if e.Edits == 0 && (i.editNumbered || e.Text == "") {
			return dm.KindEditNoop
		}
		return dm.KindEdit
	case shapeReaction:
		if i.reacted {
			return dm.KindReaction
		}
		return dm.KindUnreaction
	case shapeRead:
		return dm.KindSeen
	case shapeReferral:
		return dm.KindReferral
	case shapeOptin:
		return dm.KindOptin
	case shapeControl:
		return dm.KindThreadControl
	case shapeComment:
		return dm.KindComment
	case shapeLiveComment:
		return dm.KindLiveComment
	case shapeMention:
		return dm.KindMention
	default:
		return dm.KindUnknown
	}
}

// saidKind is the kind of a message or postback. One that belongs to no customer can be neither kept in a conversation nor
// answered.
func saidKind(e *dm.Event, i *item) dm.EventKind {
	switch {
	case i.deleted:
		return dm.KindDelete
	case e.Customer == "":
		return dm.KindUnknown
	case i.self:
		return dm.KindSelf
	case i.echo:
		return dm.KindEcho
	case i.standby:
		return dm.KindStandby
	case i.shape == shapePostback:
		return dm.KindPostback
	default:
		return dm.KindMessage
	}
}

// messageTypes are the types of message for Meta's types of attachment that are not called alike.
var messageTypes = map[string]string{
	"ig_post": "share", "ig_reel": "share", "reel": "share", "post": "share", "ig_story": "story",
}

func messageType(e *dm.Event, i *item) string {
	switch e.Kind {
	case dm.KindMessage, dm.KindEcho, dm.KindSelf, dm.KindStandby, dm.KindPostback:
	default:
		return ""
	}
	switch {
	case i.shape == shapePostback:
		return "postback"
	case i.unsupported:
		return "unsupported"
	case i.storyReply:
		return "story_reply"
	case len(e.Attachments) == 0:
		return "text"
	}
	t := e.Attachments[0].Type
	if alias, ok := messageTypes[t]; ok {
		return alias
	}
	if len(t) > 32 || !validID(t) {
		return "unknown"
	}
	return t
}

// identity tells an event apart from all others of its account and kind, and is the same each time that Meta sends it.
func identity(e *dm.Event, i *item) []string {
	switch {
	case e.CommentID != "" && e.Kind == dm.KindMention:
		return []string{e.MediaID, e.CommentID}
	case e.CommentID != "":
		return []string{e.CommentID} // a boosted post may give one comment twice, under two media
	case e.MID == "":
		return []string{compact(i.raw)}
	}
	switch e.Kind {
	case dm.KindEdit:
		if i.editNumbered {
			return []string{e.MID, strconv.Itoa(e.Edits)}
		}
		return []string{e.MID, e.Text}
	case dm.KindReaction, dm.KindUnreaction:
		// A heart may be set, taken away and set again on one message: three events, told apart by who, when and what.
		return []string{e.MID, i.sender, strconv.FormatInt(int64(i.at), 10), e.Reaction, e.Emoji}
	default:
		return []string{e.MID}
	}
}

// compact is an item without the white space between its tokens.
func compact(raw []byte) string {
	var b bytes.Buffer
	b.Grow(len(raw))
	if err := json.Compact(&b, raw); err != nil {
		return string(raw)
	}
	return b.String()
}

func quote(s string) []byte {
	b, _ := json.Marshal(s) // a string always encodes
	return b
}
