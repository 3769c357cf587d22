package shape

import (
	"encoding/json"
	"strconv"

	"github.com/parley-dm/parley/services/simulator/internal/webhooks"
)

// The groups in which the phone offers them.
const (
	groupMedia    = "Photos and media"
	groupShared   = "Posts and stories"
	groupTaps     = "Taps and links"
	groupChanges  = "Done to a message"
	groupOdd      = "Odd, as Meta sends them"
	groupComments = "Comments and mentions"
	groupThread   = "The shop's side"
)

var byKind = func() map[string]Shape {
	out := make(map[string]Shape, len(catalogue))
	for _, s := range catalogue {
		out[s.Kind] = s
	}
	return out
}()

// catalogue is what Meta's pages and those who received them know of.
var catalogue = func() []Shape {
	var out []Shape
	for _, part := range [][]Shape{media(), shared(), taps(), changes(), odd(), comments(), threads()} {
		out = append(out, part...)
	}
	for i := range out {
		if out[i].place == "" {
			out[i].place = webhooks.Messaging
		}
		if out[i].Field == "" {
			out[i].Field = "messages"
		}
		if out[i].Group == "" || out[i].Label == "" || out[i].Role == "" {
			panic("shape: " + out[i].Kind + " is not described") // a mistake in this file, found by any test
		}
	}
	return out
}()

func message(group, kind, label string, write func(in Input) any, takes ...string) Shape {
	return Shape{Kind: kind, Label: label, Group: group, Role: Message, Takes: takes, make: write}
}

func (s Shape) needing(names ...string) Shape {
	s.Needs = names
	return s
}

func media() []Shape {
	medium := func(kind, label string) Shape {
		return message(groupMedia, kind, label, attached(kind, linked(kind)), "text", "url")
	}
	return []Shape{
		message(groupMedia, "text", "Text", said(nil)).needing("text"),
		medium("image", "Photo"),
		message(groupMedia, "images", "Two photos", said(func(in Input, m *webhooks.Message) {
			a := object{"type": "image", "payload": object{"url": url(in, "image")}}
			m.Attachments = list(a, a)
		}), "text", "url"),
		medium("video", "Video"), medium("audio", "Voice"), medium("file", "File"), medium("gif", "GIF"), medium("sticker", "Sticker"),
		medium("media", "Media"),
		message(groupMedia, "like_heart", "Heart", attached("like_heart", nil)),
		message(groupMedia, "ephemeral", "View once", attached("ephemeral", nil)),
	}
}

func shared() []Shape {
	const group = groupShared
	post := func(in Input) object {
		return object{"ig_post_media_id": "18" + in.ID, "title": "A post", "url": url(in, "ig_post")}
	}
	reel := func(number bool) func(in Input) object {
		return func(in Input) object {
			p := object{"reel_video_id": "179" + in.ID, "title": "A reel", "url": url(in, "ig_reel")}
			if number {
				p["reel_video_id"] = json.Number("179" + in.ID)
			}
			return p
		}
	}
	return []Shape{
		message(group, "ig_post", "Post", attached("ig_post", post), "url"),
		message(group, "ig_reel", "Reel", attached("ig_reel", reel(true)), "url"),
		message(group, "reel", "Reel, id as text", attached("reel", reel(false)), "url"),
		message(group, "share", "Post, old kind", attached("share", linked("share")), "url"),
		message(group, "share_and_post", "Post, twice in one", said(func(in Input, m *webhooks.Message) {
			m.Attachments = list(object{"type": "share", "payload": object{"url": url(in, "share")}}, object{"type": "ig_post", "payload": post(in)})
		}), "url"),
		message(group, "ig_story", "Story", attached("ig_story", linked("story")), "url"),
		message(group, "story_mention", "Story mention", attached("story_mention", linked("story_mention")), "url"),
		message(group, "story_reply", "Story reply", said(func(in Input, m *webhooks.Message) {
			m.ReplyTo = object{"story": map[string]string{"url": url(in, "story"), "id": "18040000000000001"}}.encode()
		}), "text", "url"),
		message(group, "fallback", "Link preview", attached("fallback", func(in Input) object {
			return object{"url": url(in, "link"), "title": "A link"}
		}), "text", "url"),
	}
}

