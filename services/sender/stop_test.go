package sender

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/pipeline/holds"
	"github.com/parley-dm/parley/pkg/pipeline/holds/holdstest"
)

func TestWhatMetaRefusesStopsTheConversation(t *testing.T) {
	t.Parallel()
	at := time.Now().UTC().Truncate(time.Microsecond)
	for stop, want := range map[dm.Stop]*dm.Hold{
		"":                 nil,
		dm.StopUnreachable: nil,
		dm.StopNotOurs:     {Holder: dm.HolderApp, Reason: dm.HoldOtherApp, At: at, Until: at.Add(time.Hour), Cause: "de_1"},
		dm.StopTooMany:     {Holder: dm.HolderPerson, Reason: dm.HoldTooMany, At: at, Until: at.Add(tooManyQuiet), Cause: "de_1"},
	} {
		t.Run(string(stop), func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			bucket := holdstest.New()
			s := &stopper{holds: holds.New(bucket, holds.Options{}), quiet: time.Hour, log: slog.New(slog.NewTextHandler(&log, nil))}
			d := dm.Delivery{ID: "de_1", Conversation: dm.Conversation{Channel: dm.ChannelInstagram, Account: "178", Customer: "7001"}, Outcome: dm.OutcomeFailed, Stop: stop, SentAt: at}
			e, err := s.stop(t.Context(), d)
			require.NoError(t, err)
			if want == nil {
				require.Nil(t, e)
				require.Zero(t, bucket.Writes())
				return
			}
			require.Equal(t, want, e.Hold)
			again, err := s.stop(t.Context(), d)
			require.NoError(t, err)
			require.Equal(t, e, again, "the same delivery tells the same")
			require.Equal(t, 1, strings.Count(log.String(), "conversation.stopped"))
			require.Equal(t, stop == dm.StopTooMany, strings.Contains(log.String(), "level=ERROR"))

			bucket.Fail(errors.New("away"))
			_, err = s.stop(t.Context(), d)
			class, _ := bus.Classify(err)
			require.Equal(t, bus.Deferred, class)
		})
	}
}
