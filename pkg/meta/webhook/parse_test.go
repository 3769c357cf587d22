package webhook_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/meta/webhook"
)

const (
	account  = "17841400000000001"
	customer = "7001000000000001"
	mid      = "aWdfZAG1faXRlbToxOklHTWVzc2FnZAUlEOjE3ODQxNDAwMDAwMDAwMDAxOjM0MDI4MjM2Njg0MTcxMDMwMTI0NDI1OTQ"
	mediaURL = "https://lookaside.fbsbx.com/ig_messaging_cdn/?asset_id=1&signature=x"
)

var (
	received = time.Date(2025, 11, 1, 12, 30, 0, 0, time.UTC)
	sent     = time.UnixMilli(1762000000000).UTC()
	sending  = sent.Add(500 * time.Millisecond)
)

// want is an event of our account and customer, as told by the webhook of a fixture; change makes it the one expected.
func want(kind dm.EventKind, change ...func(*dm.Event)) dm.Event {
	e := dm.Event{
		Conversation: dm.Conversation{Channel: dm.ChannelInstagram, Account: account, Customer: customer},
		Kind:         kind, Time: sent, ReceivedAt: received, Source: dm.SourceWebhook, KnownAccount: true,
	}
	for _, f := range change {
		f(&e)
	}
	return e
}

func text(s string) func(*dm.Event)  { return func(e *dm.Event) { e.Text = s } }
func typed(s string) func(*dm.Event) { return func(e *dm.Event) { e.MessageType = s } }
func withMID(s string) func(*dm.Event) {
	return func(e *dm.Event) { e.MID = s }
}
func nobody(e *dm.Event)    { e.Customer = "" }
func onStandby(e *dm.Event) { e.Standby = true }

func media(kind, id, title string) dm.Attachment {
	return dm.Attachment{Type: kind, URL: mediaURL, MediaID: id, Title: title}
}

func attached(list ...dm.Attachment) func(*dm.Event) {
	return func(e *dm.Event) { e.Attachments = list }
}

// message is a customer's message with the usual mid.
func message(messageType string, change ...func(*dm.Event)) dm.Event {
	return want(dm.KindMessage, append([]func(*dm.Event){withMID(mid), typed(messageType)}, change...)...)
}

func unknown(change ...func(*dm.Event)) dm.Event { return want(dm.KindUnknown, change...) }

func comment(kind dm.EventKind, change ...func(*dm.Event)) dm.Event {
	return want(kind, append([]func(*dm.Event){func(e *dm.Event) {
		e.CommentID, e.ParentID, e.MediaID, e.AdID = "17900000000000009", "17900000000000008", "18000000000000002", "120"
		e.Username, e.Text = "ann", "price?"
	}}, change...)...)
}

func echo(change ...func(*dm.Event)) dm.Event {
	return want(dm.KindEcho, append([]func(*dm.Event){withMID(mid), text("hello"), typed("text")}, change...)...)
}

func foreign(channel dm.Channel, account string) dm.Event {
	return unknown(nobody, func(e *dm.Event) { e.Channel, e.Account, e.KnownAccount = channel, account, false })
}

const greeting = "Grüße 😀 مرحبا"

