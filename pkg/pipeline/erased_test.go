package pipeline_test

import (
	"encoding/hex"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/bus/bustest"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/topology"
)

// What was erased is left out: everything of a customer until then, and a message; nobody else's, and nothing later.
func TestWhatWasErasedIsLeftOut(t *testing.T) {
	t.Parallel()
	stage := newProcess(t, bustest.Start(t)).open("test")
	ago := func(e dm.Event, ago time.Duration) dm.Event { e.Time = e.Time.Add(-ago); return e }
	elsewhere := ago(event("7001", 4), time.Minute)
	elsewhere.Account = "17841400000000099"
	events := []dm.Event{
		ago(event("7001", 1), time.Minute), ago(event("7002", 2), time.Minute), ago(event("7002", 3), time.Minute),
		elsewhere, ago(event("7001", 5), -time.Minute),
	}
	left := func() (mids []string) {
		kept, err := stage.WithoutErased(t.Context(), events)
		require.NoError(t, err)
		for _, e := range kept {
			mids = append(mids, e.MID)
		}
		return mids
	}
	require.Equal(t, []string{"m_7001_1", "m_7002_2", "m_7002_3", "m_7001_4", "m_7001_5"}, left())

	bucket, err := stage.Bucket(t.Context(), topology.Erased)
	require.NoError(t, err)
	for _, id := range []string{"7001", "m_7002_3"} {
		_, err := bucket.Put(t.Context(), hex.EncodeToString(topology.ErasedHash(account, id)), nil)
		require.NoError(t, err)
	}
	require.Equal(t, []string{"m_7002_2", "m_7001_4", "m_7001_5"}, left())
}
