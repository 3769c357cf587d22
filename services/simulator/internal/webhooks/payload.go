package webhooks

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// Party is a sender or recipient in an item.
type Party struct {
	ID string `json:"id"`
}

// Item is one element of entry[].messaging: what happened, beside who and when. Rarer shapes are made by package shape.
type Item struct {
	Sender    Party `json:"sender"`
	Recipient Party `json:"recipient"`
	Timestamp int64 `json:"timestamp"`
	// Exactly one of these is set.
	Message  *Message  `json:"message,omitempty"`
	Postback *Postback `json:"postback,omitempty"`
	Reaction *Reaction `json:"reaction,omitempty"`
	Read     *Read     `json:"read,omitempty"`
	Edit     *Edit     `json:"message_edit,omitempty"`
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
	Referral      any             `json:"referral,omitempty"`
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

// Place is where in an entry an item stands.
type Place string

// The places of an entry. Flat is field and value on the entry itself.
const (
	Messaging Place = "messaging"
	Standby   Place = "standby"
	Changes   Place = "changes"
	Flat      Place = "flat"
)

// Part is one item of a webhook.
type Part struct {
	Account string
	Place   Place
	// Field is the name of a change; Item its value, or else the whole item. Both are as Encode made them.
	Field string
	Item  json.RawMessage
}

// Encode writes an item as Meta would.
func Encode(v any) (json.RawMessage, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode webhook: %w", err)
	}
	return Escape(unescapeHTML(b)), nil
}

// Body makes a webhook of parts. Neighbours of one account and place share an entry, as Meta batches them.
func Body(at time.Time, parts ...Part) []byte {
	b := []byte(`{"object":"instagram","entry":[`)
	for i := 0; i < len(parts); {
		if i > 0 {
			b = append(b, ',')
		}
		p := parts[i]
		b = append(b, `{"id":"`...)
		b = append(b, p.Account...)
		b = append(b, `","time":`...)
		b = strconv.AppendInt(b, entryTime(at, p.Place), 10)
		if p.Place == Flat {
			b = append(appendField(append(b, ','), p), '}')
			i++
			continue
		}
		b = append(append(append(b, `,"`...), p.Place...), `":[`...)
		for n := 0; i < len(parts) && parts[i].Account == p.Account && parts[i].Place == p.Place; i, n = i+1, n+1 {
			if n > 0 {
				b = append(b, ',')
			}
			b = appendItem(b, parts[i])
		}
		b = append(b, "]}"...)
	}
	return append(b, "]}"...)
}

// entryTime is in milliseconds for messaging and in seconds for changes.
func entryTime(at time.Time, p Place) int64 {
	if p == Changes || p == Flat {
		return at.Unix()
	}
	return at.UnixMilli()
}

func appendItem(b []byte, p Part) []byte {
	if p.Place != Changes {
		return append(b, p.Item...)
	}
	return append(appendField(append(b, '{'), p), '}')
}

func appendField(b []byte, p Part) []byte {
	b = append(append(append(b, `"field":"`...), p.Field...), `","value":`...)
	return append(b, p.Item...)
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
