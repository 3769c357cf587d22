package record_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/services/archiver/internal/record"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	at   = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	conv = dm.Conversation{Channel: dm.ChannelInstagram, Account: "178", Customer: "7001"}
)

func event(kind dm.EventKind, edit func(e *dm.Event)) *dm.Event {
	e := &dm.Event{
		ID: "ev_" + string(kind), Conversation: conv, Kind: kind, MID: "M", Text: "hello", MessageType: "text", KnownAccount: true,
		Time: at, ReceivedAt: at.Add(time.Second), Raw: json.RawMessage(`{"message":{"mid":"M","text":"hello"}}`),
	}
	if edit != nil {
		edit(e)
	}
	return e
}

// merged is the row of what some facts say of one message.
func merged(t *testing.T, facts ...record.Facts) (record.Row, map[string]any) {
	t.Helper()
	m := facts[0].Messages[0]
	for _, f := range facts[1:] {
		m.Merge(&f.Messages[0])
	}
	row, err := m.Row(time.Time{})
	require.NoError(t, err)
	var metadata map[string]any
	require.NoError(t, json.Unmarshal([]byte(row.Metadata), &metadata))
	return row, metadata
}

func TestEveryKindIsKeptSomewhere(t *testing.T) {
	t.Parallel()
	kinds := map[dm.EventKind]string{
		dm.KindMessage: "row", dm.KindPostback: "row", dm.KindEcho: "row", dm.KindSelf: "row", dm.KindStandby: "row",
		dm.KindEdit: "change", dm.KindDelete: "change", dm.KindReaction: "change", dm.KindUnreaction: "change", dm.KindSeen: "conversation",
		dm.KindEditNoop: "event", dm.KindReferral: "event", dm.KindOptin: "event", dm.KindThreadControl: "event", dm.KindComment: "event",
		dm.KindLiveComment: "event", dm.KindMention: "event", dm.KindUnknown: "event", "from_the_future": "event",
	}
	for kind, want := range kinds {
		f := record.FromEvent(event(kind, nil))
		switch want {
		case "row":
			require.True(t, f.Messages[0].Exists(), kind)
			require.Nil(t, f.Event, kind)
		case "change":
			require.False(t, f.Messages[0].Exists(), kind)
		case "conversation":
			require.NotNil(t, f.Conversation, kind)
			require.Empty(t, f.Messages, kind)
		default:
			require.NotNil(t, f.Event, kind)
			require.Nil(t, f.Conversation, kind)
			require.JSONEq(t, `{"message":{"mid":"M","text":"hello"}}`, string(rawOf(t, f.Event.Data)), kind)
		}
		nobody := record.FromEvent(event(kind, func(e *dm.Event) { e.Customer = "" }))
		require.Nil(t, nobody.Conversation)
		if want == "change" {
			require.Equal(t, f.Messages[0].Changes, nobody.Messages[0].Changes, "%s of a message that is named", kind)
			nobody = record.FromEvent(event(kind, func(e *dm.Event) { e.Customer, e.MID = "", "" }))
		}
		require.NotNil(t, nobody.Event, "%s without a customer", kind)
	}
}

func rawOf(t *testing.T, data string) json.RawMessage {
	t.Helper()
	var d struct {
		Raw json.RawMessage `json:"raw"`
	}
	require.NoError(t, json.Unmarshal([]byte(data), &d))
	return d.Raw
}

func TestRowOfAMessage(t *testing.T) {
	t.Parallel()
	row, metadata := merged(t, record.FromEvent(event(dm.KindMessage, func(e *dm.Event) {
		e.Text, e.KnownAccount, e.Payload = "a\x00b", false, "P"
	})))
	require.Equal(t, "a\uFFFDb", *row.Text)
	require.Equal(t, `a\u0000b`, metadata["original_text"])
	require.Equal(t, true, metadata["unknown_account"])
	require.Equal(t, "P", metadata["payload"])
	require.Equal(t, []string{"7001", "178", "inbound", "received", "text"}, []string{row.Sender, row.Recipient, row.Direction, row.Status, row.Type})
	require.Equal(t, at, row.Timestamp)
	require.Equal(t, at.Add(time.Second), row.CreatedAt)
}

