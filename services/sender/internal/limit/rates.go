// Package limit keeps the sender within what Meta allows: rates for each account and kind of message, pauses of accounts and
// apps that Meta has told to wait, and a breaker for each host.
//
// It is exact because one sender owns an account at a time. It decides when a message may go, not what becomes of it.
package limit

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/parley-dm/parley/pkg/bus"
)

// ErrStopped ends a wait because the process stops or hands the account over. Nothing has been sent.
var ErrStopped = errors.New("stopped while waiting to send")

// ErrPaused is why a message does not go before a time: its account, or all accounts of its app, may not send.
var ErrPaused = errors.New("sending is paused")

// Kind is what Meta limits apart, for each account.
type Kind string

// The kinds, with Meta's limits.
const (
	Texts          Kind = "text"          // 100 a second, with links and reactions
	Media          Kind = "media"         // audio and video: 10 a second
	PrivateReplies Kind = "private_reply" // 750 an hour
	Lookups        Kind = "lookup"        // the conversations endpoint: 2 a second
)

// allowance is a kind's limit.
type allowance struct {
	// share is its rate as a share of that which a [Rates] is made with; burst what may come at once.
	share float64
	burst int
}

// Private replies are counted by the hour: fifty may come at once, so that the first ones need not wait for five seconds
// each, and with the rest no hour sees more than 750.
var allowances = map[Kind]allowance{
	Texts: {1, 1}, Media: {0.1, 1}, PrivateReplies: {700.0 / 3600 / 100, 50}, Lookups: {1, 1},
}

// maxTurn is how long a message waits for its turn at most; one whose turn is later than that comes back.
const maxTurn = time.Second

// Usage, in percent of what Meta allows: from slowFrom on an account's rates go down, to slowest of them just before 100,
// where the account is paused. They go down with the square of what is left, because an account that sends less than its
// limit, as nearly all do, would not notice a small part of it.
const (
	slowFrom = 80
	slowest  = 0.005
)

// TurnError is a turn that is too far away to wait for.
type TurnError struct {
	Kind Kind
	At   time.Time
}

func (e *TurnError) Error() string {
	return fmt.Sprintf("the account's rate of kind %s allows it at %s", e.Kind, e.At.UTC().Format(time.RFC3339))
}

// Unwrap makes a pause of it where all that the account sends has to wait.
func (e *TurnError) Unwrap() error {
	if e.Kind == Texts {
		return ErrPaused
	}
	return nil
}

// Rates limits messages a second for each account and kind.
type Rates struct {
	limit     float64
	byAccount sync.Map // of account to *turns; accounts are few and known
}

// turns are one account's.
type turns struct {
	slowed atomic.Uint32 // how often they became fewer

	mu     sync.Mutex
	factor float64
	byKind map[Kind]*rate.Limiter
}

// NewRates limits to so many texts a second for each account, and to Meta's proportion of that of the other kinds; 0 does not
// limit.
func NewRates(perSecond float64) *Rates { return &Rates{limit: perSecond} }

// Wait returns when the account's next message may go, and whether it had to wait for that; or with an error when stop
// closes or ctx ends before, and with a [*TurnError] at once when that is too far away. Messages go evenly spaced: no second
// ever sees more than the limit.
func (r *Rates) Wait(ctx context.Context, account string, kind Kind, stop <-chan struct{}) (waited bool, err error) {
	if r.limit <= 0 {
		return false, nil
	}
	for t := r.turns(account); ; waited = true {
		slowed := t.slowed.Load()
		turn := r.limiter(t, kind).Reserve()
		delay := turn.Delay()
		switch {
		case delay == 0:
			return waited, nil
		case delay > maxTurn:
			turn.Cancel()
			return true, &TurnError{Kind: kind, At: time.Now().Add(delay)}
		}
		// Others have the handler's place meanwhile: one account at its limit must not take all of them.
		err := bus.Aside(ctx, func() error { return sleep(ctx, delay, stop) })
		if err != nil {
			turn.Cancel()
			return true, err
		}
		if t.slowed.Load() == slowed {
			return true, nil
		}
		// Its turn was given at a rate that does not hold any more.
	}
}

func sleep(ctx context.Context, d time.Duration, stop <-chan struct{}) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-stop:
	case <-ctx.Done():
	}
	return ErrStopped
}

func (r *Rates) limiter(t *turns, kind Kind) *rate.Limiter {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.byKind[kind]
	if l == nil {
		l = rate.NewLimiter(rate.Limit(r.limit*allowances[kind].share*t.factor), allowances[kind].burst)
		t.byKind[kind] = l
	}
	return l
}

func (r *Rates) turns(account string) *turns {
	t, ok := r.byAccount.Load(account)
	if !ok {
		t, _ = r.byAccount.LoadOrStore(account, &turns{factor: 1, byKind: map[Kind]*rate.Limiter{}})
	}
	return t.(*turns) //nolint:errcheck,forcetypeassert // the map holds nothing else
}

// Used sets an account's rates by how much of what Meta allows is used up, in percent, and says whether that is news.
func (r *Rates) Used(account string, percent int) (factor float64, news bool) {
	factor = factorOf(percent)
	if r.limit <= 0 {
		return factor, false
	}
	t := r.turns(account)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.factor == factor {
		return factor, false
	}
	news = (t.factor == 1) != (factor == 1)
	if factor < t.factor {
		t.slowed.Add(1)
	}
	t.factor = factor
	for kind, l := range t.byKind {
		l.SetLimit(rate.Limit(r.limit * allowances[kind].share * factor))
	}
	return factor, news
}

func factorOf(percent int) float64 {
	if percent < slowFrom {
		return 1
	}
	left := float64(max(100-percent, 0)) / (100 - slowFrom)
	return max(left*left, slowest)
}
