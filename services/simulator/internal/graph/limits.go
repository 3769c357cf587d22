package graph

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// The kinds of call that Meta limits apart, with their share of the rate of texts: 100, 10 and 2 a second.
const (
	limitText   = "text"
	limitMedia  = "media" // audio and video
	limitLookup = "lookup"
)

var shares = map[string]float64{limitText: 1, limitMedia: 0.1, limitLookup: 0.02}

type limitKey struct{ account, kind string }

// limits counts for each account and kind of call. A second's worth may come at once, so that a caller who keeps to the
// rate by his own clock is never refused.
type limits struct {
	rate    float64
	mu      sync.Mutex
	buckets map[limitKey]*rate.Limiter
}

func newLimits(perSecond float64) *limits {
	return &limits{rate: perSecond, buckets: map[limitKey]*rate.Limiter{}}
}

func (l *limits) allow(account, kind string, now time.Time) bool {
	if l.rate <= 0 {
		return true
	}
	key := limitKey{account, kind}
	l.mu.Lock()
	bucket, ok := l.buckets[key]
	if !ok {
		perSecond := l.rate * shares[kind]
		bucket = rate.NewLimiter(rate.Limit(perSecond), max(int(perSecond), 1))
		l.buckets[key] = bucket
	}
	l.mu.Unlock()
	return bucket.AllowN(now, 1)
}

func (a *API) limit(account, kind string) *Error {
	if a.limits.allow(account, kind, a.deps.World.Now()) {
		return nil
	}
	return &Error{Code: codeRate, Subcode: subcodeSendRate, Message: "(#613) Calls to this API have exceeded the rate limit."}
}
