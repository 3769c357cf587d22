package envelope_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/envelope"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	at           = time.Date(2026, 11, 22, 21, 5, 6, 789_000_000, time.UTC)
	conversation = dm.Conversation{Channel: dm.ChannelInstagram, Account: "17841400000000001", Customer: "7001"}
)

func event() dm.Event {
	return dm.Event{
		ID: "ev_1", Conversation: conversation, Kind: dm.KindMessage, MID: "m_1", Text: `What does the <blue> one cost? "29 €" & كم السعر؟ 😀` + "\u2028\n",
		MessageType: "text", Attachments: []dm.Attachment{{Type: "image", URL: "https://example.com/?a=1&b=2"}, {Type: "share", MediaID: "9007199254740993"}},
		KnownAccount: true, Time: at, ReceivedAt: at.Add(time.Nanosecond), Source: dm.SourceWebhook, Raw: json.RawMessage(`{"mid":"m_1","n":[1,-2.5e3,null,true]}`),
	}
}

func hold() dm.Event {
	return dm.Event{
		ID: "ev_2", Conversation: conversation, Kind: dm.KindHold, MID: "m_3", KnownAccount: true, Time: at, ReceivedAt: at, Source: dm.SourceParley,
		Hold: &dm.Hold{Holder: dm.HolderPerson, Reason: dm.HoldTakeover, By: "app 7", At: at, Until: at.Add(12 * time.Hour), MID: "m_3", Cause: "ev_1"},
	}
}

func profile() dm.Event {
	return dm.Event{
		ID: "ev_3", Conversation: conversation, Kind: dm.KindProfile, KnownAccount: true, Time: at, ReceivedAt: at, Source: dm.SourceParley,
		Profile: &dm.Profile{Name: "Ada & Søn", Username: "ada", PictureURL: "https://example.com/p.jpg?a=1&b=2", FetchedAt: at},
	}
}

func intent() dm.ReplyIntent {
	return dm.ReplyIntent{
		ID: "in_1", EventID: "ev_1", Conversation: conversation, Origin: dm.OriginRule, RuleID: "r", RuleName: "price", MatchedOn: "cost",
		Parts: []dm.Part{{Kind: dm.PartText, Text: "29 €."}, {Kind: dm.PartText}}, EventTime: at, ReceivedAt: at, CreatedAt: at, Expires: at.Add(24 * time.Hour),
	}
}

// rich is an intent with every kind of part and every member of them.
func rich() dm.ReplyIntent {
	i := intent()
	buttons := []dm.Button{{Title: "Buy & go", URL: "https://example.com/?a=1&b=2"}, {Title: "Later", Payload: "LATER"}}
	i.Parts = []dm.Part{
		{Kind: dm.PartMarkSeen}, {Kind: dm.PartTypingOn}, {Kind: dm.PartReaction, MID: "m_1", Reaction: "love"}, {Kind: dm.PartUnreaction, MID: "m_1"},
		{Kind: dm.PartText, Text: "Which one?", ReplyToMID: "m_1", QuickReplies: []dm.QuickReply{{Title: "Blue", Payload: "BLUE"}, {Ask: "user_email"}}},
		{Kind: dm.PartImage, Media: []dm.Media{{URL: "https://example.com/a.jpg"}, {AttachmentID: "77"}}},
		{Kind: dm.PartVideo, Media: []dm.Media{{URL: "https://example.com/a.mp4"}}}, {Kind: dm.PartLikeHeart}, {Kind: dm.PartMediaShare, PostID: "18"},
		{Kind: dm.PartGenericTemplate, Elements: []dm.Element{{Title: "Blue", Subtitle: "29 €", ImageURL: "https://example.com/a.jpg", URL: "https://example.com/blue", Buttons: buttons}, {Title: "Red"}}},
		{Kind: dm.PartButtonTemplate, Text: "What now?", Buttons: buttons, HumanAgent: true},
		{Kind: dm.PartText, Text: "Thank you!", CommentID: "c_1"},
	}
	return i
}

// traced is an intent that says all there is to say of how it was decided.
func traced() dm.ReplyIntent {
	i := intent()
	i.Parts = i.Parts[:1]
	i.Trace = trace()
	return i
}

func trace() *dm.Trace {
	return &dm.Trace{
		Engines:   []dm.TraceEngine{{Name: "http", Outcome: "timeout", Detail: "no answer within 3s", Micros: 3_000_000}, {Name: "rules", Outcome: "decided", Micros: 7}},
		Occasions: []string{"text", "first_message"}, Rules: 12, RulesVersion: "v1", MoreTried: 1, Language: "de", Intent: "price", Sentiment: "good", Why: "matched", At: at, Micros: 42,
		Tried: []dm.TraceRule{
			{ID: "q", Name: "away", Version: 2, Skipped: "hours", Detail: "Sun 21:05 UTC", Keyword: "cost"},
			{ID: "r", Name: "price", Version: 3, Won: true, Keyword: "cost", Words: "cost", From: 24, To: 28},
		},
	}
}