// shapes has every fixture of testdata and what is in it.
var shapes = map[string][]dm.Event{
	"text":                         {message("text", text(greeting))},
	"text_unescaped":               {message("text", text(greeting))},
	"text_lone_surrogate":          {message("text", text("a\uFFFD b\x00c"))},
	"attachment_image":             {message("image", attached(media("image", "", "")))},
	"attachment_video":             {message("video", attached(media("video", "", "")))},
	"attachment_audio":             {message("audio", attached(media("audio", "", "")))},
	"attachment_file":              {message("file", attached(media("file", "", "")))},
	"attachment_media":             {message("media", attached(media("media", "", "")))},
	"attachment_share":             {message("share", attached(media("share", "", "")))},
	"attachment_story":             {message("story", attached(media("story", "", "")))},
	"attachment_ig_story":          {message("story", attached(media("ig_story", "", "")))},
	"attachment_story_mention":     {message("story_mention", attached(media("story_mention", "", "")))},
	"attachment_sticker":           {message("sticker", attached(media("sticker", "", "")))},
	"attachment_gif":               {message("gif", attached(media("gif", "", "")))},
	"attachment_fallback":          {message("fallback", attached(media("fallback", "", "")))},
	"attachment_ephemeral":         {message("ephemeral", attached(dm.Attachment{Type: "ephemeral"}))},
	"attachment_like_heart":        {message("like_heart", attached(dm.Attachment{Type: "like_heart"}))},
	"attachment_new_kind":          {message("hologram", attached(media("hologram", "", "")))},
	"attachment_image_with_text":   {message("image", text("look"), attached(media("image", "", ""), media("image", "", "")))},
	"attachment_ig_post":           {message("share", attached(media("ig_post", "18000000000000001", "New")))},
	"attachment_ig_reel":           {message("share", attached(media("ig_reel", "17900000000000001", "Reel")))},
	"attachment_reel_string":       {message("share", attached(media("reel", "17900000000000001", "Reel")))},
	"attachment_share_and_ig_post": {message("share", attached(media("share", "", ""), media("ig_post", "18000000000000001", "New")))},
	"attachment_template": {echo(text(""), typed("template"), attached(dm.Attachment{Type: "template"}), func(e *dm.Event) {
		e.AppID = "123456789012345678"
	})},
	"inline_reply":      {message("text", text("yes"), func(e *dm.Event) { e.ReplyToMID = "M0" })},
	"story_reply":       {message("story_reply", text("wow"), func(e *dm.Event) { e.StoryID = "S1" })},
	"quick_reply":       {message("text", text("Red"), func(e *dm.Event) { e.Payload = "COLOR_RED" })},
	"echo":              {echo()},
	"echo_without_mark": {echo()},
	"self":              {want(dm.KindSelf, withMID(mid), text("note"), typed("text"), func(e *dm.Event) { e.Customer = account })},
	"self_postback": {want(dm.KindSelf, withMID(mid), text("T"), typed("postback"), func(e *dm.Event) {
		e.Customer, e.Payload = account, "P"
	})},
	"deleted":                {want(dm.KindDelete, withMID(mid))},
	"echo_deleted":           {want(dm.KindDelete, withMID(mid))},
	"deleted_without_sender": {want(dm.KindDelete, withMID(mid), nobody)},
	"unsupported":            {message("unsupported")},
	"ad_referral":            {message("text", text("hi"), func(e *dm.Event) { e.Ref, e.AdID = "r", "120000000000000001" })},
	"ad_referral_number":     {message("text", text("hi"), func(e *dm.Event) { e.Ref, e.AdID = "r", "120000000000000001" })},
	"shop_referral":          {message("text", text("hi"), func(e *dm.Event) { e.ProductID = "P1" })},
	"ig_me_referral":         {want(dm.KindReferral, func(e *dm.Event) { e.Ref = "r" })},
	"postback":               {want(dm.KindPostback, withMID(mid), text("Talk"), typed("postback"), func(e *dm.Event) { e.Payload = "TALK" })},
	"react":                  {want(dm.KindReaction, withMID(mid), func(e *dm.Event) { e.Reaction, e.Emoji = "love", "❤️" })},
	"unreact":                {want(dm.KindUnreaction, withMID(mid))},
	"seen":                   {want(dm.KindSeen, withMID(mid))},
	"seen_watermark":         {want(dm.KindSeen)},
	"seen_own":               {want(dm.KindSeen, withMID(mid), func(e *dm.Event) { e.Own = true })},
	"edit":                   {want(dm.KindEdit, withMID(mid), text("new"), func(e *dm.Event) { e.Edits = 1 })},
	"edit_number_as_string": {want(dm.KindEdit, withMID(mid), text("new"), func(e *dm.Event) {
		e.Edits = 2
	})},
	"edit_noop":                {want(dm.KindEditNoop, withMID(mid))},
	"edit_noop_without_sender": {want(dm.KindEditNoop, withMID(mid), nobody)},
	"optin":                    {want(dm.KindOptin, func(e *dm.Event) { e.Payload = "p" })},
	"pass_thread_control":      {want(dm.KindThreadControl, func(e *dm.Event) { e.Control, e.OldOwner, e.NewOwner = "pass", "1", "2" })},
	"take_thread_control":      {want(dm.KindThreadControl, func(e *dm.Event) { e.Control, e.OldOwner, e.NewOwner = "take", "1", "2" })},
	"request_thread_control":   {want(dm.KindThreadControl, func(e *dm.Event) { e.Control, e.NewOwner = "request", "263902037430900" })},
	"standby": {
		want(dm.KindStandby, withMID(mid), text("hi"), typed("text"), onStandby),
		echo(withMID("M2"), text("x"), onStandby),
		want(dm.KindSeen, withMID("M2"), onStandby),
	},
	"comment":      {comment(dm.KindComment)},
	"comment_flat": {comment(dm.KindComment)},
	"comment_value_first": {want(dm.KindComment, text("hi"), func(e *dm.Event) {
		e.CommentID = "C1"
	})},
	"comment_own": {comment(dm.KindComment, func(e *dm.Event) {
		e.Customer, e.Username, e.Own = account, "shop", true
	})},
	"live_comment": {comment(dm.KindLiveComment)},
	"mention": {want(dm.KindMention, nobody, func(e *dm.Event) {
		e.MediaID, e.CommentID = "18000000000000002", "17900000000000009"
	})},
	"mention_caption": {want(dm.KindMention, nobody, func(e *dm.Event) { e.MediaID = "18000000000000002" })},
	"unknown_field":   {unknown(nobody)},
	"dashboard_test": {message("text", withMID("random_mid"), text("random_text"), func(e *dm.Event) {
		e.Account, e.Customer, e.Time, e.KnownAccount = "0", "12334", time.Unix(1527459824, 0).UTC(), false
	})},
	"message_echoes_flat": {echo()},
	"ids_as_numbers":      {message("text", text("hi"), func(e *dm.Event) { e.Customer = "9007199254740993" })},
	"times_missing":       {message("text", text("hi"), func(e *dm.Event) { e.Time = received })},
	"time_absurd":         {message("text", text("hi"), func(e *dm.Event) { e.Time = sending })},
	"hop_context":         {message("text", text("hi"))},
	"entry_id_differs":    {message("text", text("hi"))},
	"batch_with_broken_items": {
		message("text", withMID("M1"), text("one")),
		unknown(),
		unknown(nobody, at(sending)), unknown(nobody, at(sending)), unknown(nobody, at(sending)), unknown(nobody, at(sending)), unknown(nobody, at(sending)),
		unknown(), unknown(), unknown(), unknown(),
		unknown(nobody), unknown(),
		message("text", withMID("M6"), text("six")),
	},
	"mixed_accounts": {
		message("text", withMID("M1"), text("one")),
		message("text", withMID("M1"), text("two"), func(e *dm.Event) { e.Account, e.Customer, e.KnownAccount = "17841400000000002", "8", false }),
	},
	"entries_odd": {
		unknown(nobody),
		unknown(nobody, at(received), func(e *dm.Event) { e.Account, e.KnownAccount = "", false }),
		unknown(nobody, at(received), func(e *dm.Event) { e.Account, e.KnownAccount = "", false }),
		message("text", withMID("M1"), text("alone")),
	},
	"foreign_page":     {foreign(dm.ChannelMessenger, "1001"), foreign(dm.ChannelMessenger, "1002")},
	"foreign_whatsapp": {func() dm.Event { e := foreign(dm.ChannelWhatsApp, "2001"); e.Time = received; return e }()},
	"foreign_other":    {func() dm.Event { e := foreign(dm.ChannelInstagram, ""); e.Time = received; return e }()},
	"empty_entry":      nil,
	"no_entry":         nil,
}

