// Package token is the access tokens of the accounts: which one is good, until when, and what became of the others.
package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"
)

// minAge is how old a token must be to be refreshed; long is how long one lives, just under 60 days, as Meta gives it.
const (
	minAge = 24 * time.Hour
	long   = 5183944 * time.Second
)

// The subcodes of 190 that tell why a token is dead.
const (
	SubcodeExpired = 463
	SubcodeInvalid = 467
)

// ErrTooYoung refuses to refresh a token that is not a day old; ErrUnknown knows no such account or token.
var (
	ErrTooYoung = errors.New("the token is less than 24 hours old")
	ErrUnknown  = errors.New("no such account or token")
)

// Options say how tokens are.
type Options struct {
	// Secrets are the app's, of which proofs are made.
	Secrets []string
	// TTL is how long tokens live; 0 for ever, as Page tokens do.
	TTL time.Duration
	// Now is the clock.
	Now func() time.Time
}

// Info is what is known of a token.
type Info struct {
	Account string    `json:"account"`
	Issued  time.Time `json:"issued_at"`
	// Expires is zero when it never does. Dead is the subcode with which calls are refused; 0 while it is good.
	Expires time.Time `json:"expires_at,omitzero"`
	Dead    int       `json:"dead,omitempty"`
}

type entry struct {
	Info
	value  string
	killed int
	proofs []string
}

// Book holds the tokens. Its methods are safe for concurrent use.
type Book struct {
	opts Options

	mu      sync.RWMutex
	tokens  map[string]*entry
	current map[string]*entry
	// roots are the first tokens: refreshed ones are named after them, so that they do not grow.
	roots     map[string]string
	refreshed int
}

// NewBook makes an empty one.
func NewBook(o Options) *Book {
	return &Book{opts: o, tokens: map[string]*entry{}, current: map[string]*entry{}, roots: map[string]string{}}
}

// Begin gives an account its first token, which counts as two days old.
func (b *Book) Begin(account, value string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.roots[account] = value
	b.put(account, value, b.opts.Now().Add(-2*minAge), b.opts.TTL)
}

// Issue gives an account another token and makes the one before it invalid. ttl 0 is that of the options.
func (b *Book) Issue(account, value string, ttl time.Duration) (Info, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.current[account]
	if before == nil {
		return Info{}, fmt.Errorf("account %q: %w", account, ErrUnknown)
	}
	if other := b.tokens[value]; other != nil && other.Account != account || value == "" {
		return Info{}, fmt.Errorf("the token is empty or another account's: %w", ErrUnknown)
	}
	before.killed = SubcodeInvalid
	if ttl == 0 {
		ttl = b.opts.TTL
	}
	return b.state(b.put(account, value, b.opts.Now(), ttl)), nil
}

func (b *Book) put(account, value string, issued time.Time, ttl time.Duration) *entry {
	e := &entry{value: value, Info: Info{Account: account, Issued: issued}}
	if ttl > 0 {
		e.Expires = b.opts.Now().Add(ttl)
	}
	for _, secret := range b.opts.Secrets {
		mac := hmac.New(sha256.New, []byte(secret))
		_, _ = mac.Write([]byte(value))
		e.proofs = append(e.proofs, hex.EncodeToString(mac.Sum(nil)))
	}
	b.tokens[value], b.current[account] = e, e
	return e
}

// Kill makes an account's token dead from now on, with a subcode; 0 brings it to life again.
func (b *Book) Kill(account string, subcode int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.current[account]
	if e == nil {
		return fmt.Errorf("account %q: %w", account, ErrUnknown)
	}
	e.killed = subcode
	return nil
}

func (b *Book) state(e *entry) Info {
	info := e.Info
	switch {
	case e.killed != 0:
		info.Dead = e.killed
	case !e.Expires.IsZero() && !b.opts.Now().Before(e.Expires):
		info.Dead = SubcodeExpired
	}
	return info
}

// Look tells what is known of a token.
func (b *Book) Look(value string) (Info, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	e := b.tokens[value]
	if e == nil {
		return Info{}, false
	}
	return b.state(e), true
}

// Proves says whether proof is an appsecret_proof of the token.
func (b *Book) Proves(value, proof string) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	e := b.tokens[value]
	if e == nil {
		return false
	}
	for _, right := range e.proofs {
		if subtle.ConstantTimeCompare([]byte(right), []byte(proof)) == 1 {
			return true
		}
	}
	return false
}

// Refresh prolongs a token. One that expires is replaced, and stays good until then; one that does not stays as it is.
func (b *Book) Refresh(value string) (fresh string, left time.Duration, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.tokens[value]
	switch {
	case e == nil || b.state(e).Dead != 0:
		return "", 0, ErrUnknown
	case b.opts.Now().Sub(e.Issued) < minAge:
		return "", 0, ErrTooYoung
	case e.Expires.IsZero():
		return value, long, nil
	}
	b.refreshed++
	fresh = b.roots[e.Account] + "-" + strconv.Itoa(b.refreshed)
	ttl := b.opts.TTL
	if ttl == 0 {
		ttl = long // it was issued with an end of its own
	}
	b.put(e.Account, fresh, b.opts.Now(), ttl)
	return fresh, ttl, nil
}

// States lists what is known of the accounts' newest tokens; the tokens themselves are not told.
func (b *Book) States() map[string]Info {
	b.mu.RLock()
	defer b.mu.RUnlock()
	out := make(map[string]Info, len(b.current))
	for account, e := range b.current {
		out[account] = b.state(e)
	}
	return out
}
