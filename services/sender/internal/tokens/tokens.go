// Package tokens knows when accounts' tokens die, makes those live longer that can, and warns in time of those that cannot.
//
// A token is looked after by the sender that owns its account, one at a time. What it refreshes it keeps, encrypted, where
// every sender finds it. It sends nothing, and it pauses nothing: whether Meta takes a token is found out by sending.
package tokens

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/pkg/alert"
	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/meta/graph"
	"github.com/parley-dm/parley/pkg/telemetry"
)

// Book is the accounts.
type Book interface {
	All() []accounts.Account
	Configured(channel dm.Channel, id string) (accounts.Account, bool)
	Changed() <-chan struct{}
	Renew(renewals ...accounts.Renewal)
}

// Graph is what Meta says of tokens.
type Graph interface {
	DebugToken(ctx context.Context, cred graph.Credentials, token config.Secret) (graph.TokenInfo, error)
	RefreshToken(ctx context.Context, cred graph.Credentials) (config.Secret, time.Duration, error)
}

// Bucket is where refreshed tokens are kept.
type Bucket interface {
	Get(ctx context.Context, key string) (bus.Entry, error)
	Create(ctx context.Context, key string, value []byte) (uint64, error)
	Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
	Watch(ctx context.Context, keys string, f func(*bus.Entry)) error
}

// Standing is where it is noted what is known of a token.
type Standing interface {
	State(channel dm.Channel, account string) accounts.State
	Token(channel dm.Channel, account string, t accounts.TokenState)
}

// Deps is what a Keeper works with.
type Deps struct {
	Book     Book
	Graph    Graph
	Bucket   Bucket
	Standing Standing
	Alerts   *alert.Alerts
	Log      *slog.Logger
	// Vault is nil without a key: nothing can be kept, and so nothing is refreshed.
	Vault *accounts.Vault
	// Owns says whether an account is ours to look after.
	Owns func(channel dm.Channel, account string) bool
}

// Options says how.
type Options struct {
	// Credentials are those of an account, as messages are sent with.
	Credentials func(accounts.Account) graph.Credentials
	// AppID and AppSecret, if both are set, ask about Page tokens; else each token is asked about with itself.
	AppID     string
	AppSecret config.Secret
	// Every is how often it is looked whether something is to be done; a minute if zero. Now is the clock.
	Every time.Duration
	Now   func() time.Time
}

// When what is done. A token that Meta refreshes lives for sixty days; it is refreshed when it is ten days old, and so has
// fifty days' worth of attempts before it dies.
const (
	checkEvery   = 6 * time.Hour
	refreshBelow = 50 * 24 * time.Hour
	warnBelow    = 7 * 24 * time.Hour
	// retryAfter is when a refresh that failed is tried again: Meta refuses tokens that are not a day old.
	retryAfter  = 6 * time.Hour
	callTimeout = 15 * time.Second
	// pace is between two accounts, so that ten thousand of them do not ask at once.
	pace = 50 * time.Millisecond
)

// Keeper looks after tokens.
type Keeper struct {
	d Deps
	o Options

	mu      sync.Mutex
	kept    map[string]accounts.KeptToken // by key in the bucket
	retries map[string]time.Time          // when a refresh that failed may be tried again
}

// New makes a Keeper.
func New(d Deps, o Options) *Keeper {
	if o.Every <= 0 {
		o.Every = time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Keeper{d: d, o: o, kept: map[string]accounts.KeptToken{}, retries: map[string]time.Time{}}
}

// Run looks after tokens until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	var following sync.WaitGroup
	synced := make(chan struct{})
	following.Go(func() { k.follow(ctx, sync.OnceFunc(func() { close(synced) })) })
	defer following.Wait()
	select { // what was refreshed before is known first
	case <-synced:
	case <-ctx.Done():
		return nil
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		changed := k.d.Book.Changed()
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-timer.C:
		}
		k.look(ctx)
		timer.Reset(k.o.Every/2 + rand.N(k.o.Every)) //nolint:gosec // spreads the processes out
	}
}

