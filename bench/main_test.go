package main

import (
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/bench/internal/report"
)

func TestWhatTakesLongIsMeasuredOnlyWhenAsked(t *testing.T) {
	s, err := parse(nil, io.Discard)
	require.NoError(t, err)
	require.Equal(t, []string{"webhooks", "one", "separate", "archive"}, s.only)

	s, err = parse([]string{"-only", "soak,away", "-soak", "2h"}, io.Discard)
	require.NoError(t, err)
	require.Equal(t, []string{"soak", "away"}, s.only)
	require.Equal(t, 2*time.Hour, s.Soak)
	require.ElementsMatch(t, []string{"parley", "simulator"}, s.programs())
}

func TestFlagsThatMakeNoSenseAreNamed(t *testing.T) {
	for wanted, args := range map[string][]string{
		`-only: got "all", expected some of webhooks`: {"-only", "all"},
		"-away":            {"-away", "0s"},
		"-soak":            {"-soak", "59s"},
		"-tries":           {"-tries", "0"},
		`got ["webhooks"]`: {"webhooks"},
	} {
		_, err := parse(args, io.Discard)
		require.ErrorContains(t, err, wanted)
	}
}

func TestABrokenFigureIsAnError(t *testing.T) {
	good, bad := report.Row{Measure: "replies/s"}, report.Row{Measure: "soak at 100/s for 1h0m0s", Broken: "1 missing, 0 doubled"}
	require.NoError(t, broken([]report.Row{good}))
	require.EqualError(t, broken([]report.Row{good, bad}), "broken: soak at 100/s for 1h0m0s")
}
