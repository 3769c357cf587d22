package graph

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Usage is what the X-App-Usage and X-Business-Use-Case-Usage headers say, in percent of what is allowed. At 100 calls
// are refused, and going on calling makes it last longer.
type Usage struct {
	// App is the app's: the highest of calls, CPU time and total time.
	App int
	// Business is the highest of the account's business use cases.
	Business int
	// Regain is how long the account has to wait until it is let in again; zero while it is not shut out.
	Regain time.Duration
}

// counters is one line of either header.
type counters struct {
	Type    string  `json:"type"`
	Calls   float64 `json:"call_count"`
	CPUTime float64 `json:"total_cputime"`
	Time    float64 `json:"total_time"`
	Minutes float64 `json:"estimated_time_to_regain_access"`
}

func (c counters) highest() int { return int(max(c.Calls, c.CPUTime, c.Time, 0)) }

// parseUsage reads the headers. They are advice: one that cannot be read is no advice, not an error.
func parseUsage(h http.Header) Usage {
	var u Usage
	if v := h.Get("X-App-Usage"); v != "" {
		var c counters
		if json.Unmarshal([]byte(v), &c) == nil {
			u.App = c.highest()
		}
	}
	if v := h.Get("X-Business-Use-Case-Usage"); v != "" {
		var byID map[string][]counters
		if json.Unmarshal([]byte(v), &byID) == nil {
			for _, list := range byID {
				for _, c := range list {
					u.Business = max(u.Business, c.highest())
					u.Regain = max(u.Regain, minutes(c.Minutes))
				}
			}
		}
	}
	return u
}

// maxWait bounds every wait that a header may ask for: Meta's longest windows are a day.
const maxWait = 24 * time.Hour

func minutes(n float64) time.Duration {
	if !(n > 0) {
		return 0
	}
	return time.Duration(min(n, maxWait.Minutes()) * float64(time.Minute))
}

// retryAfter reads Retry-After in both of its forms, seconds and a date.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return 0
	}
	if n, err := strconv.ParseInt(v, 10, 32); err == nil {
		return min(max(time.Duration(n)*time.Second, 0), maxWait)
	}
	if at, err := http.ParseTime(v); err == nil {
		return min(max(at.Sub(now), 0), maxWait)
	}
	return 0
}