func taps() []Shape {
	const group = groupTaps
	referred := func(referral func(in Input) object) func(in Input) any {
		return said(func(in Input, m *webhooks.Message) {
			m.Text, m.Referral = or(in.Text, "Is this still there?"), referral(in)
		})
	}
	return []Shape{
		message(group, "quick_reply", "Quick reply", said(func(in Input, m *webhooks.Message) {
			m.QuickReply = &webhooks.QuickReply{Payload: in.Payload}
		})).needing("text", "payload"),
		{Kind: "postback", Label: "Button", Group: group, Role: Message, Needs: []string{"text", "payload"}, Field: "messaging_postbacks", make: func(in Input) any {
			it := blank(in)
			it.Postback = &webhooks.Postback{MID: in.MID, Title: in.Text, Payload: in.Payload}
			return it
		}},
		message(group, "ad_referral", "From an ad", referred(func(in Input) object {
			return object{
				"ref": or(in.Payload, "autumn"), "ad_id": json.Number("120" + in.ID), "source": "ADS", "type": "OPEN_THREAD",
				"ads_context_data": map[string]string{"ad_title": "An ad", "photo_url": url(in, "ad")},
			}
		}), "text", "payload"),
		message(group, "shop_referral", "From the shop", referred(func(in Input) object { return object{"product": party("5" + in.ID)} }), "text"),
		{Kind: "referral", Label: "ig.me link", Group: group, Role: Event, Takes: []string{"payload"}, Field: "messaging_referral", note: "Opened an ig.me link", make: func(in Input) any {
			return loose(in, "referral", object{"ref": or(in.Payload, "poster"), "source": "IGME-SOURCE-LINK", "type": "OPEN_THREAD"})
		}},
		{Kind: "optin", Label: "Opt-in", Group: group, Role: Event, Takes: []string{"payload"}, Field: "messaging_optins", note: "Asked to be notified", make: func(in Input) any {
			return loose(in, "optin", object{"type": "notification_messages", "payload": or(in.Payload, "news"), "notification_messages_token": "nmt-" + in.ID})
		}},
	}
}

func changes() []Shape {
	change := func(kind, label, field string, fill func(in Input, it *webhooks.Item)) Shape {
		return Shape{Kind: kind, Label: label, Group: groupChanges, Role: Change, Needs: []string{"target"}, Field: field, make: func(in Input) any {
			it := blank(in)
			fill(in, &it)
			return it
		}}
	}
	reactions := map[string]string{"❤️": "love", "😂": "haha", "😆": "haha", "😮": "wow", "😢": "sad", "😠": "angry", "👍": "like"}
	react := change("react", "React", "message_reactions", func(in Input, it *webhooks.Item) {
		emoji := or(in.Text, "❤️")
		it.Reaction = &webhooks.Reaction{MID: in.Target, Action: "react", Reaction: or(reactions[emoji], "other"), Emoji: emoji}
	})
	react.Takes = []string{"text"}
	edit := change("edit", "Edit", "message_edit", func(in Input, it *webhooks.Item) {
		n, _ := strconv.Atoi(in.Payload)
		it.Edit = &webhooks.Edit{MID: in.Target, Text: in.Text, NumEdit: n}
	})
	edit.Needs = []string{"target", "text"}
	return []Shape{
		react,
		change("unreact", "Take a reaction back", "message_reactions", func(in Input, it *webhooks.Item) {
			it.Reaction = &webhooks.Reaction{MID: in.Target, Action: "unreact"}
		}),
		change("seen", "Seen", "messaging_seen", func(in Input, it *webhooks.Item) { it.Read = &webhooks.Read{MID: in.Target} }),
		edit,
		change("unsend", "Unsend", "messages", func(in Input, it *webhooks.Item) {
			it.Message = &webhooks.Message{MID: in.Target, IsDeleted: true}
		}),
	}
}
