package webhook

import (
	"strconv"
	"time"
)

// stamp is a time in milliseconds since 1970; 0 where there is none.
type stamp int64

// Times are taken from 2010 to 2100. Others are mistakes, and some of them cannot be written as JSON again.
const (
	earliest = 1262304000000
	latest   = 4102444800000
	// Below secondsBelow a time is in seconds, above in milliseconds: "changes" and the App Dashboard's test event count in seconds.
	secondsBelow = 100_000_000_000
)

// time reads a time: milliseconds or seconds, as a number or a string.
func (c *cursor) time() stamp {
	s, ok := c.str()
	if !ok || s == "" {
		return 0
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		f, err := strconv.ParseFloat(s, 64) // 1.7e12, or seconds with a fraction
		if err != nil || f < 0 || f > latest {
			return 0
		}
		if f < secondsBelow {
			f *= 1000
		}
		return bounded(int64(f))
	}
	if n < secondsBelow {
		n *= 1000
	}
	return bounded(n)
}

func bounded(ms int64) stamp {
	if ms < earliest || ms > latest {
		return 0
	}
	return stamp(ms)
}

func (s stamp) or(t time.Time) time.Time {
	if s == 0 {
		return t
	}
	return time.UnixMilli(int64(s)).UTC()
}

// validID says whether an id of an account or a customer can be a key. Meta's are digits.
func validID(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == '-' || c == '.') {
			return false
		}
	}
	return true
}

// validMID says whether a message's or comment's id can be a key: printable and not too long.
func validMID(mid string) bool {
	if mid == "" || len(mid) > maxID {
		return false
	}
	for i := range len(mid) {
		if mid[i] <= ' ' || mid[i] > '~' {
			return false
		}
	}
	return true
}

// count reads a small number that may come as a string; ok says that there was one.
func (c *cursor) count() (n int, ok bool) {
	s, _ := c.str()
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0, false
	}
	return n, true
}
