package webhook

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// Body is a webhook as Meta writes it, for whoever plays Meta; [Parse] does not go through these types. Times are in
// milliseconds, but in entries with changes, where they are seconds.
type Body struct {
	Object string  `json:"object"`
	Entry  []Entry `json:"entry"`
}

// Entry is what happened to one account.
type Entry struct {
	ID        string   `json:"id"`
	Time      int64    `json:"time"`
	Messaging []Item   `json:"messaging,omitempty"`
	Standby   []Item   `json:"standby,omitempty"`
	Changes   []Change `json:"changes,omitempty"`
}

// Party is a sender or recipient.
type Party struct {
	ID string `json:"id"`
}

// Item is one item of messaging or standby.
type Item struct {
	Sender    *Party    `json:"sender,omitempty"`
	Recipient *Party    `json:"recipient,omitempty"`
	Timestamp int64     `json:"timestamp,omitempty"`
	IsSelf    bool      `json:"is_self,omitempty"`
	Message   *Message  `json:"message,omitempty"`
	Postback  *Postback `json:"postback,omitempty"`
	Reaction  *Reaction `json:"reaction,omitempty"`
	Read      *Read     `json:"read,omitempty"`
	Edit      *Edit     `json:"message_edit,omitempty"`
	Referral  *Referral `json:"referral,omitempty"`
	Optin     *Optin    `json:"optin,omitempty"`
	Pass      *Control  `json:"pass_thread_control,omitempty"`
	Take      *Control  `json:"take_thread_control,omitempty"`
	Request   *Control  `json:"request_thread_control,omitempty"`
}

// Message is a message or the echo of one.
type Message struct {
	MID           string       `json:"mid"`
	Text          string       `json:"text,omitempty"`
	Attachments   []Attachment `json:"attachments,omitempty"`
	QuickReply    *QuickReply  `json:"quick_reply,omitempty"`
	ReplyTo       *ReplyTo     `json:"reply_to,omitempty"`
	Referral      *Referral    `json:"referral,omitempty"`
	IsEcho        bool         `json:"is_echo,omitempty"`
	IsSelf        bool         `json:"is_self,omitempty"`
	IsDeleted     bool         `json:"is_deleted,omitempty"`
	IsUnsupported bool         `json:"is_unsupported,omitempty"`
	AppID         int64        `json:"app_id,omitempty"`
}

// Attachment is one medium of a message.
type Attachment struct {
	Type    string             `json:"type"`
	Payload *AttachmentPayload `json:"payload,omitempty"`
}

// AttachmentPayload is what an attachment holds. Template is a template's content as it was sent.
type AttachmentPayload struct {
	URL           string          `json:"url,omitempty"`
	Title         string          `json:"title,omitempty"`
	IGPostMediaID string          `json:"ig_post_media_id,omitempty"`
	ReelVideoID   json.Number     `json:"reel_video_id,omitempty"`
	Template      json.RawMessage `json:"generic,omitempty"`
}

// QuickReply is the payload of a tapped quick reply.
type QuickReply struct {
	Payload string `json:"payload"`
}

// ReplyTo is the message or story that a message answers.
type ReplyTo struct {
	MID   string `json:"mid,omitempty"`
	Story *Story `json:"story,omitempty"`
}

// Story is a story of the account.
type Story struct {
	URL string `json:"url"`
	ID  string `json:"id"`
}

// Postback is the tap on a button or a menu.
type Postback struct {
	MID     string `json:"mid"`
	Title   string `json:"title"`
	Payload string `json:"payload"`
}

// Reaction is set (action "react") on a message or taken away ("unreact").
type Reaction struct {
	MID      string `json:"mid"`
	Action   string `json:"action"`
	Reaction string `json:"reaction,omitempty"`
	Emoji    string `json:"emoji,omitempty"`
}

// Read says up to which message the customer has read.
type Read struct {
	MID string `json:"mid"`
}

// Edit is a message's new text; with NumEdit 0 and no text it comes beside plain messages and edits nothing.
type Edit struct {
	MID     string `json:"mid"`
	Text    string `json:"text,omitempty"`
	NumEdit int    `json:"num_edit"`
}

// Referral says where a customer came from.
type Referral struct {
	Ref     string   `json:"ref,omitempty"`
	AdID    string   `json:"ad_id,omitempty"`
	Source  string   `json:"source,omitempty"`
	Type    string   `json:"type,omitempty"`
	Product *Product `json:"product,omitempty"`
}

// Product is one of the account's shop.
type Product struct {
	ID string `json:"id"`
}

// Optin allows notification messages.
type Optin struct {
	Type    string `json:"type"`
	Payload string `json:"payload"`
	Token   string `json:"notification_messages_token,omitempty"`
}

// Control hands a thread from one app to another.
type Control struct {
	PreviousOwnerAppID int64  `json:"previous_owner_app_id,omitempty"`
	NewOwnerAppID      int64  `json:"new_owner_app_id,omitempty"`
	Metadata           string `json:"metadata,omitempty"`
}

// Change is a comment, a live comment or a mention; Value is a [Comment] or a [Mention].
type Change struct {
	Field string `json:"field"`
	Value any    `json:"value"`
}

// Comment is the value of the fields comments and live_comments.
type Comment struct {
	ID       string    `json:"id"`
	ParentID string    `json:"parent_id,omitempty"`
	From     Commenter `json:"from"`
	Text     string    `json:"text"`
	Media    Media     `json:"media"`
}

// Commenter wrote a comment.
type Commenter struct {
	ID             string `json:"id"`
	Username       string `json:"username,omitempty"`
	SelfIGScopedID string `json:"self_ig_scoped_id,omitempty"`
}

// Media is the post or video that was commented on.
type Media struct {
	ID          string `json:"id"`
	ProductType string `json:"media_product_type,omitempty"`
}

// Mention is the value of the field mentions.
type Mention struct {
	MediaID   string `json:"media_id"`
	CommentID string `json:"comment_id,omitempty"`
}

// Encode writes the body as Meta does, with everything beyond ASCII escaped.
func (b Body) Encode() ([]byte, error) {
	raw, err := json.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("encode webhook: %w", err)
	}
	return escape(raw), nil
}

// escape writes \u escapes, two of them beyond the basic plane, for every character of raw, which is JSON, beyond ASCII.
func escape(raw []byte) []byte {
	var out bytes.Buffer
	out.Grow(len(raw))
	for len(raw) > 0 {
		r, size := utf8.DecodeRune(raw)
		switch {
		case r < utf8.RuneSelf:
			out.WriteByte(raw[0])
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
		raw = raw[size:]
	}
	return out.Bytes()
}
