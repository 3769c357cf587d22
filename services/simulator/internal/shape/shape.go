// Package shape has every item of Meta's webhooks, as data: what it is called, who does it, and how it is written.
//
// It only writes items. Package play decides what is recorded of them and package webhooks delivers them.
package shape

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/parley-dm/parley/services/simulator/internal/webhooks"
)

// Role says what an item is to the conversation.
type Role string

// The roles.
const (
	// Message is one of the customer's: it is recorded, and judged unless it is Quiet.
	Message Role = "message"
	// Change is done to a message that is there.
	Change Role = "change"
	// Event is something beside the messages: the phone shows a line about it.
	Event Role = "event"
	// Account is a message that the account writes without the API.
	Account Role = "account"
)

// Shape is one kind of item.
type Shape struct {
	Kind  string `json:"kind"`
	Label string `json:"label"`
	Group string `json:"group"`
	Role  Role   `json:"role"`
	// Needs names what must be given: text, payload, target. Takes names what may be.
	Needs []string `json:"needs,omitempty"`
	Takes []string `json:"takes,omitempty"`
	// Quiet: no reply to it is expected.
	Quiet bool `json:"quiet,omitempty"`
	// Field is the subscription that it comes under.
	Field string `json:"field"`

	// note is the line on the phone about an event.
	note  string
	place webhooks.Place
	make  func(in Input) any
}

// Input is what an item tells.
type Input struct {
	Account, Customer, Username string
	// MID is the message's own, Target that of the one it is about.
	MID, Target, ReplyTo string
	Text, URL, Payload   string
	AppID                string
	// ID is a fresh number for a comment or a post.
	ID string
	At time.Time
	// Away: another app owns the thread, so that the item comes as standby.
	Away bool
	// Link makes a link to a file of the simulator's own; empty, or nil, where there is none.
	Link func(kind, id string) string
}

// Find looks a kind up.
func Find(kind string) (Shape, bool) {
	s, ok := byKind[kind]
	return s, ok
}

// All lists the kinds in the order in which the phone offers them.
func All() []Shape { return catalogue }

// Part makes the item.
func (s Shape) Part(in Input) (webhooks.Part, error) {
	item, err := webhooks.Encode(s.make(in))
	if err != nil {
		return webhooks.Part{}, err
	}
	p := webhooks.Part{Account: in.Account, Place: s.place, Item: item}
	switch s.place {
	case webhooks.Messaging:
		if in.Away && s.Role == Message {
			p.Place = webhooks.Standby
		}
	case webhooks.Changes, webhooks.Flat:
		p.Field = s.Field
	default: // standby is standby
	}
	if s.Kind == "dashboard_test" {
		p.Account = "0"
	}
	return p, nil
}

// Note is the line on the phone about an event.
func (s Shape) Note(in Input) string {
	if in.Text != "" && slices.Contains(s.Takes, "text") {
		return s.note + ": “" + in.Text + "”"
	}
	return s.note
}

// Content is what the phone shows of a message beside its text: its attachments, as they were written.
func (s Shape) Content(in Input) json.RawMessage {
	it, ok := s.make(in).(webhooks.Item)
	if !ok || it.Message == nil || it.Message.Attachments == nil {
		return nil
	}
	return object{"attachments": it.Message.Attachments}.encode()
}

type object map[string]any

// encode marshals values that cannot fail to.
func (o object) encode() json.RawMessage {
	b, _ := json.Marshal(o) //nolint:errchkjson // maps and slices of strings always encode
	return b
}

func party(id string) object { return object{"id": id} }

// blank is an item of the customer's with nothing in it.
func blank(in Input) webhooks.Item {
	return webhooks.Item{Sender: webhooks.Party{ID: in.Customer}, Recipient: webhooks.Party{ID: in.Account}, Timestamp: in.At.UnixMilli()}
}

// loose is the same as an object, for what has other fields.
func loose(in Input, name string, value any) object {
	return object{"sender": party(in.Customer), "recipient": party(in.Account), "timestamp": in.At.UnixMilli(), name: value}
}

// said is an item with a message.
func said(fill func(in Input, m *webhooks.Message)) func(in Input) any {
	return func(in Input) any {
		it := blank(in)
		it.Message = &webhooks.Message{MID: in.MID, Text: in.Text}
		if in.ReplyTo != "" {
			it.Message.ReplyTo = object{"mid": in.ReplyTo}.encode()
		}
		if fill != nil {
			fill(in, it.Message)
		}
		return it
	}
}

// attached is a message with one attachment.
func attached(kind string, payload func(in Input) object) func(in Input) any {
	return said(func(in Input, m *webhooks.Message) {
		a := object{"type": kind}
		if payload != nil {
			a["payload"] = payload(in)
		}
		m.Attachments = list(a)
	})
}

func list(attachments ...object) json.RawMessage {
	b, _ := json.Marshal(attachments) //nolint:errchkjson // maps of strings always encode
	return b
}

// linked is the payload of a medium.
func linked(what string) func(in Input) object {
	return func(in Input) object { return object{"url": url(in, what)} }
}

// url stands for a medium where none is given: a file of the simulator's own, or a name that ends in .invalid, which RFC 6761
// keeps from ever resolving.
func url(in Input, what string) string {
	if in.URL != "" {
		return in.URL
	}
	if in.Link != nil {
		if link := in.Link(what, in.ID); link != "" {
			return link
		}
	}
	return "https://lookaside.fbsbx.invalid/ig_messaging_cdn/?asset_id=" + what + "&signature=simulated"
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
