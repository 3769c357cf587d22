package record_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/services/archiver/internal/record"
)

// Every part that reaches the customer is a row: its type as an inbound message's would be, its text where it has one, the
// rest of it in the metadata. What is only shown is none.
func TestRowsOfOtherParts(t *testing.T) {
	t.Parallel()
	buttons := []dm.Button{{Title: "Open", URL: "https://example.com"}}
	parts := []dm.Part{
		{Kind: dm.PartTypingOn}, {Kind: dm.PartText, Text: "plain"},
		{Kind: dm.PartText, Text: "choose", QuickReplies: []dm.QuickReply{{Title: "Blue", Payload: "B"}}},
		{Kind: dm.PartImage, Media: []dm.Media{{URL: "https://example.com/a.jpg"}}},
		{Kind: dm.PartGenericTemplate, Elements: []dm.Element{{Title: "Blue", Subtitle: "29 €"}}},
		{Kind: dm.PartButtonTemplate, Text: "What now?", Buttons: buttons}, {Kind: dm.PartMarkSeen},
		{Kind: dm.PartMediaShare, PostID: "18"}, {Kind: dm.PartLikeHeart}, {Kind: dm.PartReaction, MID: "m_1", Reaction: "love"},
	}
	facts := record.FromIntent(&dm.ReplyIntent{ID: "in_1", Conversation: conv, CreatedAt: at, Parts: parts})
	var types, texts []string
	for n := range facts.Messages {
		row, metadata := merged(t, record.Facts{Messages: facts.Messages[n : n+1]})
		require.Equal(t, record.Outbound("in_1", n), row.ID, "numbered as the sender numbers them")
		intent, ok := metadata["intent"].(map[string]any)
		require.True(t, ok)
		require.EqualValues(t, 8, intent["of"])
		require.Equal(t, n > 0, intent["message"] != nil, "a plain text is in its column alone")
		if n > 0 {
			require.NotContains(t, intent["message"], "text")
		}
		text := ""
		if row.Text != nil {
			text = *row.Text
		}
		types, texts = append(types, row.Type), append(texts, text)
	}
	require.Equal(t, []string{"text", "text", "image", "template", "template", "share", "like_heart", "reaction"}, types)
	require.Equal(t, []string{"plain", "choose", "", "", "What now?", "", "", ""}, texts)
}

func TestDeliveryOfAnotherPart(t *testing.T) {
	t.Parallel()
	d := &dm.Delivery{ID: "de_1", IntentID: "in_1", Of: 1, Conversation: conv, Outcome: dm.OutcomeFailed, Stop: dm.StopUnreachable, SentAt: at,
		Message: dm.Part{Kind: dm.PartButtonTemplate, Text: "secret offer", Buttons: []dm.Button{{Title: "secret button", Payload: "P"}}, HumanAgent: true}}
	row, metadata := merged(t, record.FromDelivery(d))
	require.Equal(t, []string{"template", "secret offer", "failed"}, []string{row.Type, *row.Text, row.Status})
	delivery, ok := metadata["delivery"].(map[string]any)
	require.True(t, ok)
	require.Equal(t, "unreachable", delivery["stop"])
	require.Equal(t, map[string]any{"kind": "button_template", "human_agent": true, "buttons": []any{map[string]any{"title": "secret button", "payload": "P"}}}, delivery["message"])

	again := record.Stored(row)
	same, err := again.Row(time.Time{})
	require.NoError(t, err)
	require.JSONEq(t, row.Metadata, same.Metadata)
	require.Equal(t, row.Type, same.Type)

	again.MID = "M"
	gone := record.FromEvent(event(dm.KindDelete, nil)).Messages[0]
	again.Merge(&gone)
	erased, err := again.Row(time.Time{})
	require.NoError(t, err)
	require.Nil(t, erased.Text)
	require.NotContains(t, erased.Metadata, "secret", "what is unsent is gone from the metadata, too")
}

// The first message of an intent keeps how it was decided, for all of them; nothing of it is left when it is unsent.
func TestHowItWasDecidedIsKept(t *testing.T) {
	t.Parallel()
	why := &dm.Trace{Rules: 3, Tried: []dm.TraceRule{{ID: "r", Won: true, Keyword: "cost", Words: "secret words"}}}
	facts := record.FromIntent(&dm.ReplyIntent{ID: "in_1", Conversation: conv, CreatedAt: at, Trace: why, Parts: []dm.Part{{Kind: dm.PartText, Text: "a"}, {Kind: dm.PartText, Text: "b"}}})
	require.Nil(t, facts.Messages[1].Intent.Trace)
	row, metadata := merged(t, record.Facts{Messages: facts.Messages[:1]})
	intent, ok := metadata["intent"].(map[string]any)
	require.True(t, ok)
	require.Equal(t, map[string]any{"rules": 3.0, "tried": []any{map[string]any{"id": "r", "won": true, "keyword": "cost", "words": "secret words"}}}, intent["trace"])

	again := record.Stored(row)
	same, err := again.Row(time.Time{})
	require.NoError(t, err)
	require.JSONEq(t, row.Metadata, same.Metadata)

	gone := again
	gone.DeletedAt = at
	erased, err := gone.Row(time.Time{})
	require.NoError(t, err)
	require.NotContains(t, erased.Metadata, "secret")
}

// What Parley itself tells of a conversation is kept as an event, with all that it says.
func TestDecisionsAndLabelsAreKeptAsEvents(t *testing.T) {
	t.Parallel()
	decided := dm.Event{ID: "ev_9", Conversation: conv, Kind: dm.KindDecision, MID: "M", Time: at, ReceivedAt: at, Source: dm.SourceParley,
		Decision: &dm.Decision{EventID: "ev_1", Kind: dm.KindMessage, Reason: "person", Trace: &dm.Trace{Why: "person"}}}
	labelled := dm.Event{ID: "ev_10", Conversation: conv, Kind: dm.KindLabel, Time: at, ReceivedAt: at, Source: dm.SourceParley, Labels: &dm.Labels{Added: []string{"vip"}, At: at}}
	for want, e := range map[string]dm.Event{`"reason":"person"`: decided, `"added":["vip"]`: labelled} {
		facts := record.FromEvent(&e)
		require.Empty(t, facts.Messages)
		require.Nil(t, facts.Conversation)
		require.Equal(t, string(e.Kind), facts.Event.Kind)
		require.Equal(t, e.MID, facts.Event.MID)
		require.Contains(t, facts.Event.Data, want)
	}
}
