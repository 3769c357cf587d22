package graph

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/parley-dm/parley/pkg/dm"
)

// Meta's limits of what is sent. How large a medium is (an image 8 MB, the others 25 MB) only Meta sees, who fetches it: it
// answers 100/2018109.
const (
	// MaxTextBytes is the longest text of one message, in bytes of UTF-8.
	MaxTextBytes    = 1000
	maxImages       = 10
	maxQuickReplies = 13
	maxTitle        = 20 // of quick replies and buttons, in characters
	maxPayload      = 1000
	maxElements     = 10
	maxButtons      = 3
	maxElementText  = 80 // titles and subtitles of elements, in characters
	maxButtonText   = 640
)

// Where the limits are written, among Meta's pages on Instagram messaging.
const (
	pageSend     = "Send a Message"
	pageQuick    = "Quick Replies"
	pageGeneric  = "Generic Template"
	pageButton   = "Button Template"
	pagePrivate  = "Private Replies"
	pageReaction = "Send a Message, React or Unreact"
)

// LimitError is a part that Meta would refuse, found before it was sent. It holds no text of the message.
type LimitError struct {
	Kind dm.PartKind
	// Field is the part's member, such as elements[2].title; Got what it has, such as "14 elements"; Limit what it may have.
	Field, Got, Limit string
	// Source is the page of Meta's documentation that says so.
	Source string
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("%s of a part of kind %q: got %s, expected %s (Meta, Instagram Messaging: %s)", e.Field, e.Kind, e.Got, e.Limit, e.Source)
}

// Check says with a [*LimitError] why a part cannot be sent as it is, or with [ErrUnsupportedPart] that its kind is not known.
// What [Expand] makes fit is not its business: check what Expand returns.
func Check(p dm.Part) error {
	if p.Plain() && len(p.Text) <= MaxTextBytes && !blank(p.Text) {
		return nil
	}
	c := check{kind: p.Kind}
	switch p.Kind {
	case dm.PartText:
		c.text(p)
		c.quickReplies(p.QuickReplies)
	case dm.PartImage:
		c.count("media", len(p.Media), 1, maxImages, pageSend)
		c.media(p.Media)
	case dm.PartVideo, dm.PartAudio, dm.PartFile:
		c.count("media", len(p.Media), 1, 1, pageSend)
		c.media(p.Media)
	case dm.PartGenericTemplate:
		c.elements(p.Elements)
	case dm.PartButtonTemplate:
		c.characters("text", p.Text, 1, maxButtonText, pageButton)
		c.count("buttons", len(p.Buttons), 1, maxButtons, pageButton)
		c.buttons("", p.Buttons, pageButton)
	case dm.PartMediaShare:
		c.given("post_id", p.PostID, "the id of a post", pageSend)
	case dm.PartReaction:
		c.given("mid", p.MID, "the mid of a message", pageReaction)
		c.given("reaction", p.Reaction, "the name of a reaction, such as love", pageReaction)
	case dm.PartUnreaction:
		c.given("mid", p.MID, "the mid of a message", pageReaction)
	case dm.PartLikeHeart, dm.PartTypingOn, dm.PartTypingOff, dm.PartMarkSeen:
	default:
		return fmt.Errorf("%w: %q", ErrUnsupportedPart, p.Kind)
	}
	c.elsewhere(p)
	if c.err != nil {
		return c.err
	}
	return nil
}

// check keeps the first thing that is wrong.
type check struct {
	kind dm.PartKind
	err  *LimitError
}

func (c *check) fail(field, got, limit, source string) {
	if c.err == nil {
		c.err = &LimitError{Kind: c.kind, Field: field, Got: got, Limit: limit, Source: source}
	}
}

func (c *check) count(field string, n, least, most int, source string) {
	if n >= least && n <= most {
		return
	}
	limit := strconv.Itoa(least) + " to " + strconv.Itoa(most) + " elements"
	if least == most {
		limit = "exactly " + strconv.Itoa(most)
	}
	c.fail(field, strconv.Itoa(n)+" elements", limit, source)
}

func (c *check) characters(field, s string, least, most int, source string) {
	n := utf8.RuneCountInString(s)
	if least > 0 && blank(s) {
		c.fail(field, "an empty text", fmt.Sprintf("%d to %d characters", least, most), source)
	} else if n > most {
		c.fail(field, strconv.Itoa(n)+" characters", fmt.Sprintf("%d to %d characters", least, most), source)
	}
}

func (c *check) given(field, s, what, source string) {
	if s == "" {
		c.fail(field, "nothing", what, source)
	}
}

// web demands an address that Meta, or the customer's phone, can open.
func (c *check) web(field, address, source string) {
	u, err := url.Parse(address)
	switch {
	case address == "":
		c.fail(field, "nothing", "an http or https URL", source)
	case err != nil:
		c.fail(field, "what is no URL", "an http or https URL", source)
	case u.Scheme != "https" && u.Scheme != "http":
		c.fail(field, strconv.Quote(u.Scheme), "an http or https URL", source)
	case u.Host == "":
		c.fail(field, "a URL without a host", "an http or https URL", source)
	}
}

