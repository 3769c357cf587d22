package backfill_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/meta/graph"
)

// What did not come is told, as the webhooks would have told it: what the account said first, then its customers, the oldest first.
func TestWhatDidNotComeIsTold(t *testing.T) {
	t.Parallel()
	w := setup()
	photo := dm.Attachment{Type: "image", URL: "https://cdn.example/a"}
	story := w.said("m_story", 4*time.Minute, "nice")
	story.StoryID = "18"
	stranger := w.said("m_stranger", 3*time.Minute, "x")
	stranger.To = []string{"somebody else"}
	w.threads = []thread{{w.now.Add(-30 * time.Second), []graph.Message{
		w.said("m_before", 13*time.Hour, "before anything was known"), w.said("m_known", 10*time.Minute, "known"), w.said("m_photo", 9*time.Minute, "", photo),
		w.said("m_nothing", 8*time.Minute, ""), w.answered("m_echo", 7*time.Minute, "by hand"), w.said("m_gone", 6*time.Minute, "gone"), stranger, story,
		w.said("m_young", 30*time.Second, "its webhook may still come"),
	}}}
	w.known["m_known"], w.gone["m_gone"] = struct{}{}, true
	w.run(t)
	w.looks(t, 1)
	require.Eventually(t, func() bool { w.mu.Lock(); defer w.mu.Unlock(); return len(w.events) == 1 }, patience, time.Millisecond)
	w.mu.Lock()
	defer w.mu.Unlock()
	var told []string
	for _, e := range w.events[0] {
		require.Equal(t, dm.EventID(dm.ChannelInstagram, shop, e.Kind, e.MID), e.ID, "the webhook's id")
		require.Equal(t, dm.Conversation{Channel: dm.ChannelInstagram, Account: shop, Customer: "7001"}, e.Conversation)
		require.Equal(t, dm.SourceBackfill, e.Source)
		require.True(t, e.KnownAccount)
		told = append(told, fmt.Sprint(e.Kind, " ", e.MID, " ", e.MessageType, " ", e.Attachments))
	}
	require.Equal(t, []string{"echo m_echo text []", "message m_photo image [{image https://cdn.example/a  }]", "message m_nothing unsupported []", "message m_story story_reply []"}, told)
}

// What was erased is still at Meta; it was not missed.
func TestWhatWasErasedIsNotToldAgain(t *testing.T) {
	t.Parallel()
	w := setup()
	w.threads = []thread{{w.now.Add(-2 * time.Minute), []graph.Message{
		w.said("m_1", 4*time.Minute, "erased"), w.answered("m_2", 3*time.Minute, "erased"), w.said("m_3", 2*time.Minute, "said since"),
	}}}
	w.erased = map[string]bool{"m_1": true, "m_2": true}
	w.run(t)
	require.Eventually(t, func() bool { w.mu.Lock(); defer w.mu.Unlock(); return len(w.events) == 1 }, patience, time.Millisecond)
	w.mu.Lock()
	defer w.mu.Unlock()
	require.Len(t, w.events[0], 1)
	require.Equal(t, "m_3", w.events[0][0].MID)
}

// An app that may not ask for attachments is told the text.
func TestTheTextWillDo(t *testing.T) {
	t.Parallel()
	w := setup()
	w.plain = true
	w.threads = []thread{{w.now.Add(-2 * time.Minute), []graph.Message{w.said("m_1", 2*time.Minute, "a text", dm.Attachment{Type: "image", URL: "https://cdn.example/a"})}}}
	w.run(t)
	require.Eventually(t, func() bool { w.mu.Lock(); defer w.mu.Unlock(); return len(w.events) == 1 }, patience, time.Millisecond)
	require.Equal(t, "a text", w.events[0][0].Text)
	require.Empty(t, w.events[0][0].Attachments)
}