func decision() dm.Event {
	return dm.Event{
		ID: "ev_3", Conversation: conversation, Kind: dm.KindDecision, MID: "m_1", KnownAccount: true, Time: at, ReceivedAt: at, Source: dm.SourceParley,
		Decision: &dm.Decision{EventID: "ev_1", Kind: dm.KindMessage, Reason: "person", Trace: &dm.Trace{Why: "person", Rules: 12}},
	}
}

func labels() dm.Event {
	return dm.Event{
		ID: "ev_4", Conversation: conversation, Kind: dm.KindLabel, KnownAccount: true, Time: at, ReceivedAt: at, Source: dm.SourceParley,
		Labels: &dm.Labels{Added: []string{"vip", "größe <M>"}, Removed: []string{"new"}, By: "rule price", Cause: "ev_1", At: at},
	}
}

// refused is a delivery with what only refused ones have.
func refused() dm.Delivery {
	d := delivery()
	d.Outcome, d.MID, d.Reason, d.Stop, d.Message = dm.OutcomeFailed, "", "no such user", dm.StopUnreachable, rich().Parts[4]
	return d
}

func delivery() dm.Delivery {
	return dm.Delivery{
		ID: "de_1", IntentID: "in_1", Of: 2, Conversation: conversation, Outcome: dm.OutcomeSent, MID: "m_2", Origin: dm.OriginRule, Message: dm.Part{Kind: dm.PartText, Text: "29 €."},
		Attempts: []dm.Attempt{{At: at, DurationMS: 12, Status: 503, Error: "busy"}, {At: at, DurationMS: 80, Status: 200}}, SentAt: at, ReceivedAt: at,
	}
}

// TestGolden holds the format still: what is on the bus, and in dead letters, is read by other versions and other clients.
func TestGolden(t *testing.T) {
	t.Parallel()
	for name, encode := range map[string]func() ([]byte, error){
		"event":    envelope.Event(event(), "req_1").Encode,
		"intent":   envelope.Intent(intent(), "ev_1", "ev_1").Encode,
		"delivery": envelope.Delivery(delivery(), "ev_1", "in_1").Encode,
		"rich":     envelope.Intent(rich(), "ev_1", "ev_1").Encode,
		"refused":  envelope.Delivery(refused(), "ev_1", "in_1").Encode,
		"hold":     envelope.Event(hold(), "ev_1").Encode,
		"traced":   envelope.Intent(traced(), "ev_1", "ev_1").Encode,
		"decision": envelope.Event(decision(), "ev_1").Encode,
		"label":    envelope.Event(labels(), "ev_1").Encode,
		"profile":  envelope.Event(profile(), "ev_1").Encode,
	} {
		got, err := encode()
		require.NoError(t, err)
		golden, err := os.ReadFile(filepath.Join("testdata", name+".json"))
		require.NoError(t, err)
		require.Equal(t, strings.TrimSpace(string(golden)), string(got))
	}
	got, err := envelope.Decode[dm.Event](mustRead(t, "event.json"))
	require.NoError(t, err)
	require.Equal(t, envelope.Event(event(), "req_1"), got)
	changed, err := envelope.Decode[dm.Event](mustRead(t, "hold.json"))
	require.NoError(t, err)
	require.Equal(t, envelope.Event(hold(), "ev_1"), changed)
	for name, want := range map[string]dm.Event{"decision": decision(), "label": labels()} {
		got, err := envelope.Decode[dm.Event](mustRead(t, name+".json"))
		require.NoError(t, err)
		require.Equal(t, envelope.Event(want, "ev_1"), got)
	}
	why, err := envelope.Decode[dm.ReplyIntent](mustRead(t, "traced.json"))
	require.NoError(t, err)
	require.Equal(t, envelope.Intent(traced(), "ev_1", "ev_1"), why)
	known, err := envelope.Decode[dm.Event](mustRead(t, "profile.json"))
	require.NoError(t, err)
	require.Equal(t, envelope.Event(profile(), "ev_1"), known)
	reply, err := envelope.Decode[dm.ReplyIntent](mustRead(t, "intent.json"))
	require.NoError(t, err)
	require.Equal(t, envelope.Intent(intent(), "ev_1", "ev_1"), reply)
	sent, err := envelope.Decode[dm.Delivery](mustRead(t, "delivery.json"))
	require.NoError(t, err)
	require.Equal(t, envelope.Delivery(delivery(), "ev_1", "in_1"), sent)
	reply, err = envelope.Decode[dm.ReplyIntent](mustRead(t, "rich.json"))
	require.NoError(t, err)
	require.Equal(t, envelope.Intent(rich(), "ev_1", "ev_1"), reply)
	sent, err = envelope.Decode[dm.Delivery](mustRead(t, "refused.json"))
	require.NoError(t, err)
	require.Equal(t, envelope.Delivery(refused(), "ev_1", "in_1"), sent)
}

