package webhooks

import (
	"encoding/json"
	"fmt"
	"time"
)

// Party is a sender or recipient in an item.
type Party struct {
	ID string `json:"id"`
}

// Item is one element of entry[].messaging: what happened, beside who and when.
type Item struct {
	Sender    Party `json:"sender"`
	Recipient Party `json:"recipient"`
	Timestamp int64 `json:"timestamp"`
	// Exactly one of these is set.
	Message  *Message        `json:"message,omitempty"`
	Postback *Postback       `json:"postback,omitempty"`
	Reaction *Reaction       `json:"reaction,omitempty"`
	Read     *Read           `json:"read,omitempty"`
	Edit     *Edit           `json:"message_edit,omitempty"`
	Referral json.RawMessage `json:"referral,omitempty"`
}

// Message is a message that was sent, received or unsent.
type Message struct {
	MID           string          `json:"mid"`
	Text          string          `json:"text,omitempty"`
	Attachments   json.RawMessage `json:"attachments,omitempty"`
	QuickReply    *QuickReply     `json:"quick_reply,omitempty"`
	ReplyTo       json.RawMessage `json:"reply_to,omitempty"`
	IsEcho        bool            `json:"is_echo,omitempty"`
	AppID         json.Number     `json:"app_id,omitempty"`
	IsDeleted     bool            `json:"is_deleted,omitempty"`
	IsUnsupported bool            `json:"is_unsupported,omitempty"`
}

// QuickReply is the tap on an offered answer.
type QuickReply struct {
	Payload string `json:"payload"`
}

// Postback is the tap on a button.
type Postback struct {
	MID     string `json:"mid"`
	Title   string `json:"title"`
	Payload string `json:"payload"`
}

// Reaction is set on a message or taken away from it.
type Reaction struct {
	MID      string `json:"mid"`
	Action   string `json:"action"`
	Reaction string `json:"reaction,omitempty"`
	Emoji    string `json:"emoji,omitempty"`
}

// Read says that a message was seen.
type Read struct {
	MID string `json:"mid"`
}

// Edit is a message's new text.
type Edit struct {
	MID     string `json:"mid"`
	Text    string `json:"text,omitempty"`
	NumEdit int    `json:"num_edit"`
}

type body struct {
	Object string  `json:"object"`
	Entry  []entry `json:"entry"`
}

type entry struct {
	ID        string `json:"id"`
	Time      int64  `json:"time"`
	Messaging []Item `json:"messaging"`
}

// Body makes the webhook that tells an account of items.
func Body(account string, at time.Time, items ...Item) ([]byte, error) {
	b, err := json.Marshal(body{Object: "instagram", Entry: []entry{{ID: account, Time: at.UnixMilli(), Messaging: items}}})
	if err != nil {
		return nil, fmt.Errorf("encode webhook: %w", err)
	}
	return Escape(unescapeHTML(b)), nil
}

// unescapeHTML takes back what encoding/json escapes for browsers and Meta does not; Escape then treats < as Meta does.
func unescapeHTML(b []byte) []byte {
	out := b[:0]
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' || i+1 >= len(b) {
			out = append(out, b[i])
			continue
		}
		if i+5 < len(b) && b[i+1] == 'u' {
			if c, ok := htmlEscapes[string(b[i+2:i+6])]; ok {
				out = append(out, c)
				i += 5
				continue
			}
		}
		out = append(out, b[i], b[i+1])
		i++
	}
	return out
}

var htmlEscapes = map[string]byte{"003c": '<', "003e": '>', "0026": '&'}
