package rules

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // zones are known where the machine has none, as in an empty container image
)

// ErrHours is a time table that cannot be kept.
var ErrHours = errors.New("hours")

// days are how a time table names them, by time.Weekday.
var days = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

const dayMinutes = 24 * 60

// schedule is Hours, ready to be asked.
type schedule struct {
	zone     *time.Location
	days     [7]bool
	from, to int // minutes of the clock; to <= from is on the next day
	holidays []string
	outside  bool
}

func newSchedule(h *Hours) (*schedule, error) {
	s := &schedule{outside: h.Outside, to: dayMinutes}
	if h.Zone == "" || h.Zone == "Local" {
		return nil, fmt.Errorf("%w.zone: got %q, expected the IANA name of a time zone, such as Europe/Berlin", ErrHours, h.Zone)
	}
	var err error
	if s.zone, err = time.LoadLocation(h.Zone); err != nil {
		return nil, fmt.Errorf("%w.zone: got %q, expected the IANA name of a time zone, such as Europe/Berlin", ErrHours, h.Zone)
	}
	for _, d := range h.Days {
		i := slices.Index(days, d)
		if i < 0 {
			return nil, fmt.Errorf("%w.days: got %q, expected mon, tue, wed, thu, fri, sat or sun", ErrHours, d)
		}
		s.days[i] = true
	}
	if len(h.Days) == 0 {
		s.days = [7]bool{true, true, true, true, true, true, true}
	}
	if (h.From == "") != (h.To == "") {
		return nil, fmt.Errorf("%w: got from %q and to %q, expected both or neither", ErrHours, h.From, h.To)
	}
	if h.From != "" {
		if s.from, err = clock("from", h.From, dayMinutes-1); err != nil {
			return nil, err
		}
		if s.to, err = clock("to", h.To, dayMinutes); err != nil {
			return nil, err
		}
	}
	for _, d := range h.Holidays {
		if _, err := time.Parse(time.DateOnly, d); err != nil {
			return nil, fmt.Errorf("%w.holidays: got %q, expected a date, YYYY-MM-DD", ErrHours, d)
		}
	}
	s.holidays = h.Holidays
	return s, nil
}

// clock reads HH:MM as minutes; 24:00 is the end of the day.
func clock(field, s string, latest int) (int, error) {
	bad := fmt.Errorf("%w.%s: got %q, expected a time of day, HH:MM", ErrHours, field, s)
	if s == "24:00" && latest == dayMinutes {
		return dayMinutes, nil
	}
	t, err := time.Parse("15:04", s)
	if err != nil || len(s) != len("15:04") || strings.ContainsAny(s, "+-") {
		return 0, bad
	}
	return t.Hour()*60 + t.Minute(), nil
}

// holds goes by the clock on the wall there, as people do: on the day when clocks are put forward a table from 02:00 begins at
// 03:00, and what comes twice in autumn counts twice. A span over midnight belongs to the day, and the holiday, that it begins on.
func (s *schedule) holds(now time.Time) bool {
	return s.inside(now.In(s.zone)) != s.outside
}

func (s *schedule) inside(t time.Time) bool {
	minute := t.Hour()*60 + t.Minute()
	if s.to > s.from {
		return s.open(t) && minute >= s.from && minute < s.to
	}
	if minute >= s.from {
		return s.open(t)
	}
	// Noon of the day before: midnight itself does not exist everywhere each day.
	return minute < s.to && s.open(time.Date(t.Year(), t.Month(), t.Day()-1, 12, 0, 0, 0, s.zone))
}

// open says whether the table holds on the date of t.
func (s *schedule) open(t time.Time) bool {
	return s.days[t.Weekday()] && !slices.Contains(s.holidays, t.Format(time.DateOnly))
}