func mustRead(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	return b
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	good := string(mustRead(t, "event.json"))
	for name, c := range map[string]struct{ payload, field string }{
		"nothing":        {"", "envelope"},
		"not JSON":       {"hello", "envelope"},
		"a list":         {"[]", "envelope"},
		"cut off":        {good[:len(good)-3], "envelope"},
		"something more": {good + "}", "envelope"},
		"another type":   {strings.Replace(good, "dm.event", "dm.intent", 1), "type"},
		"no id":          {strings.Replace(good, `"id":"ev_1","type"`, `"id":"","type"`, 1), "id"},
		"version 0":      {strings.Replace(good, `"version":1`, `"version":0`, 1), "version"},
		"a wrong time":   {strings.Replace(good, "2026-11-22T21", "2026-13-22T21", 1), "envelope"},
	} {
		_, err := envelope.Decode[dm.Event]([]byte(c.payload))
		var format *envelope.FormatError
		require.ErrorAs(t, err, &format, name)
		require.Equal(t, c.field, format.Field, name)
	}
	_, err := envelope.Decode[dm.Event]([]byte(strings.Replace(good, `"version":1`, `"version":2`, 1)))
	var newer *envelope.UnsupportedError
	require.ErrorAs(t, err, &newer)
	require.Equal(t, 2, newer.Version)
}

// TestDecodeTakesAnyJSON: other clients may write members in another order, with white space, in other spellings, and more
// of them than we know.
func TestDecodeTakesAnyJSON(t *testing.T) {
	t.Parallel()
	var members map[string]any
	require.NoError(t, json.Unmarshal(mustRead(t, "event.json"), &members))
	members["new_in_another_version"] = []any{nil, 1.5}
	payload, err := json.MarshalIndent(members, "", "\t")
	require.NoError(t, err)
	payload = []byte(strings.Replace(string(payload), `"correlation_id"`, `"Correlation_ID"`, 1))
	got, err := envelope.Decode[dm.Event](payload)
	require.NoError(t, err)
	want := envelope.Event(event(), "req_1")
	require.JSONEq(t, string(want.Data.Raw), string(got.Data.Raw))
	got.Data.Raw = want.Data.Raw
	require.Equal(t, want, got)
}

func TestEncodeRefuses(t *testing.T) {
	t.Parallel()
	e := event()
	e.Raw = json.RawMessage(`{"a":}`)
	_, err := envelope.Event(e, "").Encode()
	var syntax *json.SyntaxError
	require.ErrorAs(t, err, &syntax)
	e = event()
	e.Time = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
	_, err = envelope.Event(e, "").Encode()
	require.ErrorContains(t, err, "year outside of range")
}

// TestEveryMemberIsKnown fails when a field is added to a type and not to the scanner and the writer.
func TestEveryMemberIsKnown(t *testing.T) {
	t.Parallel()
	var e dm.Event
	var i dm.ReplyIntent
	var d dm.Delivery
	for _, v := range []any{&e, &i, &d} {
		fill(t, reflect.ValueOf(v).Elem())
	}
	e.Raw = json.RawMessage(`{"a":[1]}`)
	agree(t, envelope.Event(e, "c"))
	agree(t, envelope.Intent(i, "c", "c"))
	agree(t, envelope.Delivery(d, "c", "c"))
	requireScanned(t, envelope.Event(e, "c"))
	requireScanned(t, envelope.Intent(i, "c", "c"))
	requireScanned(t, envelope.Delivery(d, "c", "c"))
}

// fill sets every field to something.
func fill(t *testing.T, v reflect.Value) {
	t.Helper()
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(at))
	case v.Kind() == reflect.String:
		v.SetString("x")
	case v.CanInt():
		v.SetInt(7)
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	case v.Kind() == reflect.Uint8:
		v.SetUint('1')
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem())
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(t, v.Index(0))
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
	default:
		require.FailNow(t, "a field of a kind that this test does not know", "%s", v.Type())
	}
}

// agree demands that an envelope is written as encoding/json writes it, and read back as it reads it.
func agree[T envelope.Data](t require.TestingT, e envelope.Envelope[T]) {
	want, wantErr := json.Marshal(e)
	got, err := e.Encode()
	require.Equal(t, wantErr == nil, err == nil, "%v and %v", wantErr, err)
	if err != nil {
		return
	}
	require.Equal(t, string(want), string(got))
	var back envelope.Envelope[T]
	require.NoError(t, json.Unmarshal(got, &back))
	mine, err := envelope.Decode[T](got)
	require.NoError(t, err)
	require.Equal(t, back, mine)
}
