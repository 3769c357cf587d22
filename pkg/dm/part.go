package dm

// PartKind says what one part of a reply is.
type PartKind string

// The kinds of part, after what Meta's Send API takes, and what each needs.
const (
	PartText            PartKind = "text"             // Text, and QuickReplies under it
	PartImage           PartKind = "image"            // Media, of which there may be several
	PartVideo           PartKind = "video"            // Media
	PartAudio           PartKind = "audio"            // Media
	PartFile            PartKind = "file"             // Media
	PartGenericTemplate PartKind = "generic_template" // Elements: cards side by side
	PartButtonTemplate  PartKind = "button_template"  // Text and Buttons
	PartLikeHeart       PartKind = "like_heart"
	PartMediaShare      PartKind = "media_share" // PostID
	PartReaction        PartKind = "reaction"    // Reaction, on MID
	PartUnreaction      PartKind = "unreaction"  // of MID

	PartTypingOn  PartKind = "typing_on"
	PartTypingOff PartKind = "typing_off"
	PartMarkSeen  PartKind = "mark_seen"
)

// Action says whether a part is only a sign that passes: it is shown as well as that goes, and is no message. It has no row,
// no delivery and no place among the messages of its intent.
func (k PartKind) Action() bool {
	switch k {
	case PartTypingOn, PartTypingOff, PartMarkSeen:
		return true
	default:
		return false
	}
}

// Repeatable says whether doing it twice is as good as once, so that it may be tried again when nobody knows what came of it.
func (k PartKind) Repeatable() bool { return k == PartReaction || k == PartUnreaction || k.Action() }

// MessageType is the part's messages.message_type: what an inbound message of that content has.
func (k PartKind) MessageType() string {
	switch k {
	case PartGenericTemplate, PartButtonTemplate:
		return "template"
	case PartMediaShare:
		return "share"
	default:
		return string(k)
	}
}

// Part is one piece of a reply. A long text becomes several messages when it is sent.
type Part struct {
	Kind PartKind `json:"kind"`
	Text string   `json:"text,omitempty"`
	// QuickReplies are answers that the customer may tap, under a text.
	QuickReplies []QuickReply `json:"quick_replies,omitempty"`
	Media        []Media      `json:"media,omitempty"`
	Elements     []Element    `json:"elements,omitempty"`
	Buttons      []Button     `json:"buttons,omitempty"`
	// PostID is a post of the account that is shared.
	PostID string `json:"post_id,omitempty"`
	// MID is the message that a reaction is set on or taken from; Reaction its name, such as love.
	MID      string `json:"mid,omitempty"`
	Reaction string `json:"reaction,omitempty"`
	// ReplyToMID is the message that this one quotes.
	ReplyToMID string `json:"reply_to_mid,omitempty"`
	// CommentID makes it the private reply to a comment. There may be one for each comment, and it is the only message of its
	// intent.
	CommentID string `json:"comment_id,omitempty"`
	// HumanAgent: it goes, or went, with the tag of that name, which lets a person write after the messaging window. The
	// sender sets it; what an intent says is not asked.
	HumanAgent bool `json:"human_agent,omitempty"`
}

// Plain says whether a part is a text and nothing else, as nearly all are.
func (p *Part) Plain() bool {
	return p.Kind == PartText && p.QuickReplies == nil && p.Media == nil && p.Elements == nil && p.Buttons == nil && p.PostID == "" &&
		p.MID == "" && p.Reaction == "" && p.ReplyToMID == "" && p.CommentID == "" && !p.HumanAgent
}

// Media is a picture, video, recording or file: one of a URL that Meta can fetch and the id of an attachment that was
// uploaded before.
type Media struct {
	URL          string `json:"url,omitempty"`
	AttachmentID string `json:"attachment_id,omitempty"`
}

// QuickReply is an answer to tap. Tapped, its title comes as a message that carries Payload.
type QuickReply struct {
	Title   string `json:"title,omitempty"`
	Payload string `json:"payload,omitempty"`
	// Ask is user_email or user_phone_number, to offer what Meta knows of the customer instead of a title.
	Ask string `json:"ask,omitempty"`
}

// Element is one card of a generic template.
type Element struct {
	Title    string `json:"title"`
	Subtitle string `json:"subtitle,omitempty"`
	ImageURL string `json:"image_url,omitempty"`
	// URL is opened by a tap on the card.
	URL     string   `json:"url,omitempty"`
	Buttons []Button `json:"buttons,omitempty"`
}

// Button opens URL or, tapped, sends a postback with Payload: one of the two.
type Button struct {
	Title   string `json:"title"`
	URL     string `json:"url,omitempty"`
	Payload string `json:"payload,omitempty"`
}
