package respond_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/services/responder/internal/respond"
)

func TestWhatWasMissedIsAnsweredWhileItIsYoung(t *testing.T) {
	t.Parallel()
	reason := func(source dm.Source, after time.Duration) respond.Reason {
		reason, _ := respond.Silence(message("price", func(t *respond.Turn) {
			t.Event.Source, t.Event.ReceivedAt, t.AnswerWithin = source, noon.Add(after), time.Hour
		}))
		return reason
	}
	require.Empty(t, reason(dm.SourceBackfill, 59*time.Minute))
	require.Empty(t, reason(dm.SourceBackfill, time.Hour))
	require.Equal(t, respond.ReasonBackfillOld, reason(dm.SourceBackfill, 61*time.Minute))
	require.Equal(t, respond.ReasonLate, reason(dm.SourceBackfill, 25*time.Hour))
	require.Empty(t, reason(dm.SourceWebhook, 23*time.Hour), "a webhook that is late is a webhook")
}

// heard is what customers said.
type heard []dm.Event

func (h heard) Heard(context.Context, dm.Conversation, time.Time) ([]dm.Event, error) { return h, nil }

// A tap that was missed is found as a message, with another event's id than its webhook has.
func TestATapThatWasFoundAsAMessageIsNotAnsweredTwice(t *testing.T) {
	t.Parallel()
	tap := message("price", kind(dm.KindPostback)).Event
	tap.ReceivedAt = noon.Add(10 * time.Minute)
	found := tap
	found.Kind, found.Source = dm.KindMessage, dm.SourceBackfill
	other := found
	other.MID = "another"
	for _, c := range []struct {
		heard    heard
		answered bool
	}{{heard{found}, false}, {heard{other}, true}, {heard{tap}, true}, {nil, true}} {
		_, answered := hears(t, c.heard).answer(t, tap)
		require.Equal(t, c.answered, answered, "%+v", c.heard)
	}
	prompt := tap
	prompt.ReceivedAt = noon.Add(time.Second)
	_, answered := hears(t, heard{found}).answer(t, prompt)
	require.True(t, answered, "nothing is looked for where nothing can have been found yet")
}
