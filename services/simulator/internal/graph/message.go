package graph

import (
	"encoding/json"
	"net/url"
	"slices"
	"unicode/utf8"

	"github.com/parley-dm/parley/services/simulator/internal/world"
)

// Meta's limits, from the pages of the Instagram messaging API.
const (
	maxTextBytes    = 1000
	maxImages       = 10
	maxQuickReplies = 13
	maxTitle        = 20 // of quick replies, which are cut, and buttons, which are refused; in characters
	maxPayload      = 1000
	maxElements     = 10
	maxButtons      = 3
	maxElementText  = 80
	maxButtonText   = 640
)

type message struct {
	Text         *string         `json:"text"`
	Attachment   *attachment     `json:"attachment"`
	Attachments  []attachment    `json:"attachments"`
	QuickReplies []quickReply    `json:"quick_replies"`
	ReplyTo      *replyTo        `json:"reply_to"`
	Metadata     json.RawMessage `json:"metadata"`
}

type replyTo struct {
	MID string `json:"mid"`
}

type quickReply struct {
	ContentType string `json:"content_type"`
	Title       string `json:"title,omitempty"`
	Payload     string `json:"payload,omitempty"`
	ImageURL    string `json:"image_url,omitempty"`
}

type attachment struct {
	Type    string   `json:"type"`
	Payload *payload `json:"payload"`
}

type payload struct {
	URL          string          `json:"url"`
	AttachmentID json.RawMessage `json:"attachment_id"`
	IsReusable   bool            `json:"is_reusable"`
	ID           string          `json:"id"`
	TemplateType string          `json:"template_type"`
	Text         string          `json:"text"`
	Elements     []element       `json:"elements"`
	Buttons      []button        `json:"buttons"`
}

type element struct {
	Title         string   `json:"title"`
	Subtitle      string   `json:"subtitle"`
	ImageURL      string   `json:"image_url"`
	DefaultAction *button  `json:"default_action"`
	Buttons       []button `json:"buttons"`
}

type button struct {
	Type    string `json:"type"`
	URL     string `json:"url"`
	Title   string `json:"title"`
	Payload string `json:"payload"`
}

// parsed is a message that may be sent.
type parsed struct {
	kind    world.Kind
	text    string
	replyTo string
	content json.RawMessage
	limit   string
}

// parseMessage checks a message as Meta does.
func parseMessage(raw json.RawMessage) (parsed, *Error) {
	var m message
	if err := strict(raw, "message", &m); err != nil {
		return parsed{}, err
	}
	bodies := 0
	for _, has := range []bool{m.Text != nil, m.Attachment != nil, m.Attachments != nil} {
		if has {
			bodies++
		}
	}
	switch {
	case bodies == 0:
		return parsed{}, param("Message cannot be empty, must provide valid attachment or text.")
	case bodies > 1:
		return parsed{}, param("Param message must have only one of text, attachment and attachments.")
	}
	out := parsed{kind: world.KindText, limit: limitText}
	if m.ReplyTo != nil {
		out.replyTo = m.ReplyTo.MID
	}
	if m.Text != nil {
		if err := checkText(*m.Text); err != nil {
			return out, err
		}
		out.text = *m.Text
	}
	if m.QuickReplies != nil {
		if err := checkQuickReplies(m); err != nil {
			return out, err
		}
	}
	if m.Text == nil || m.QuickReplies != nil {
		out.kind, out.content = world.KindRich, shown(raw, m)
	}
	if m.Attachment != nil {
		if m.Attachment.Type == "audio" || m.Attachment.Type == "video" {
			out.limit = limitMedia
		}
		return out, m.Attachment.check()
	}
	return out, checkImages(m.Attachments)
}

// shown is what the customer gets to see of a message: titles of quick replies are cut and not refused (Meta: "each quick
// reply allows up to 20 characters before being truncated").
func shown(raw json.RawMessage, m message) json.RawMessage {
	cut := false
	for i := range m.QuickReplies {
		q := &m.QuickReplies[i]
		if title := []rune(q.Title); len(title) > maxTitle {
			q.Title, cut = string(title[:maxTitle]), true
		}
	}
	if !cut {
		return raw
	}
	out, err := json.Marshal(map[string]any{"text": m.Text, "quick_replies": m.QuickReplies})
	if err != nil {
		return raw // strings and nothing else: it always encodes
	}
	return out
}

func checkText(text string) *Error {
	if text == "" {
		return param("Message cannot be empty, must provide valid attachment or text.")
	}
	if len(text) > maxTextBytes {
		return param("Length of param message[text] must be less than or equal to %d", maxTextBytes)
	}
	return nil
}

