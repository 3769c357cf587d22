package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/services/console/internal/rollup"
	"github.com/parley-dm/parley/services/console/internal/store"
)

// figures are counted messages by a clock of their own.
type figures struct {
	*bench
	conversation string
	counter      *rollup.Counter
	mids         int
}

func counting(t *testing.T, now time.Time) *figures {
	t.Helper()
	f := &figures{bench: setup(t), conversation: uuid.NewString()}
	f.now = now
	f.exec(`INSERT INTO conversations (id, page_id, instagram_user_id) VALUES ($1, '171', '7001')`, f.conversation)
	f.restart()
	return f
}

func (f *figures) restart() {
	f.counter = rollup.New(f.Store, telemetry.Discard().Log, func() time.Time { return f.now })
}

func (f *figures) heard(at ...time.Time) {
	f.t.Helper()
	for _, at := range at {
		f.mids++
		f.exec(`INSERT INTO messages (conversation_id, account, mid, sender_id, recipient_id, message_text, direction, timestamp, status) VALUES ($1, '171', $2, '7001', '171', 'hello', 'inbound', $3, 'received')`,
			f.conversation, fmt.Sprintf("m%d", f.mids), at)
	}
}

// inbound is what the figures have of the hour that begins at a time, after one pass of the counter.
func (f *figures) inbound(hour time.Time) (n int64) {
	f.t.Helper()
	require.NoError(f.t, f.counter.Count(f.t.Context()))
	return f.sum(hour, hour.Add(time.Hour), false)
}

func (f *figures) sum(from, to time.Time, daily bool) (n int64) {
	f.t.Helper()
	all, err := f.Stats(f.t.Context(), store.StatsFilter{Scope: store.All, From: from, To: to, Daily: daily})
	require.NoError(f.t, err)
	for i := range all {
		n += all[i].Inbound
	}
	return n
}

func TestWhatIsOverIsCountedAgainByItsAge(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	nine := noon.Add(-3 * time.Hour)
	f := counting(t, noon.Add(2*time.Minute))
	f.heard(nine.Add(time.Minute), nine.Add(58*time.Minute), noon.Add(time.Minute))
	require.EqualValues(t, 1, f.inbound(noon))
	require.EqualValues(t, 2, f.inbound(nine))

	f.heard(nine.Add(2*time.Minute), noon.Add(90*time.Second))
	f.now = f.now.Add(time.Minute)
	require.EqualValues(t, 2, f.inbound(noon), "what goes on is counted every minute")
	require.EqualValues(t, 2, f.inbound(nine), "what is over for three hours is not")
	f.now = f.now.Add(86 * time.Minute)
	require.EqualValues(t, 2, f.inbound(nine), "nor before half of that has passed")
	f.now = f.now.Add(2 * time.Minute)
	require.EqualValues(t, 3, f.inbound(nine))

	f.heard(nine.Add(3 * time.Minute))
	f.now = f.now.Add(time.Second)
	f.restart()
	require.EqualValues(t, 4, f.inbound(nine), "what came while nothing was counted may be anywhere")
	require.EqualValues(t, 6, f.sum(noon.Truncate(24*time.Hour), noon, true), "the day is the sum")
}

func TestWhatIsADayLateIsInTheFigures(t *testing.T) {
	t.Parallel()
	hour := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	f := counting(t, hour)
	f.heard(hour.Add(31 * time.Minute))
	passes := func(until time.Duration) {
		for end := hour.Add(until); f.now.Before(end); f.now = f.now.Add(time.Hour) {
			require.NoError(t, f.counter.Count(t.Context()))
		}
	}
	passes(26 * time.Hour)
	f.heard(hour.Add(32 * time.Minute))
	passes(39 * time.Hour)
	require.EqualValues(t, 2, f.inbound(hour))
	passes(54 * time.Hour)
	var slices int
	require.NoError(t, f.pool.QueryRow(t.Context(), `SELECT count(*) FROM stats_counted`).Scan(&slices))
	require.Less(t, slices, 44*12, "what is not counted again is not kept in parts")
	require.EqualValues(t, 2, f.inbound(hour))
}

// An hour is the sum of its parts, of which some may be forgotten by another console, or never were counted by an older release.
func TestAnHourWhosePartsAreGoneIsCountedWhole(t *testing.T) {
	t.Parallel()
	hour := time.Date(2026, 3, 4, 9, 0, 0, 0, time.UTC)
	f := counting(t, hour.Add(3*time.Hour))
	f.heard(hour.Add(time.Minute), hour.Add(29*time.Minute), hour.Add(59*time.Minute))
	require.EqualValues(t, 3, f.inbound(hour))
	require.NoError(t, f.ForgetSlices(t.Context(), hour.Add(time.Hour)))
	f.heard(hour.Add(2 * time.Minute))
	counted, err := f.RollUp(t.Context(), store.Stretch{From: hour, To: hour.Add(store.Slice)}, f.now)
	require.NoError(t, err)
	require.True(t, counted)
	require.EqualValues(t, 4, f.sum(hour, hour.Add(time.Hour), false))
}

func TestTheHourThatGoesOnIsCountedByItsParts(t *testing.T) {
	t.Parallel()
	hour := time.Date(2026, 3, 4, 9, 0, 0, 0, time.UTC)
	f := counting(t, hour.Add(17*time.Minute))
	f.heard(hour.Add(time.Minute), hour.Add(16*time.Minute))
	require.EqualValues(t, 2, f.inbound(hour))
	stale, err := f.Stale(t.Context(), hour, hour, f.now.Add(time.Minute))
	require.NoError(t, err)
	require.Equal(t, []store.Stretch{{From: hour.Add(10 * time.Minute), To: hour.Add(20 * time.Minute)}}, stale, "what goes on, and what is over for two minutes")
	stale, err = f.Stale(t.Context(), hour, hour, hour.Add(61*time.Minute))
	require.NoError(t, err)
	require.Equal(t, []store.Stretch{{From: hour, To: hour.Add(time.Hour)}, {From: hour.Add(time.Hour), To: hour.Add(65 * time.Minute)}}, stale, "an hour at most at a time")
}
