// Package standing keeps how accounts stand where others can read it: operators, the console, and the sender that owns an
// account next, which so learns of a pause without a call.
//
// It is told and tells; nothing waits for it, and nothing is decided by it but that a pause which another sender wrote
// holds here too. What could not be written is written with the next change, or learnt again at the price of one call.
package standing

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/pkg/alert"
	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/meta/graph"
	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/services/sender/internal/deliver"
	"github.com/parley-dm/parley/services/sender/internal/limit"
)

// Bucket is where the states are.
type Bucket interface {
	Put(ctx context.Context, key string, value []byte) (uint64, error)
	Delete(ctx context.Context, key string) error
	Watch(ctx context.Context, keys string, f func(*bus.Entry)) error
}

// Accounts knows the accounts and their tokens.
type Accounts interface {
	Get(channel dm.Channel, id string) (accounts.Account, bool)
}

// Deps is what a Keeper works with.
type Deps struct {
	Bucket   Bucket
	Accounts Accounts
	// Gate is told of the pauses that others found.
	Gate *limit.Gate
	// Ended is called when somebody else has ended a pause: another sender, or a person; nil tells nobody.
	Ended  func()
	Alerts *alert.Alerts
	Log    *slog.Logger
}

// How often changes are written at most, and how long one write and the last ones at a stop may take.
const (
	writeEvery   = 500 * time.Millisecond
	writeTimeout = 5 * time.Second
	lastTimeout  = 3 * time.Second
	// usageStep, in percent, and usageEvery are by how much, or after how long, usage is noted again.
	usageStep  = 5
	usageEvery = time.Minute
)

// Keeper is safe for concurrent use.
type Keeper struct {
	d    Deps
	me   string
	wake chan struct{}

	mu     sync.Mutex
	states map[string]accounts.State
	dirty  map[string]struct{}
}

// New makes a Keeper. What it is told is written by [Keeper.Run].
func New(d Deps) *Keeper {
	return &Keeper{d: d, me: rand.Text()[:10], wake: make(chan struct{}, 1), states: map[string]accounts.State{}, dirty: map[string]struct{}{}}
}

// Paused notes a pause of ours that has begun, or has become longer, and raises an alert where a person is needed.
func (k *Keeper) Paused(key limit.Key, p deliver.Pause) {
	todo := whatToDo(p.Err.Class)
	k.change(stateOf(key, p.Channel), func(s *accounts.State) {
		since := time.Now().UTC()
		if s.Pause != nil {
			since = s.Pause.Since
		}
		s.Pause = &accounts.Pause{
			Since: since, Until: p.Until.UTC(), Class: p.Err.Class.String(), Code: p.Err.Code, Subcode: p.Err.Subcode,
			Reason: p.Pause.Reason, WhatToDo: todo, For: p.Pause.For, Exact: p.Pause.Exact,
		}
		if p.Pause.Token != "" {
			s.Pause.Token = accounts.Fingerprint(p.Pause.Token)
		}
	})
	if p.Err.Alert {
		k.d.Alerts.Raise(alert.Alert{Kind: alert.AccountPaused, Account: p.Account, Summary: p.Pause.Reason, WhatToDo: todo})
	}
}

// Resumed notes that a pause is over.
func (k *Keeper) Resumed(key limit.Key, channel dm.Channel) {
	k.change(stateOf(key, channel), func(s *accounts.State) { s.Pause = nil })
	if key.Kind == limit.KindAccount {
		k.d.Alerts.Over(alert.AccountPaused, key.ID, "")
	}
}

// Token notes what is known of an account's token.
func (k *Keeper) Token(channel dm.Channel, account string, t accounts.TokenState) {
	k.change(accounts.State{Channel: channel, Account: account}, func(s *accounts.State) { s.Token = &t })
}

// Used notes how much of what Meta allows is used up, and at what share of its full rate the account sends for that. A figure
// that hardly differs from the one before is noted once a minute: each answer of Meta's brings one.
func (k *Keeper) Used(channel dm.Channel, account string, percent int, rate float64) {
	now := time.Now().UTC()
	switch before := k.State(channel, account).Usage; {
	case before == nil && percent == 0: // it told nothing
		return
	case before != nil && before.Rate == rate && max(percent-before.Percent, before.Percent-percent) < usageStep && now.Sub(before.At) < usageEvery:
		return
	}
	k.change(accounts.State{Channel: channel, Account: account}, func(s *accounts.State) {
		s.Usage = &accounts.UsageState{Percent: percent, Rate: rate, At: now}
	})
}

// Parked notes how many intents of an account wait.
func (k *Keeper) Parked(channel dm.Channel, account string, n uint64) {
	k.change(accounts.State{Channel: channel, Account: account}, func(s *accounts.State) { s.Parked = n })
}

// State is what is known of an account.
func (k *Keeper) State(channel dm.Channel, account string) accounts.State {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.states[accounts.StateKey(channel, account)]
}

func stateOf(key limit.Key, channel dm.Channel) accounts.State {
	if key.Kind == limit.KindApp {
		return accounts.State{App: key.ID}
	}
	return accounts.State{Channel: channel, Account: key.ID}
}