func (c *check) text(p dm.Part) {
	page := pageSend
	if p.CommentID != "" {
		page = pagePrivate // which takes one message, so that it cannot be split
	}
	switch {
	case blank(p.Text):
		c.fail("text", "an empty text", "1 to 1000 bytes of UTF-8", page)
	case len(p.Text) > MaxTextBytes:
		c.fail("text", strconv.Itoa(len(p.Text))+" bytes", "1 to 1000 bytes of UTF-8", page)
	}
}

func (c *check) quickReplies(all []dm.QuickReply) {
	if all == nil {
		return
	}
	c.count("quick_replies", len(all), 1, maxQuickReplies, pageQuick)
	for i, q := range all {
		at := "quick_replies[" + strconv.Itoa(i) + "]."
		switch q.Ask {
		case "":
			c.characters(at+"title", q.Title, 1, maxTitle, pageQuick)
			c.characters(at+"payload", q.Payload, 1, maxPayload, pageQuick)
		case "user_email", "user_phone_number":
		default:
			c.fail(at+"ask", strconv.Quote(q.Ask), "user_email or user_phone_number", pageQuick)
		}
	}
}

func (c *check) media(all []dm.Media) {
	for i, m := range all {
		at := "media[" + strconv.Itoa(i) + "]."
		switch {
		case m.URL != "" && m.AttachmentID != "":
			c.fail(at+"url", "an attachment_id beside it", "one of the two", pageSend)
		case m.AttachmentID == "":
			c.web(at+"url", m.URL, pageSend)
		}
	}
}

func (c *check) elements(all []dm.Element) {
	c.count("elements", len(all), 1, maxElements, pageGeneric)
	for i := range all {
		e := &all[i]
		at := "elements[" + strconv.Itoa(i) + "]."
		c.characters(at+"title", e.Title, 1, maxElementText, pageGeneric)
		c.characters(at+"subtitle", e.Subtitle, 0, maxElementText, pageGeneric)
		if e.Subtitle == "" && e.ImageURL == "" && e.URL == "" && len(e.Buttons) == 0 {
			c.fail(at+"title", "nothing beside it", "a subtitle, image_url, url or buttons, too", pageGeneric)
		}
		if e.ImageURL != "" {
			c.web(at+"image_url", e.ImageURL, pageGeneric)
		}
		if e.URL != "" {
			c.web(at+"url", e.URL, pageGeneric)
		}
		c.count(at+"buttons", len(e.Buttons), 0, maxButtons, pageGeneric)
		c.buttons(at, e.Buttons, pageGeneric)
	}
}

func (c *check) buttons(at string, all []dm.Button, source string) {
	for i, b := range all {
		at := at + "buttons[" + strconv.Itoa(i) + "]."
		c.characters(at+"title", b.Title, 1, maxTitle, source)
		switch {
		case b.URL != "" && b.Payload != "":
			c.fail(at+"url", "a payload beside it", "one of the two", source)
		case b.URL != "":
			c.web(at+"url", b.URL, source)
		default:
			c.characters(at+"payload", b.Payload, 1, maxPayload, source)
		}
	}
}

// The kinds that have a member of their own.
var (
	withText  = []dm.PartKind{dm.PartText, dm.PartButtonTemplate}
	withMedia = []dm.PartKind{dm.PartImage, dm.PartVideo, dm.PartAudio, dm.PartFile}
	withMID   = []dm.PartKind{dm.PartReaction, dm.PartUnreaction}
)

// elsewhere demands that a part has nothing that its kind does not send: it would be lost in silence.
func (c *check) elsewhere(p dm.Part) {
	only := func(field string, given bool, kinds ...dm.PartKind) {
		if given && !slices.Contains(kinds, p.Kind) {
			c.fail(field, "something", "nothing: a part of this kind has none", pageOf(p.Kind))
		}
	}
	only("text", p.Text != "", withText...)
	only("quick_replies", p.QuickReplies != nil, dm.PartText)
	only("media", p.Media != nil, withMedia...)
	only("elements", p.Elements != nil, dm.PartGenericTemplate)
	only("buttons", p.Buttons != nil, dm.PartButtonTemplate)
	only("post_id", p.PostID != "", dm.PartMediaShare)
	only("mid", p.MID != "", withMID...)
	only("reaction", p.Reaction != "", dm.PartReaction)
	only("comment_id", p.CommentID != "" && p.Kind.Repeatable())
	only("reply_to_mid", p.ReplyToMID != "" && (p.Kind.Repeatable() || p.CommentID != ""))
}

func pageOf(k dm.PartKind) string {
	switch {
	case k == dm.PartGenericTemplate:
		return pageGeneric
	case k == dm.PartButtonTemplate:
		return pageButton
	case strings.HasSuffix(string(k), "reaction"):
		return pageReaction
	default:
		return pageSend
	}
}