func TestMessageOfOursIsOneRow(t *testing.T) {
	t.Parallel()
	intent := record.FromIntent(&dm.ReplyIntent{
		ID: "in_1", Conversation: conv, Origin: dm.OriginRule, RuleName: "price", CreatedAt: at,
		Parts: []dm.Part{{Kind: dm.PartText, Text: strings.Repeat("long ", 300)}},
	})
	require.Len(t, intent.Messages, 2, "a long text is two messages")
	row, _ := merged(t, intent)
	require.Equal(t, []string{"queued", "outbound", "178", "7001"}, []string{row.Status, row.Direction, row.Sender, row.Recipient})
	require.Nil(t, row.MID)
	intent.Messages = intent.Messages[:1]

	delivery := func(o dm.Outcome, after time.Duration) record.Facts {
		return record.FromDelivery(&dm.Delivery{ID: "de_" + string(o), IntentID: "in_1", Of: 2, Conversation: conv, Outcome: o, MID: "M", SentAt: at.Add(after), Message: dm.Part{Kind: dm.PartText, Text: "sent"}})
	}
	held := delivery(dm.OutcomeHeld, 2*time.Second)
	unknown, failed, sent := delivery(dm.OutcomeUnknown, time.Second), delivery(dm.OutcomeFailed, 2*time.Second), delivery(dm.OutcomeSent, 3*time.Second)
	echo := record.FromEvent(event(dm.KindEcho, func(e *dm.Event) { e.Time = at.Add(2500 * time.Millisecond) }))
	for _, c := range []struct {
		status string
		facts  []record.Facts
	}{
		{"unknown", []record.Facts{unknown, intent}}, {"failed", []record.Facts{failed, unknown, intent}}, {"failed", []record.Facts{intent, unknown, failed}},
		{"sent", []record.Facts{sent, failed, intent}}, {"sent", []record.Facts{echo, sent, intent}}, {"sent", []record.Facts{echo}},
		{"expired", []record.Facts{intent, held}}, {"expired", []record.Facts{held, unknown, intent}}, // the contract has no status of its own for it
	} {
		row, _ := merged(t, c.facts...)
		require.Equal(t, c.status, row.Status)
	}
	row, metadata := merged(t, echo, sent, intent)
	require.Equal(t, record.Outbound("in_1", 0), row.ID)
	require.Equal(t, at.Add(2500*time.Millisecond), row.Timestamp, "Meta's time wins")
	require.Equal(t, "sent", *row.Text, "what was sent is known better than what was told of it")
	require.Contains(t, metadata, "raw")

	m := echo.Messages[0]
	m.Merge(&sent.Messages[0])
	read, err := m.Row(at.Add(2500 * time.Millisecond))
	require.NoError(t, err)
	require.Equal(t, "read", read.Status)
}

func TestEditsKeepOlderTextsAndDeletionKeepsNone(t *testing.T) {
	t.Parallel()
	message := record.FromEvent(event(dm.KindMessage, nil))
	edit := func(n int, text string) record.Facts {
		return record.FromEvent(event(dm.KindEdit, func(e *dm.Event) { e.ID, e.Edits, e.Text = "ev_"+text, n, text }))
	}
	row, metadata := merged(t, edit(2, "second"), message, edit(1, "first"))
	require.Equal(t, "second", *row.Text)
	require.Equal(t, "hello", metadata["first_text"])
	require.Len(t, metadata["edits"], 2)

	again := record.Stored(row)
	same, err := again.Row(time.Time{})
	require.NoError(t, err)
	require.Equal(t, row.Text, same.Text)
	require.JSONEq(t, row.Metadata, same.Metadata)

	row, metadata = merged(t, record.FromEvent(event(dm.KindDelete, nil)), message, edit(1, "first"))
	require.Nil(t, row.Text)
	require.Equal(t, at, *row.DeletedAt)
	require.Contains(t, metadata, "deleted_at")
	for _, word := range []string{"hello", "first"} {
		require.NotContains(t, row.Metadata, word)
	}
}

func TestNewestReactionWins(t *testing.T) {
	t.Parallel()
	reaction := func(kind dm.EventKind, after time.Duration) record.Facts {
		return record.FromEvent(event(kind, func(e *dm.Event) { e.ID, e.Reaction, e.Time = "ev_"+after.String(), "love", at.Add(after) }))
	}
	set, gone := reaction(dm.KindReaction, time.Second), reaction(dm.KindUnreaction, 2*time.Second)
	for _, order := range [][]record.Facts{{set, gone}, {gone, set}} {
		_, metadata := merged(t, append(order, record.FromEvent(event(dm.KindMessage, nil)))...)
		reaction, ok := metadata["reaction"].(map[string]any)
		require.True(t, ok)
		require.Equal(t, true, reaction["removed"])
	}
}