// whatToDo is our words for a person.
func whatToDo(c graph.Class) string {
	switch c {
	case graph.ClassTokenDead:
		return "get a new token for the account and put it where the old one is (ACCOUNTS_FILE, its token_file, or INSTAGRAM_PAGE_ACCESS_TOKEN and a restart); what waits then leaves by itself, in order"
	case graph.ClassAccountBlocked:
		return "see to it in Meta's Business Suite, or in the app's dashboard where a permission is missing; it is tried again by itself, and what waits leaves in order"
	default:
		return "nothing: it goes on by itself; if it comes back often, send less or ask Meta for more"
	}
}

// change changes a state and has it written.
func (k *Keeper) change(which accounts.State, f func(*accounts.State)) {
	key := which.Key()
	k.mu.Lock()
	s, known := k.states[key]
	if !known {
		s = which
	}
	f(&s)
	if a, ok := k.d.Accounts.Get(s.Channel, s.Account); ok {
		s.Name = a.Name
	}
	s.Updated, s.By = time.Now().UTC(), k.me
	if s.Empty() && !known {
		k.mu.Unlock()
		return
	}
	k.states[key] = s
	k.dirty[key] = struct{}{}
	k.mu.Unlock()
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// Run writes what changes and follows what others write, until ctx ends; then it writes what is left.
func (k *Keeper) Run(ctx context.Context) error {
	var following sync.WaitGroup
	following.Go(func() { k.follow(ctx) })
	defer following.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			k.writeLast(ctx)
			return nil
		case <-k.wake:
		}
		k.write(ctx)
		timer.Reset(writeEvery)
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
}

// writeLast writes what is left when ctx has ended.
func (k *Keeper) writeLast(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastTimeout)
	defer cancel()
	k.write(ctx)
}

// write writes what has changed. What could not be written is tried with the next change.
func (k *Keeper) write(ctx context.Context) {
	k.mu.Lock()
	changed := make(map[string]accounts.State, len(k.dirty))
	for key := range k.dirty {
		changed[key] = k.states[key]
	}
	clear(k.dirty)
	k.mu.Unlock()
	for key, s := range changed {
		if err := k.put(ctx, key, s); err != nil {
			if ctx.Err() == nil {
				k.d.Log.WarnContext(ctx, "standing.write", telemetry.KeyAccount, s.Account, telemetry.KeyError, err)
			}
			k.mu.Lock()
			k.dirty[key] = struct{}{}
			k.mu.Unlock()
		}
	}
}

func (k *Keeper) put(ctx context.Context, key string, s accounts.State) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	if !s.Empty() {
		value, err := s.Encode()
		if err != nil {
			return err
		}
		_, err = k.d.Bucket.Put(ctx, key, value)
		return err
	}
	if err := k.d.Bucket.Delete(ctx, key); err != nil && !errors.Is(err, bus.ErrKeyNotFound) {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, again := k.dirty[key]; !again {
		delete(k.states, key)
	}
	return nil
}

// follow keeps what others write. After a break of the connection it begins anew.
func (k *Keeper) follow(ctx context.Context) {
	for ctx.Err() == nil {
		if err := k.d.Bucket.Watch(ctx, ">", k.saw); err != nil && ctx.Err() == nil {
			k.d.Log.WarnContext(ctx, "standing.watch", telemetry.KeyError, err)
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	}
}

// saw takes over what another wrote, unless we know better.
func (k *Keeper) saw(e *bus.Entry) {
	if e == nil {
		return
	}
	var s accounts.State
	if !e.Deleted {
		var err error
		if s, err = accounts.ParseState(e.Value); err != nil || s.Key() != e.Key || s.By == k.me {
			return // not ours to understand, or our own
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	mine, known := k.states[e.Key]
	switch _, dirty := k.dirty[e.Key]; {
	case dirty || known && mine.By == k.me && (e.Deleted || !s.Updated.After(mine.Updated)):
		return
	case e.Deleted:
		delete(k.states, e.Key)
		if known && mine.Pause != nil {
			k.clear(keyOf(mine))
		}
	default:
		k.states[e.Key] = s
		k.hold(s)
	}
}

// hold has the gate do as another sender found.
func (k *Keeper) hold(s accounts.State) {
	key := keyOf(s)
	if s.Pause == nil {
		k.clear(key)
		return
	}
	why := limit.Pause{Reason: s.Pause.Reason, For: s.Pause.For, Exact: s.Pause.Exact}
	if s.Pause.Token != "" {
		// With another token by now the pause ends, and is told to have ended, with the account's next message.
		why.Token = config.Secret("another token: " + s.Pause.Token)
		if account, ok := k.d.Accounts.Get(s.Channel, s.Account); ok && accounts.Fingerprint(account.Token) == s.Pause.Token {
			why.Token = account.Token
		}
	}
	k.d.Gate.Clear(key)
	k.d.Gate.Keep(key, why, s.Pause.Until)
}

// clear opens the gate, and has what waits looked at.
func (k *Keeper) clear(key limit.Key) {
	k.d.Gate.Clear(key)
	if k.d.Ended != nil {
		go k.d.Ended() // it may ask us
	}
}

func keyOf(s accounts.State) limit.Key {
	if s.App != "" {
		return limit.App(s.App)
	}
	return limit.Account(s.Account)
}
