package pipeline_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/bus/bustest"
	"github.com/parley-dm/parley/pkg/pipeline/roster"
)

func TestAStageIsListedWhileItRuns(t *testing.T) {
	t.Parallel()
	server := bustest.Start(t)
	p := newProcess(t, server)
	stage := p.open("archiver")
	other := p.open("sender")
	look := server.Connect()
	listed := func() []roster.Report {
		reports, err := roster.List(t.Context(), look)
		require.NoError(t, err)
		return reports
	}
	require.Eventually(t, func() bool { return len(listed()) == 2 }, 10*time.Second, 10*time.Millisecond)
	r := listed()[0]
	require.Equal(t, "archiver", r.Service)
	require.False(t, r.Ready, "it has not started")
	require.NotEmpty(t, r.Instance)
	require.WithinDuration(t, time.Now(), r.Started, time.Minute)

	p.run(stage)
	require.Eventually(t, func() bool { r = listed()[0]; return r.Ready }, 10*time.Second, 10*time.Millisecond)
	require.NotEmpty(t, r.Checks)
	for _, c := range r.Checks {
		require.True(t, c.OK)
		require.Contains(t, c.Name, "archiver.")
	}
	require.NoError(t, other.Close())
	require.Len(t, listed(), 1)
}
