// Package limit keeps the sender within what Meta allows: a rate for each account, pauses of accounts and apps that Meta
// has told to wait, and a breaker for each host.
//
// It is exact because one sender owns an account at a time. It decides when a message may go, not what becomes of it.
package limit

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// ErrStopped ends a wait because the process stops or hands the account over. Nothing has been sent.
var ErrStopped = errors.New("stopped while waiting to send")

// Rates limits messages a second for each account.
type Rates struct {
	limit     rate.Limit
	byAccount sync.Map // of account to *rate.Limiter; accounts are few and known
}

// NewRates limits to so many messages a second for each account; 0 does not limit.
func NewRates(perSecond float64) *Rates { return &Rates{limit: rate.Limit(perSecond)} }

// Wait returns when the account's next message may go, and whether it had to wait for that; or with an error when stop
// closes or ctx ends before. Messages go evenly spaced: no second ever sees more than the limit.
func (r *Rates) Wait(ctx context.Context, account string, stop <-chan struct{}) (waited bool, err error) {
	if r.limit <= 0 {
		return false, nil
	}
	limiter, ok := r.byAccount.Load(account)
	if !ok {
		limiter, _ = r.byAccount.LoadOrStore(account, rate.NewLimiter(r.limit, 1))
	}
	turn := limiter.(*rate.Limiter).Reserve() //nolint:errcheck,forcetypeassert // the map holds nothing else
	delay := turn.Delay()
	if delay == 0 {
		return false, nil
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true, nil
	case <-stop:
	case <-ctx.Done():
	}
	turn.Cancel()
	return true, ErrStopped
}
