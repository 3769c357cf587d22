package rules_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parley-dm/parley/pkg/rules"
)

func TestHours(t *testing.T) {
	t.Parallel()
	weekdays := []string{"mon", "tue", "wed", "thu", "fri"}
	day := rules.Hours{Zone: "Europe/Berlin", Days: weekdays, From: "09:00", To: "18:00", Holidays: []string{"2026-12-25"}}
	night := rules.Hours{Zone: "Europe/Berlin", Days: []string{"fri"}, From: "22:00", To: "02:00", Holidays: []string{"2026-12-25"}}
	early := rules.Hours{Zone: "Europe/Berlin", From: "02:00", To: "03:00"}
	late := rules.Hours{Zone: "America/New_York", From: "18:00", To: "24:00"}
	whole := rules.Hours{Zone: "Asia/Tokyo", Days: []string{"sun"}}
	outside := day
	outside.Outside = true
	for name, c := range map[string]struct {
		hours rules.Hours
		at    string
		want  bool
	}{
		"in the middle":                                  {day, "2026-11-24T12:00:00+01:00", true},
		"at the first minute":                            {day, "2026-11-24T09:00:00+01:00", true},
		"before it":                                      {day, "2026-11-24T08:59:59+01:00", false},
		"the last minute is exclusive":                   {day, "2026-11-24T18:00:00+01:00", false},
		"another zone's clock is not asked":              {day, "2026-11-24T17:30:00Z", false},
		"summer time":                                    {day, "2026-07-01T07:00:00Z", true},
		"winter time":                                    {day, "2026-12-01T07:30:00Z", false},
		"on a Saturday":                                  {day, "2026-11-28T12:00:00+01:00", false},
		"on a holiday":                                   {day, "2026-12-25T12:00:00+01:00", false},
		"outside, in the middle":                         {outside, "2026-11-24T12:00:00+01:00", false},
		"outside, on a holiday":                          {outside, "2026-12-25T12:00:00+01:00", true},
		"outside, at night":                              {outside, "2026-11-24T03:00:00+01:00", true},
		"over midnight, before":                          {night, "2026-11-27T23:00:00+01:00", true},
		"over midnight, after":                           {night, "2026-11-28T01:59:00+01:00", true},
		"over midnight, over":                            {night, "2026-11-28T02:00:00+01:00", false},
		"over midnight, the morning of its own day":      {night, "2026-11-27T01:00:00+01:00", false},
		"over midnight, begun on a holiday":              {night, "2026-12-26T01:00:00+01:00", false},
		"until midnight":                                 {late, "2026-11-24T23:59:59-05:00", true},
		"until midnight, at it":                          {late, "2026-11-25T00:00:00-05:00", false},
		"a day of another zone":                          {whole, "2026-11-28T16:00:00Z", true},
		"a day of another zone, over":                    {whole, "2026-11-29T15:00:00Z", false},
		"clocks put forward: the hour does not come":     {early, "2026-03-29T01:30:00Z", false},
		"clocks put back: the hour comes":                {early, "2026-10-25T00:30:00Z", true},
		"clocks put back: and comes again":               {early, "2026-10-25T01:30:00Z", true},
		"clocks put back: and is over then":              {early, "2026-10-25T02:00:00Z", false},
		"over midnight on the night clocks are put back": {rules.Hours{Zone: "Europe/Berlin", From: "22:00", To: "04:00"}, "2026-10-25T02:30:00Z", true},
		"the day before a day that has no midnight":      {rules.Hours{Zone: "America/Asuncion", Days: []string{"sat"}, From: "20:00", To: "03:00"}, "2023-10-01T04:30:00Z", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at, err := time.Parse(time.RFC3339, c.at)
			require.NoError(t, err)
			r := rule("r", rules.MatchContains, "x")
			r.When.Hours = &c.hours
			v := compile(t, r).Decide(rules.Turn{Occasions: []rules.Occasion{rules.OnText}, Texts: []string{"x"}, Now: at})
			require.Equal(t, c.want, v.Matched)
			if !c.want {
				require.Equal(t, rules.SkipHours, v.Skipped[0].Reason)
			}
		})
	}
}

func TestATimeTableThatCannotBeKeptIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		hours rules.Hours
		want  string
	}{
		"no zone":          {rules.Hours{}, `when.hours.zone: got ""`},
		"the machine's":    {rules.Hours{Zone: "Local"}, `when.hours.zone: got "Local"`},
		"unknown zone":     {rules.Hours{Zone: "Berlin"}, `when.hours.zone: got "Berlin"`},
		"a path":           {rules.Hours{Zone: "../../etc/passwd"}, `when.hours.zone: got "../../etc/passwd"`},
		"unknown day":      {rules.Hours{Zone: "UTC", Days: []string{"Monday"}}, `when.hours.days: got "Monday"`},
		"no end":           {rules.Hours{Zone: "UTC", From: "10:00"}, `got from "10:00" and to ""`},
		"one digit":        {rules.Hours{Zone: "UTC", From: "9:00", To: "10:00"}, `when.hours.from: got "9:00"`},
		"beyond the clock": {rules.Hours{Zone: "UTC", From: "09:00", To: "25:00"}, `when.hours.to: got "25:00"`},
		"from midnight":    {rules.Hours{Zone: "UTC", From: "24:00", To: "10:00"}, `when.hours.from: got "24:00"`},
		"no date":          {rules.Hours{Zone: "UTC", Holidays: []string{"25.12."}}, `when.hours.holidays: got "25.12."`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rule("r", rules.MatchContains, "x")
			r.When.Hours = &c.hours
			require.ErrorContains(t, rules.Check(r), c.want)
		})
	}
}
