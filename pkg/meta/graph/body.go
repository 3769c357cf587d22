package graph

import (
	"encoding/json"
	"fmt"

	"github.com/parley-dm/parley/pkg/dm"
)

// textBody is the Send API's body for a plain text, as nearly all messages are. RESPONSE says that it answers a message of
// the customer within the messaging window.
type textBody struct {
	Recipient struct {
		ID string `json:"id"`
	} `json:"recipient"`
	MessagingType string `json:"messaging_type"`
	Message       struct {
		Text string `json:"text"`
	} `json:"message"`
}

// body is the Send API's body for everything else. Both logins take the same.
type body struct {
	Recipient     recipient      `json:"recipient"`
	MessagingType string         `json:"messaging_type,omitempty"`
	Tag           string         `json:"tag,omitempty"`
	SenderAction  string         `json:"sender_action,omitempty"`
	Payload       *actionPayload `json:"payload,omitempty"`
	Message       *messageBody   `json:"message,omitempty"`
	ReplyTo       *replyTo       `json:"reply_to,omitempty"`
}

type recipient struct {
	ID        string `json:"id,omitempty"`
	CommentID string `json:"comment_id,omitempty"`
}

type actionPayload struct {
	MessageID string `json:"message_id"`
	Reaction  string `json:"reaction,omitempty"`
}

type replyTo struct {
	MID string `json:"mid"`
}

type messageBody struct {
	Text         string       `json:"text,omitempty"`
	Attachment   *attachment  `json:"attachment,omitempty"`
	Attachments  []attachment `json:"attachments,omitempty"`
	QuickReplies []quickReply `json:"quick_replies,omitempty"`
}

type quickReply struct {
	ContentType string `json:"content_type"`
	Title       string `json:"title,omitempty"`
	Payload     string `json:"payload,omitempty"`
}

type attachment struct {
	Type    string   `json:"type"`
	Payload *payload `json:"payload,omitempty"`
}

type payload struct {
	URL          string    `json:"url,omitempty"`
	AttachmentID string    `json:"attachment_id,omitempty"`
	ID           string    `json:"id,omitempty"`
	TemplateType string    `json:"template_type,omitempty"`
	Text         string    `json:"text,omitempty"`
	Elements     []element `json:"elements,omitempty"`
	Buttons      []button  `json:"buttons,omitempty"`
}

type element struct {
	Title         string   `json:"title"`
	Subtitle      string   `json:"subtitle,omitempty"`
	ImageURL      string   `json:"image_url,omitempty"`
	DefaultAction *button  `json:"default_action,omitempty"`
	Buttons       []button `json:"buttons,omitempty"`
}

type button struct {
	Type    string `json:"type"`
	Title   string `json:"title,omitempty"`
	URL     string `json:"url,omitempty"`
	Payload string `json:"payload,omitempty"`
}

// encode makes the body that sends a part, which [Check] has found to be right, to a customer.
func encode(customer string, p *dm.Part) ([]byte, error) {
	var v any
	if p.Plain() {
		var b textBody
		b.Recipient.ID, b.MessagingType, b.Message.Text = customer, "RESPONSE", p.Text
		v = &b
	} else {
		v = bodyOf(customer, p)
	}
	out, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	return out, nil
}

func bodyOf(customer string, p *dm.Part) *body {
	b := &body{Recipient: recipient{ID: customer}}
	switch p.Kind {
	case dm.PartTypingOn, dm.PartTypingOff, dm.PartMarkSeen:
		b.SenderAction = string(p.Kind)
		return b
	case dm.PartReaction:
		b.SenderAction, b.Payload = "react", &actionPayload{MessageID: p.MID, Reaction: p.Reaction}
	case dm.PartUnreaction:
		b.SenderAction, b.Payload = "unreact", &actionPayload{MessageID: p.MID}
	default:
		b.MessagingType, b.Message = "RESPONSE", messageOf(p)
	}
	if p.CommentID != "" { // it answers no message
		b.Recipient, b.MessagingType = recipient{CommentID: p.CommentID}, ""
	}
	if p.HumanAgent {
		b.MessagingType, b.Tag = "MESSAGE_TAG", "HUMAN_AGENT"
	}
	if p.ReplyToMID != "" {
		b.ReplyTo = &replyTo{MID: p.ReplyToMID}
	}
	return b
}

func messageOf(p *dm.Part) *messageBody {
	switch p.Kind {
	case dm.PartText:
		return &messageBody{Text: p.Text, QuickReplies: quickRepliesOf(p.QuickReplies)}
	case dm.PartGenericTemplate:
		return template(payload{TemplateType: "generic", Elements: elementsOf(p.Elements)})
	case dm.PartButtonTemplate:
		return template(payload{TemplateType: "button", Text: p.Text, Buttons: buttonsOf(p.Buttons)})
	case dm.PartMediaShare:
		return &messageBody{Attachment: &attachment{Type: "MEDIA_SHARE", Payload: &payload{ID: p.PostID}}}
	case dm.PartLikeHeart:
		return &messageBody{Attachment: &attachment{Type: "like_heart"}}
	default:
		var all []attachment
		for _, m := range p.Media {
			all = append(all, attachment{Type: string(p.Kind), Payload: &payload{URL: m.URL, AttachmentID: m.AttachmentID}})
		}
		if len(all) == 1 {
			return &messageBody{Attachment: &all[0]}
		}
		return &messageBody{Attachments: all}
	}
}

func template(p payload) *messageBody {
	return &messageBody{Attachment: &attachment{Type: "template", Payload: &p}}
}

func quickRepliesOf(all []dm.QuickReply) []quickReply {
	out := make([]quickReply, 0, len(all))
	for _, q := range all {
		if q.Ask != "" {
			out = append(out, quickReply{ContentType: q.Ask, Payload: q.Payload})
			continue
		}
		out = append(out, quickReply{ContentType: "text", Title: q.Title, Payload: q.Payload})
	}
	return out
}

func elementsOf(all []dm.Element) []element {
	out := make([]element, 0, len(all))
	for _, e := range all {
		o := element{Title: e.Title, Subtitle: e.Subtitle, ImageURL: e.ImageURL, Buttons: buttonsOf(e.Buttons)}
		if e.URL != "" {
			o.DefaultAction = &button{Type: "web_url", URL: e.URL}
		}
		out = append(out, o)
	}
	return out
}

func buttonsOf(all []dm.Button) []button {
	out := make([]button, 0, len(all))
	for _, b := range all {
		kind := "postback"
		if b.URL != "" {
			kind = "web_url"
		}
		out = append(out, button{Type: kind, Title: b.Title, URL: b.URL, Payload: b.Payload})
	}
	return out
}