func checkQuickReplies(m message) *Error {
	if m.Text == nil {
		return badData("Param message[quick_replies] needs message[text].")
	}
	if n := len(m.QuickReplies); n == 0 || n > maxQuickReplies {
		return param("Param message[quick_replies] must have 1 to %d elements.", maxQuickReplies)
	}
	for _, q := range m.QuickReplies {
		switch {
		case !slices.Contains([]string{"text", "user_email", "user_phone_number"}, q.ContentType):
			return param("Param message[quick_replies][content_type] must be one of {TEXT, USER_EMAIL, USER_PHONE_NUMBER}.")
		case q.ContentType == "text" && (q.Title == "" || q.Payload == ""):
			return param("Params title and payload are required in message[quick_replies].")
		case utf8.RuneCountInString(q.Payload) > maxPayload:
			return param("Length of param message[quick_replies][payload] must be less than or equal to %d", maxPayload)
		}
	}
	return nil
}

func checkImages(attachments []attachment) *Error {
	if attachments == nil {
		return nil
	}
	if n := len(attachments); n == 0 || n > maxImages {
		return param("Param message[attachments] must have 1 to %d elements.", maxImages)
	}
	for _, a := range attachments {
		if a.Type != "image" {
			return badData("Param message[attachments] may hold images only.")
		}
		if err := a.check(); err != nil {
			return err
		}
	}
	return nil
}

func (a *attachment) check() *Error {
	switch a.Type {
	case "like_heart":
		return nil
	case "MEDIA_SHARE":
		if a.Payload == nil || a.Payload.ID == "" {
			return badData("Param message[attachment][payload][id] is required.")
		}
		return nil
	case "image", "video", "audio", "file":
		return a.Payload.checkMedia()
	case "template":
		return a.Payload.checkTemplate()
	default:
		return param("Param message[attachment][type] must be one of {AUDIO, FILE, IMAGE, LIKE_HEART, MEDIA_SHARE, TEMPLATE, VIDEO}.")
	}
}

func (p *payload) checkMedia() *Error {
	if p == nil || (p.URL == "") == !present(p.AttachmentID) {
		return badData("Param message[attachment][payload] must have exactly one of url and attachment_id.")
	}
	if p.URL != "" && !isWeb(p.URL) {
		return badData("Param message[attachment][payload][url] must be a valid http or https URL.")
	}
	return nil
}

func (p *payload) checkTemplate() *Error {
	if p == nil {
		return param("Param message[attachment][payload] is required.")
	}
	switch p.TemplateType {
	case "generic":
		if n := len(p.Elements); n == 0 || n > maxElements {
			return param("Param message[attachment][payload][elements] must have 1 to %d elements.", maxElements)
		}
		for i := range p.Elements {
			if err := p.Elements[i].check(); err != nil {
				return err
			}
		}
		return nil
	case "button":
		if n := utf8.RuneCountInString(p.Text); n == 0 || n > maxButtonText {
			return param("Length of param message[attachment][payload][text] must be 1 to %d", maxButtonText)
		}
		if len(p.Buttons) == 0 {
			return param("Param message[attachment][payload][buttons] is required.")
		}
		return checkButtons(p.Buttons)
	default:
		return param("Param message[attachment][payload][template_type] must be one of {BUTTON, GENERIC}.")
	}
}

func (e *element) check() *Error {
	switch {
	case e.Title == "" || utf8.RuneCountInString(e.Title) > maxElementText || utf8.RuneCountInString(e.Subtitle) > maxElementText:
		return param("Params title (required) and subtitle of an element have at most %d characters.", maxElementText)
	case e.Subtitle == "" && e.ImageURL == "" && e.DefaultAction == nil && len(e.Buttons) == 0:
		return param("An element needs a subtitle, image_url, default_action or buttons beside its title.")
	case e.ImageURL != "" && !isWeb(e.ImageURL):
		return badData("Param image_url must be a valid http or https URL.")
	case e.DefaultAction != nil && (e.DefaultAction.Type != "web_url" || !isWeb(e.DefaultAction.URL) || e.DefaultAction.Title != ""):
		return param("Param default_action must be a web_url without a title.")
	}
	return checkButtons(e.Buttons)
}

func checkButtons(buttons []button) *Error {
	if len(buttons) > maxButtons {
		return param("Param buttons must have at most %d elements.", maxButtons)
	}
	for _, b := range buttons {
		if b.Title == "" || utf8.RuneCountInString(b.Title) > maxTitle {
			return param("Length of a button's title must be 1 to %d", maxTitle)
		}
		switch b.Type {
		case "web_url":
			if !isWeb(b.URL) {
				return badData("A web_url button needs a valid http or https URL.")
			}
		case "postback":
			if n := utf8.RuneCountInString(b.Payload); n == 0 || n > maxPayload {
				return param("Length of a button's payload must be 1 to %d", maxPayload)
			}
		default:
			return param("Param type of a button must be one of {POSTBACK, WEB_URL}.")
		}
	}
	return nil
}

func isWeb(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != ""
}
