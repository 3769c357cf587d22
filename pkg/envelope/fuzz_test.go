package envelope_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/envelope"
)

func requireScanned[T envelope.Data](t *testing.T, e envelope.Envelope[T]) {
	t.Helper()
	payload, err := e.Encode()
	require.NoError(t, err)
	_, ok := envelope.Scanned[T](payload)
	require.True(t, ok, "what is written here is read without encoding/json: %s", payload)
}

// FuzzDecode: what the scanner takes, encoding/json takes too, and reads the same.
func FuzzDecode(f *testing.F) {
	for _, e := range []interface{ Encode() ([]byte, error) }{envelope.Event(event(), "req"), envelope.Intent(intent(), "ev", "ev"), envelope.Delivery(delivery(), "ev", "in"), envelope.Intent(rich(), "ev", "ev"), envelope.Delivery(refused(), "ev", "in"),
		envelope.Intent(traced(), "ev", "ev"), envelope.Event(decision(), "ev"), envelope.Event(labels(), "ev")} {
		payload, err := e.Encode()
		require.NoError(f, err)
		f.Add(payload)
	}
	f.Add([]byte(`{"data":{"raw":{"a":[1,2,{"b":"\ud83d\\"}],"c":-0.5E+7}},"id":"\u0041"}`))
	f.Add([]byte(` { "version" : 01 , "data" : { "edits" : -3 , "own" : true , "text" : null } } `))
	f.Add([]byte("{\"id\":\"\xff\",\"id\":\"\x7f\",\"time\":\"2026-01-02T03:04:05.678+09:00\"}"))
	f.Add([]byte(`{"data":{"attachments":[],"attempts":[{}],"parts":[{"kind":""}]}}`))
	f.Add([]byte(`{"data":{"parts":[{"media":[],"media":[{}],"elements":[{"buttons":[{"title":null}]}],"quick_replies":[{"Title":"x"}]}]}}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		compare[dm.Event](t, payload)
		compare[dm.ReplyIntent](t, payload)
		compare[dm.Delivery](t, payload)
	})
}

func compare[T envelope.Data](t *testing.T, payload []byte) {
	t.Helper()
	got, ok := envelope.Scanned[T](payload)
	if !ok {
		return
	}
	var want envelope.Envelope[T]
	require.NoError(t, json.Unmarshal(payload, &want), "%q", payload)
	require.Equal(t, want, got, "%q", payload)
}

// FuzzEncode: any text, id and raw item is written as encoding/json writes it, and comes back.
func FuzzEncode(f *testing.F) {
	f.Add("hello", "mid", `{"a":1}`, int64(0))
	f.Add("<b>\u2028\x00\xff\\\"", "é😀", ` [ "a b" , "\"  " ] `, int64(1762000000123456789))
	f.Add("", "", `"<\u003c€"`, int64(-1))
	f.Add("x", "y", `{"a":tru}`, int64(5))
	f.Add("deep", "", strings.Repeat("[", 100)+strings.Repeat("]", 100), int64(5))
	f.Fuzz(func(t *testing.T, text, id, raw string, nanoseconds int64) {
		when := time.Unix(0, nanoseconds).UTC()
		c := dm.Conversation{Channel: dm.Channel(id), Account: "a" + text, Customer: id}
		agree(t, envelope.Event(dm.Event{ID: "e" + id, Conversation: c, Text: text, MID: id, Raw: json.RawMessage(raw), Time: when, ReceivedAt: when}, text))
		agree(t, envelope.Intent(dm.ReplyIntent{ID: "i" + id, Conversation: c, Parts: []dm.Part{{Kind: "text", Text: text}}, Expires: when}, id, text))
		button := dm.Button{Title: id, URL: text, Payload: id}
		part := dm.Part{Kind: dm.PartKind(id), Text: text, QuickReplies: []dm.QuickReply{{Title: text, Payload: id, Ask: text}}, Media: []dm.Media{{URL: text, AttachmentID: id}},
			Elements: []dm.Element{{Title: text, Subtitle: id, ImageURL: text, URL: id, Buttons: []dm.Button{button}}}, Buttons: []dm.Button{button, {}},
			PostID: id, MID: text, Reaction: id, ReplyToMID: text, CommentID: id, HumanAgent: text == id}
		agree(t, envelope.Intent(dm.ReplyIntent{ID: "i" + id, Conversation: c, Parts: []dm.Part{part, {}}}, id, text))
		why := &dm.Trace{Engines: []dm.TraceEngine{{Name: id, Outcome: text, Detail: id, Micros: nanoseconds}, {}}, Occasions: []string{text, id}, Why: text, At: when, Language: id,
			Tried: []dm.TraceRule{{ID: id, Name: text, Won: text == id, Skipped: id, Detail: text, Keyword: text, Words: text, From: int(nanoseconds)}, {}}}
		agree(t, envelope.Intent(dm.ReplyIntent{ID: "i" + id, Conversation: c, Parts: []dm.Part{{Kind: "text"}}, Trace: why}, id, text))
		agree(t, envelope.Event(dm.Event{ID: "e" + id, Decision: &dm.Decision{EventID: id, Kind: dm.EventKind(text), Reason: text, Trace: why}, Labels: &dm.Labels{Added: []string{text, ""}, Removed: []string{id}, By: text, At: when}}, id))
		agree(t, envelope.Delivery(dm.Delivery{ID: "d" + id, Conversation: c, Message: part, Stop: dm.Stop(id), Reason: text, Attempts: []dm.Attempt{{At: when, Error: id, DurationMS: nanoseconds}}}, id, text))
	})
}

func BenchmarkEncode(b *testing.B) {
	e := envelope.Event(plain(), "req_1")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Encode(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	payload, err := envelope.Event(plain(), "req_1").Encode()
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := envelope.Decode[dm.Event](payload); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkText is an ordinary reply, both ways: what the other kinds of part must not make dearer.
func BenchmarkText(b *testing.B) {
	i := intent()
	i.Parts = i.Parts[:1]
	b.ReportAllocs()
	for b.Loop() {
		payload, err := envelope.Intent(i, "ev_1", "ev_1").Encode()
		if err != nil {
			b.Fatal(err)
		}
		if _, err := envelope.Decode[dm.ReplyIntent](payload); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStandard is what encoding/json takes for both.
func BenchmarkStandard(b *testing.B) {
	e := envelope.Event(plain(), "req_1")
	payload, err := e.Encode()
	require.NoError(b, err)
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := json.Marshal(e); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var back envelope.Envelope[dm.Event]
			if err := json.Unmarshal(payload, &back); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// plain is an event as most are.
func plain() dm.Event {
	mid := "aWdfZAG1faXRlbToxOklHTWVzc2FnZAUlEOjE3ODQxNDAwMDAwMDAwMDAxOjM0MDI4MjM2Njg0MTcxMDMwMTI0NDI1OTkwNDc5NDI2ODQ0ODgzNzoz000000000001"
	return dm.Event{
		ID: dm.EventID(conversation.Channel, conversation.Account, dm.KindMessage, mid), Conversation: conversation, Kind: dm.KindMessage, MID: mid,
		Text: "What is the price of the blue one?", MessageType: "text", KnownAccount: true, Time: at, ReceivedAt: at, Source: dm.SourceWebhook,
		Raw: json.RawMessage(`{"sender":{"id":"7001"},"recipient":{"id":"17841400000000001"},"timestamp":1762000000000,"message":{"mid":"` + mid + `","text":"What is the price of the blue one?"}}`),
	}
}