// look looks at every token of ours once.
func (k *Keeper) look(ctx context.Context) {
	for _, a := range k.d.Book.All() {
		if a.Token == "" || !k.d.Owns(a.Channel, a.ID) {
			continue
		}
		asked, err := k.one(ctx, a)
		if err != nil && ctx.Err() == nil {
			k.d.Log.WarnContext(ctx, "token.look", telemetry.KeyAccount, a.ID, telemetry.KeyError, err)
		}
		if !asked {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pace):
		}
	}
}

// one looks at one token, and says whether Meta was asked.
func (k *Keeper) one(ctx context.Context, a accounts.Account) (asked bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	state := accounts.TokenState{Fingerprint: accounts.Fingerprint(a.Token)}
	if s := k.d.Standing.State(a.Channel, a.ID); s.Token != nil && s.Token.Fingerprint == state.Fingerprint {
		state = *s.Token
	}
	if a.Login == accounts.LoginInstagram {
		asked, err = k.instagram(ctx, a, &state)
	} else {
		asked, err = k.facebook(ctx, a, &state)
	}
	if asked {
		state.Checked = k.o.Now().UTC()
		if err != nil {
			state.Problem = err.Error()
		}
		k.d.Standing.Token(a.Channel, a.ID, state)
	}
	if err == nil { // else it is not known how it stands
		k.warn(a, state)
	}
	return asked, err
}

// facebook asks about a Page token; most live for ever.
func (k *Keeper) facebook(ctx context.Context, a accounts.Account, state *accounts.TokenState) (bool, error) {
	if k.o.Now().Sub(state.Checked) < checkEvery {
		return false, nil // after a failure too: nothing depends on it
	}
	cred := k.o.Credentials(a)
	if k.o.AppID != "" && k.o.AppSecret != "" {
		cred.AppSecret = k.o.AppSecret
		cred = cred.AsApp(k.o.AppID)
	}
	info, err := k.d.Graph.DebugToken(ctx, cred, a.Token)
	if err != nil {
		return true, err
	}
	state.Valid, state.Expires, state.Problem = info.Valid, info.Expires, info.Problem
	return true, nil
}

// instagram makes an Instagram user token live longer when it is time.
func (k *Keeper) instagram(ctx context.Context, a accounts.Account, state *accounts.TokenState) (bool, error) {
	key, now := accounts.StateKey(a.Channel, a.ID), k.o.Now()
	k.mu.Lock()
	kept, known := k.kept[key]
	retry := k.retries[key+state.Fingerprint]
	k.mu.Unlock()
	configured, ok := k.d.Book.Configured(a.Channel, a.ID)
	if !ok {
		return false, nil
	}
	instead := accounts.Fingerprint(configured.Token)
	if known && kept.For == instead {
		state.Valid, state.Expires, state.Refreshed = true, kept.Expires, kept.Refreshed
		if kept.Expires.Sub(now) >= refreshBelow {
			return state.Checked.Before(kept.Refreshed), nil // else there is nothing to tell that was not told
		}
	}
	if k.d.Vault == nil || now.Before(retry) {
		return false, nil
	}
	token, lives, err := k.d.Graph.RefreshToken(ctx, k.o.Credentials(a))
	if err != nil {
		k.mu.Lock()
		k.retries[key+state.Fingerprint] = now.Add(retryAfter)
		k.mu.Unlock()
		if dead := graph.ClassOf(err) == graph.ClassTokenDead; dead || known && state.Expires.Sub(now) < 2*warnBelow {
			state.Valid = !dead
			k.d.Alerts.Raise(alert.Alert{
				Kind: alert.TokenNotRefreshed, Account: a.ID, Summary: "the account's token could not be refreshed: " + err.Error(),
				WhatToDo: "log the account in again and put the new token where the old one is",
			})
		}
		return true, err
	}
	fresh := accounts.KeptToken{For: instead, Sealed: k.d.Vault.Seal(key, token), Expires: now.Add(lives).UTC(), Refreshed: now.UTC()}
	if err := k.keep(ctx, key, fresh); err != nil {
		return true, err
	}
	k.d.Book.Renew(accounts.Renewal{Channel: a.Channel, ID: a.ID, Instead: instead, Token: token})
	*state = accounts.TokenState{Fingerprint: accounts.Fingerprint(token), Valid: true, Expires: fresh.Expires, Refreshed: fresh.Refreshed}
	k.d.Alerts.Over(alert.TokenExpires, a.ID, "")
	k.d.Log.InfoContext(ctx, "token.refreshed", telemetry.KeyAccount, a.ID, "expires", fresh.Expires.Format(time.RFC3339))
	return true, nil
}

