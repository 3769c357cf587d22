package web

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// How often a password may be tried: a few times at once, and then one each while. For one account, for an attacker with
// many addresses; for one address, for an attacker with many accounts. Neither locks anybody out for longer than a while.
const (
	accountBurst, accountEvery = 10, 30 * time.Second
	addressBurst, addressEvery = 30, 5 * time.Second
	// maxTracked bounds the memory of each; beyond it, those that were quiet the longest are forgotten.
	maxTracked = 20_000
)

// Attempts bounds how often passwords may be tried. One console counts for itself: behind several, the bounds are as many
// times higher.
type Attempts struct {
	accounts, addresses buckets
}

// NewAttempts makes bounds; now is the clock.
func NewAttempts(now func() time.Time) *Attempts {
	return &Attempts{
		accounts:  buckets{burst: accountBurst, every: accountEvery, now: now, of: map[string]*bucket{}},
		addresses: buckets{burst: addressBurst, every: addressEvery, now: now, of: map[string]*bucket{}},
	}
}

// Try counts an attempt, and says how long to wait when it is one too many.
func (a *Attempts) Try(account, addr string) (wait time.Duration, ok bool) {
	if wait, ok = a.addresses.take(network(addr)); !ok {
		return wait, false
	}
	return a.accounts.take(account)
}

// Succeeded forgets an account's attempts: who knows the password has not guessed.
func (a *Attempts) Succeeded(account string) { a.accounts.forget(account) }

// network is what one attacker is likely to have: an address of IPv4, a /64 of IPv6.
func network(addr string) string {
	ip, err := netip.ParseAddr(addr)
	if err != nil || ip.Unmap().Is4() {
		return addr
	}
	prefix, err := ip.Prefix(64)
	if err != nil {
		return addr
	}
	return prefix.String()
}

type bucket struct {
	limiter *rate.Limiter
	last    time.Time
}

type buckets struct {
	burst int
	every time.Duration
	now   func() time.Time
	mu    sync.Mutex
	of    map[string]*bucket
}

func (b *buckets) take(key string) (wait time.Duration, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	one := b.of[key]
	if one == nil {
		if len(b.of) >= maxTracked {
			b.sweep(now)
		}
		one = &bucket{limiter: rate.NewLimiter(rate.Every(b.every), b.burst)}
		b.of[key] = one
	}
	one.last = now
	if one.limiter.AllowN(now, 1) {
		return 0, true
	}
	return b.every, false
}

// sweep forgets those that are full again, and where that is not enough also others, the quiet ones first.
func (b *buckets) sweep(now time.Time) {
	full := time.Duration(b.burst) * b.every
	for _, age := range []time.Duration{full, full / 2, full / 8, 0} {
		for key, one := range b.of {
			if now.Sub(one.last) >= age {
				delete(b.of, key)
			}
		}
		if len(b.of) < maxTracked/2 {
			return
		}
	}
}

func (b *buckets) forget(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.of, key)
}

// Tracked is how many accounts and addresses are remembered.
func (a *Attempts) Tracked() int { return a.accounts.len() + a.addresses.len() }

func (b *buckets) len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.of)
}
