package main

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var everything = []string{
	"nats-1", "nats-2", "nats-3", "simulator", "ingress-1", "ingress-2", "responder-1", "responder-2", "sender-1", "sender-2", "archiver-1", "archiver-2", "postgres",
}

func planned(t *testing.T, args ...string) []step {
	t.Helper()
	o, err := parse(args, &bytes.Buffer{})
	require.NoError(t, err)
	return plan(o, everything)
}

func TestASeedIsASchedule(t *testing.T) {
	t.Parallel()
	one := planned(t, "-seed", "7")
	require.Equal(t, one, planned(t, "-seed", "7"))
	require.NotEqual(t, one, planned(t, "-seed", "8"))
}

func TestEveryTroubleComesToEveryTarget(t *testing.T) {
	t.Parallel()
	steps := planned(t, "-duration", "5m", "-nodes", "3")
	met := map[string]bool{}
	for _, s := range steps {
		met[s.what+" "+s.who] = true
	}
	for _, what := range processTroubles {
		for _, who := range everything {
			require.Equal(t, who != "simulator", met[what+" "+who], "%s %s", what, who)
		}
	}
	for _, f := range faults {
		require.True(t, met[f.name+" "], f.name)
	}
}

func TestNothingIsInTroubleTwiceAndOfAClusterOneServerIs(t *testing.T) {
	t.Parallel()
	free := map[string]time.Duration{}
	steps := planned(t, "-duration", "10m", "-nodes", "3")
	require.Greater(t, len(steps), 100)
	for _, s := range steps {
		require.LessOrEqual(t, free[place(s)], s.at, s)
		require.Less(t, s.at, 10*time.Minute)
		free[place(s)] = s.at + s.lasts
	}
}

func TestTroubleCanBeChosen(t *testing.T) {
	t.Parallel()
	for _, s := range planned(t, "-trouble", "kill, slow", "-targets", "sender,nats", "-duration", "1m") {
		require.True(t, s.what == "slow" && s.who == "" || s.what == troubleKill && slices.Contains([]string{"sender", "nats"}, kindOf(s.who)), s)
	}
	require.Empty(t, planned(t, "-trouble", ""))
	_, err := parse([]string{"-trouble", "flood", "-targets", "moon", "-nodes", "2", "-customers", "0"}, &bytes.Buffer{})
	for _, name := range []string{"-trouble", "flood", "-targets", "moon", "-nodes", "-customers"} {
		require.ErrorContains(t, err, name)
	}
}