// keep writes a refreshed token. When another sender has written one in the meantime, that one is as good: both work.
func (k *Keeper) keep(ctx context.Context, key string, fresh accounts.KeptToken) error {
	value, err := fresh.Encode()
	if err != nil {
		return err
	}
	there, err := k.d.Bucket.Get(ctx, key)
	switch {
	case errors.Is(err, bus.ErrKeyNotFound):
		_, err = k.d.Bucket.Create(ctx, key, value)
	case err == nil:
		_, err = k.d.Bucket.Update(ctx, key, value, there.Revision)
	}
	if err != nil && !errors.Is(err, bus.ErrKeyExists) && !errors.Is(err, bus.ErrWrongRevision) {
		return fmt.Errorf("keep a refreshed token: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kept[key] = fresh
	return nil
}

// warn tells a person of a token that dies soon, or is dead.
func (k *Keeper) warn(a accounts.Account, s accounts.TokenState) {
	left := s.Expires.Sub(k.o.Now())
	switch {
	case !s.Expires.IsZero() && left < warnBelow:
		todo := "log the account in again and put the new token where the old one is"
		if a.Login == accounts.LoginInstagram && k.d.Vault == nil {
			todo = "set TOKEN_KEY, and tokens of this kind are refreshed by themselves; or " + todo
		}
		k.d.Alerts.Raise(alert.Alert{
			Kind: alert.TokenExpires, Account: a.ID, WhatToDo: todo,
			Summary: fmt.Sprintf("the account's token dies at %s", s.Expires.UTC().Format(time.RFC3339)),
		})
	case !s.Valid && s.Problem != "" && a.Login == accounts.LoginFacebook:
		k.d.Alerts.Raise(alert.Alert{
			Kind: alert.TokenExpires, Account: a.ID, Summary: "the account's token is not valid: " + s.Problem,
			WhatToDo: "log the account in again and put the new token where the old one is",
		})
	}
}

// follow learns of the tokens that were refreshed, here or elsewhere.
func (k *Keeper) follow(ctx context.Context, synced func()) {
	for ctx.Err() == nil {
		var first []accounts.Renewal
		begun := false
		err := k.d.Bucket.Watch(ctx, ">", func(e *bus.Entry) {
			if e == nil {
				k.d.Book.Renew(first...)
				first, begun = nil, true
				synced()
				return
			}
			r, ok := k.read(ctx, e)
			switch {
			case !ok:
			case begun:
				k.d.Book.Renew(r)
			default: // all at once: each costs a copy of the book
				first = append(first, r)
			}
		})
		if err != nil && ctx.Err() == nil {
			k.d.Log.WarnContext(ctx, "token.watch", telemetry.KeyError, err)
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	}
}

func (k *Keeper) read(ctx context.Context, e *bus.Entry) (accounts.Renewal, bool) {
	channel, id, ok := strings.Cut(e.Key, ".")
	if !ok || e.Deleted {
		return accounts.Renewal{}, false
	}
	kept, err := accounts.ParseKeptToken(e.Value)
	var token config.Secret
	if err == nil {
		if k.d.Vault == nil {
			err = errNoKey
		} else {
			token, err = k.d.Vault.Open(e.Key, kept.Sealed)
		}
	}
	if err != nil {
		k.d.Log.ErrorContext(ctx, "token.not_read", telemetry.KeyAccount, id, telemetry.KeyError, err, "what_to_do", "set TOKEN_KEY to the key that it was encrypted with, or configure a new token")
		return accounts.Renewal{}, false
	}
	k.mu.Lock()
	k.kept[e.Key] = kept
	k.mu.Unlock()
	return accounts.Renewal{Channel: dm.Channel(channel), ID: id, Instead: kept.For, Token: token}, true
}

var errNoKey = errors.New("there is a refreshed token, and TOKEN_KEY is not set")