func at(t time.Time) func(*dm.Event) { return func(e *dm.Event) { e.Time = t } }

func options() webhook.Options {
	return webhook.Options{ReceivedAt: received, Known: func(c dm.Channel, id string) bool { return c == dm.ChannelInstagram && id == account }}
}

func TestEveryShape(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.json")
	require.NoError(t, err)
	require.Len(t, files, len(shapes), "every fixture has an expectation and every expectation a fixture")
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expected, listed := shapes[name]
			require.True(t, listed, "no expectation")
			raw, err := os.ReadFile(file)
			require.NoError(t, err)
			got, err := webhook.Parse(raw, options())
			require.NoError(t, err)
			require.Len(t, got, len(expected))
			ids := map[string]bool{}
			for i, e := range got {
				require.NotEmpty(t, e.ID)
				require.False(t, ids[e.ID], "two events with one id")
				ids[e.ID] = true
				require.True(t, json.Valid(e.Raw), "raw: %s", e.Raw)
				if !strings.HasSuffix(name, "_flat") {
					require.Contains(t, string(raw), string(e.Raw), "the item travels as it came")
				}
				e.ID, e.Raw = "", nil
				require.Equal(t, expected[i], e)
			}
		})
	}
}

func TestRawIsTheWholeItem(t *testing.T) {
	t.Parallel()
	raw := []byte(`{"object":"instagram","entry":[{"id":"1","messaging":[ {"sender":{"id":"2"} , "message":{"mid":"A","text":"x"}} ,  {"sender":{"id":"2"},"message":{"mid":"B","text":"y"}}],"changes":[ {"field":"mentions","value":{"media_id":"M"}} ]}]}`)
	events, err := webhook.Parse(raw, webhook.Options{})
	require.NoError(t, err)
	require.Len(t, events, 3)
	requireRaw(t, `{"sender":{"id":"2"} , "message":{"mid":"A","text":"x"}}`, events[0])
	requireRaw(t, `{"sender":{"id":"2"},"message":{"mid":"B","text":"y"}}`, events[1])
	requireRaw(t, `{"field":"mentions","value":{"media_id":"M"}}`, events[2])
}

func TestFlatRaw(t *testing.T) {
	t.Parallel()
	events, err := webhook.Parse([]byte(`{"object":"instagram","entry":[{"id":"1","time":1762000000,"value":{"media_id":"M"},"field":"mentions"}]}`), webhook.Options{})
	require.NoError(t, err)
	require.Len(t, events, 1)
	requireRaw(t, `{"field":"mentions","value":{"media_id":"M"}}`, events[0])
}

// requireRaw compares bytes: an item travels as it came, white space and all.
func requireRaw(t *testing.T, expected string, e dm.Event) {
	t.Helper()
	require.Equal(t, expected, string(e.Raw))
}
