package envelope_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/envelope"
)

// update writes the golden files anew: go test ./envelope -update. They are a contract: any NATS client reads them.
var update = flag.Bool("update", false, "write the golden files anew")

var (
	conversation = dm.Conversation{Channel: dm.ChannelInstagram, Account: "17841400000000001", Customer: "7001"}
	at           = time.Date(2026, 3, 14, 9, 26, 53, 589_000_000, time.UTC)
	event        = dm.Event{
		ID: dm.EventID(dm.ChannelInstagram, conversation.Account, dm.KindMessage, "m_1"), Conversation: conversation, Kind: dm.KindMessage, MID: "m_1",
		Text: "How much is the <blue> one? 💙", MessageType: "text", Attachments: []dm.Attachment{{Type: "image", URL: "https://example.com/a.jpg?x=1&y=2"}},
		KnownAccount: true, Time: at, ReceivedAt: at.Add(120 * time.Millisecond), Source: dm.SourceWebhook, Raw: json.RawMessage(`{"mid":"m_1"}`),
	}
	intent = dm.ReplyIntent{
		ID: dm.IntentID(event.ID, 0), EventID: event.ID, Conversation: conversation, Origin: dm.OriginRule, RuleID: "7", RuleName: "prices", MatchedOn: "how much",
		Parts: []dm.Part{{Kind: dm.PartText, Text: "29 € & free shipping"}}, EventTime: at, ReceivedAt: event.ReceivedAt, CreatedAt: at.Add(130 * time.Millisecond), Expires: at.Add(24 * time.Hour),
	}
	delivery = dm.Delivery{
		ID: dm.DeliveryID(intent.ID, 0, dm.OutcomeSent), IntentID: intent.ID, Of: 1, Conversation: conversation, Outcome: dm.OutcomeSent, MID: "m_2", Origin: dm.OriginRule,
		Message: intent.Parts[0], Attempts: []dm.Attempt{{At: at.Add(140 * time.Millisecond), DurationMS: 87, Status: 200, TraceID: "AbC"}},
		SentAt: at.Add(227 * time.Millisecond), ReceivedAt: event.ReceivedAt,
	}
)

func TestGolden(t *testing.T) {
	t.Parallel()
	golden(t, "event.json", envelope.Event(event, "req_1"))
	golden(t, "intent.json", envelope.Intent(intent, event.ID, event.ID))
	golden(t, "delivery.json", envelope.Delivery(delivery, event.ID, intent.ID))
}

// golden demands that an envelope is written as its file says, and that the file reads as the envelope.
func golden[T envelope.Data](t *testing.T, name string, e envelope.Envelope[T]) {
	t.Helper()
	got, err := e.Encode()
	require.NoError(t, err)
	var pretty bytes.Buffer
	require.NoError(t, json.Indent(&pretty, got, "", "  "))
	pretty.WriteByte('\n')
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(path, pretty.Bytes(), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), pretty.String())
	back, err := envelope.Decode[T](want)
	require.NoError(t, err)
	again, err := back.Encode()
	require.NoError(t, err)
	require.JSONEq(t, string(got), string(again))
}

func TestDecodeSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	good, err := envelope.Event(event, "").Encode()
	require.NoError(t, err)
	var format *envelope.FormatError
	var newer *envelope.UnsupportedError
	for name, c := range map[string]struct {
		payload string
		target  any
		says    string
	}{
		"not JSON":       {"{", &format, "JSON envelope of type dm.event"},
		"nothing":        {"", &format, "dm.event"},
		"another type":   {strings.Replace(string(good), "dm.event", "dm.intent", 1), &format, `got "dm.intent"`},
		"no id":          {strings.Replace(string(good), event.ID, "", 1), &format, "id: got"},
		"no version":     {strings.Replace(string(good), `"version":1`, `"version":0`, 1), &format, "version"},
		"future version": {strings.Replace(string(good), `"version":1`, `"version":2`, 1), &newer, "update this service first"},
	} {
		_, err := envelope.Decode[dm.Event]([]byte(c.payload))
		require.ErrorAs(t, err, c.target, name)
		require.ErrorContains(t, err, c.says, name)
		require.NotContains(t, err.Error(), event.Text, name)
	}
	withMore := strings.Replace(string(good), `"id"`, `"added_later":true,"id"`, 1)
	_, err = envelope.Decode[dm.Event]([]byte(withMore))
	require.NoError(t, err, "fields of a newer writer of the same version are passed over")
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		e := event
		e.Text, e.Customer, e.MID = rapid.String().Draw(t, "text"), rapid.String().Draw(t, "customer"), rapid.String().Draw(t, "mid")
		payload, err := envelope.Event(e, "").Encode()
		require.NoError(t, err)
		back, err := envelope.Decode[dm.Event](payload)
		require.NoError(t, err)
		require.Equal(t, e, back.Data)
		require.Equal(t, e.ID, back.CorrelationID)
	})
}

func FuzzDecode(f *testing.F) {
	for _, name := range []string{"event.json", "intent.json", "delivery.json"} {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		if e, err := envelope.Decode[dm.Event](payload); err == nil {
			_, err := e.Encode()
			require.NoError(t, err)
		}
		if e, err := envelope.Decode[dm.Delivery](payload); err == nil {
			_, err := e.Encode()
			require.NoError(t, err)
		}
	})
}
