package shape

import (
	"encoding/json"
	"strconv"

	"github.com/parley-dm/parley/services/simulator/internal/webhooks"
)

// odd are shapes that were met in the wild and break receivers that only know Meta's pages.
func odd() []Shape {
	const group = groupOdd
	text := func(in Input) object { return object{"mid": in.MID, "text": in.Text} }
	quiet := func(s Shape) Shape {
		s.Quiet = true
		return s
	}
	event := func(kind, label, note string, write func(in Input) any) Shape {
		return Shape{Kind: kind, Label: label, Group: group, Role: Event, note: note, make: write}
	}
	noop := event("edit_noop", "Edit that is none", "An edit that changed nothing", func(in Input) any {
		return loose(in, "message_edit", object{"mid": in.Target, "num_edit": 0})
	})
	bare := event("edit_noop_bare", "The same, without people", "An edit that names nobody", func(in Input) any {
		return object{"timestamp": in.At.UnixMilli(), "message_edit": object{"mid": in.Target, "num_edit": "0"}}
	})
	noop.Field, bare.Field = "message_edit", "message_edit"
	flat := message(group, "flat", "Field and value", func(in Input) any { return loose(in, "message", text(in)) }).needing("text")
	flat.place = webhooks.Flat
	test := event("dashboard_test", "Test of the dashboard", "The App Dashboard's test", func(Input) any {
		return object{"sender": party("12334"), "recipient": party("23245"), "timestamp": "1527459824", "message": object{"mid": "random_mid", "text": "random_text"}}
	})
	test.place = webhooks.Changes
	unknown := event("unknown_field", "Unknown field", "A field that nobody knows", func(in Input) any {
		return object{"id": in.ID, "from": party(in.Customer)}
	})
	unknown.Field, unknown.place = "story_insights", webhooks.Changes
	return []Shape{
		message(group, "unsupported", "Unsupported", said(func(_ Input, m *webhooks.Message) { m.IsUnsupported = true })),
		message(group, "new_kind", "Attachment of a new kind", attached("hologram", linked("hologram")), "url"),
		message(group, "numeric_ids", "Ids as numbers", func(in Input) any {
			number := func(id string) object { return object{"id": json.Number(id)} }
			return object{"sender": number(in.Customer), "recipient": number(in.Account), "timestamp": in.At.UnixMilli(), "message": text(in)}
		}).needing("text"),
		message(group, "string_time", "Time as text, in seconds", func(in Input) any {
			o := loose(in, "message", text(in))
			o["timestamp"] = strconv.FormatInt(in.At.Unix(), 10)
			return o
		}).needing("text"),
		message(group, "no_time", "No time at all", func(in Input) any {
			o := loose(in, "message", text(in))
			delete(o, "timestamp")
			return o
		}).needing("text"),
		flat,
		quiet(message(group, "empty", "Neither text nor attachment", func(in Input) any { return loose(in, "message", object{"mid": in.MID}) })),
		noop, bare, test, unknown,
	}
}

func comments() []Shape {
	comment := func(kind, label, field, note string, write func(in Input) any) Shape {
		return Shape{Kind: kind, Label: label, Group: groupComments, Role: Event, Takes: []string{"text"}, Field: field, place: webhooks.Changes, note: note, make: write}
	}
	written := func(in Input) object {
		return object{
			"id": in.ID, "from": map[string]string{"id": in.Customer, "username": in.Username}, "text": or(in.Text, "price?"),
			"media": map[string]string{"id": "18" + in.ID[2:], "media_product_type": "FEED"},
		}
	}
	flat := comment("comment_flat", "Comment, field and value", "comments", "Commented on a post", func(in Input) any { return written(in) })
	flat.place = webhooks.Flat
	return []Shape{
		comment("comment", "Comment", "comments", "Commented on a post", func(in Input) any { return written(in) }),
		flat,
		comment("comment_reply", "Answer to a comment", "comments", "Answered a comment", func(in Input) any {
			c := written(in)
			c["comment_id"], c["parent_id"] = c["id"], "179"+in.ID[3:]
			delete(c, "id")
			return c
		}),
		comment("comment_own", "The shop's own comment", "comments", "The shop commented on its post", func(in Input) any {
			c := written(in)
			c["from"] = map[string]string{"id": in.Account, "username": in.Username, "self_ig_scoped_id": in.Account}
			return c
		}),
		comment("live_comment", "Comment on a live video", "live_comments", "Commented on the live video", func(in Input) any {
			c := written(in)
			c["media"] = map[string]string{"id": "18" + in.ID[2:], "media_product_type": "LIVE"}
			return c
		}),
		comment("mention", "Mention in a comment", "mentions", "Mentioned the shop in a comment", func(in Input) any {
			return object{"media_id": "18" + in.ID[2:], "comment_id": in.ID}
		}),
	}
}

// threads is what the account's people and other apps do.
func threads() []Shape {
	const group = groupThread
	otherApp := json.Number("200000000000002")
	control := func(kind, label, note string, value func(in Input) object) Shape {
		return Shape{Kind: kind, Label: label, Group: group, Role: Event, Field: "messaging_handover", note: note, make: func(in Input) any {
			return loose(in, kind, value(in))
		}}
	}
	echo := func(kind, label string, more func(in Input, m object, item object)) Shape {
		return Shape{Kind: kind, Label: label, Group: group, Role: Account, Needs: []string{"text"}, make: func(in Input) any {
			m := object{"mid": in.MID, "text": in.Text, "is_echo": true}
			item := object{"sender": party(in.Account), "recipient": party(in.Customer), "timestamp": in.At.UnixMilli(), "message": m}
			if more != nil {
				more(in, m, item)
			}
			return item
		}}
	}
	echoes := echo("app_reply_flat", "The same, as message_echoes", nil)
	echoes.Field, echoes.place = "message_echoes", webhooks.Changes
	standby := message(group, "standby", "Written to another app", said(nil)).needing("text")
	standby.Quiet, standby.place, standby.Field = true, webhooks.Standby, "standby"
	return []Shape{
		echo("app_reply", "Answered in the Instagram app", nil),
		echoes,
		echo("other_app_reply", "Answered by another app", func(_ Input, m, _ object) { m["app_id"] = otherApp }),
		echo("self", "The shop wrote to itself", func(in Input, m, item object) {
			m["is_self"], item["recipient"] = true, party(in.Account)
		}),
		control("take_thread_control", "Another app takes the thread", "Another app took the thread", func(in Input) object {
			return object{"previous_owner_app_id": json.Number(in.AppID), "new_owner_app_id": otherApp, "metadata": "live agent"}
		}),
		standby,
		{Kind: "self_postback", Label: "The shop tapped its own button", Group: group, Role: Event, Field: "messaging_postbacks", note: "The shop tapped its own button", make: func(in Input) any {
			return object{
				"sender": party(in.Account), "recipient": party(in.Account), "timestamp": in.At.UnixMilli(), "is_self": true,
				"postback": object{"mid": in.Target, "title": "Start", "payload": "START"},
			}
		}},
		control("request_thread_control", "Another app asks for it", "Another app asked for the thread", func(Input) object {
			return object{"requested_owner_app_id": otherApp, "metadata": "live agent"}
		}),
		control("pass_thread_control", "It gives the thread back", "The other app gave the thread back", func(in Input) object {
			return object{"previous_owner_app_id": otherApp, "new_owner_app_id": json.Number(in.AppID), "metadata": "done"}
		}),
	}
}
