// Package accountdesk is how a person looks at how accounts stand, lets one go on, and gives one a new token: the console's
// side of what the senders keep in the buckets parley_accounts and parley_tokens.
//
// It calls nobody: senders hear of what it writes, and try.
package accountdesk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/parley-dm/parley/pkg/accounts"
	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/topology"
)

// ErrNotPaused is what there is nothing to resume of.
var ErrNotPaused = errors.New("the account is not paused")

// ErrUnknownToken is an account of whose configured token no sender has told anything yet, so that none can take its place.
var ErrUnknownToken = errors.New("no sender has told of the account's token yet")

// tries bounds how often a change that meets another one is begun again.
const tries = 5

// Desk is safe for concurrent use.
type Desk struct {
	states, tokens *bus.Bucket
	now            func() time.Time
}

// Open opens the buckets; a service that sends has to have made them. now is the clock, time.Now if nil.
func Open(ctx context.Context, conn *bus.Conn, now func() time.Time) (*Desk, error) {
	if now == nil {
		now = time.Now
	}
	d := &Desk{now: now}
	var err error
	if d.states, err = bus.OpenBucket(ctx, conn, topology.Accounts.Name); err != nil {
		return nil, err
	}
	d.tokens, err = bus.OpenBucket(ctx, conn, topology.Tokens.Name)
	return d, err
}

// States lists what there is to tell of accounts, and of apps whose accounts are all paused; by key.
func (d *Desk) States(ctx context.Context) ([]accounts.State, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var out []accounts.State
	err := d.states.Watch(ctx, ">", func(e *bus.Entry) {
		if e == nil {
			cancel() // that was all there is
			return
		}
		if s, err := accounts.ParseState(e.Value); !e.Deleted && err == nil && s.Key() == e.Key {
			out = append(out, s)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("list how accounts stand: %w", err)
	}
	slices.SortFunc(out, func(a, b accounts.State) int { return strings.Compare(a.Key(), b.Key()) })
	return out, nil
}

// Resume ends the pause of an account, or of an app: the next message tries whether Meta takes it again, and what is parked
// leaves in order. It is [ErrNotPaused] where there is no pause.
func (d *Desk) Resume(ctx context.Context, key, by string) error {
	for range tries {
		entry, err := d.states.Get(ctx, key)
		if errors.Is(err, bus.ErrKeyNotFound) {
			return ErrNotPaused
		}
		if err != nil {
			return fmt.Errorf("resume %s: %w", key, err)
		}
		s, err := accounts.ParseState(entry.Value)
		if err != nil {
			return fmt.Errorf("resume %s: %w", key, err)
		}
		if s.Pause == nil {
			return ErrNotPaused
		}
		s.Pause, s.Updated, s.By = nil, d.now().UTC(), by
		value, err := s.Encode()
		if err != nil {
			return err
		}
		switch _, err = d.states.Update(ctx, key, value, entry.Revision); {
		case err == nil:
			return nil
		case !errors.Is(err, bus.ErrWrongRevision):
			return fmt.Errorf("resume %s: %w", key, err)
		}
	}
	return fmt.Errorf("resume %s: others changed it at the same time", key)
}

// SetToken puts a token in the place of the one that is configured, encrypted with the senders' TOKEN_KEY; it holds until
// another one is configured. Whether Meta takes it, the next message tells.
func (d *Desk) SetToken(ctx context.Context, vault *accounts.Vault, channel dm.Channel, account string, token config.Secret) error {
	key := accounts.StateKey(channel, account)
	kept := accounts.KeptToken{Refreshed: d.now().UTC()}
	entry, err := d.tokens.Get(ctx, key)
	switch {
	case err == nil:
		before, err := accounts.ParseKeptToken(entry.Value)
		if err != nil {
			return fmt.Errorf("new token for %s: %w", key, err)
		}
		kept.For = before.For
	case errors.Is(err, bus.ErrKeyNotFound):
		if kept.For, err = d.configured(ctx, key); err != nil {
			return err
		}
	default:
		return fmt.Errorf("new token for %s: %w", key, err)
	}
	kept.Sealed = vault.Seal(key, token)
	value, err := kept.Encode()
	if err != nil {
		return err
	}
	if _, err := d.tokens.Put(ctx, key, value); err != nil {
		return fmt.Errorf("new token for %s: %w", key, err)
	}
	return nil
}

// configured is the fingerprint of the token that is configured, as a sender told of it.
func (d *Desk) configured(ctx context.Context, key string) (string, error) {
	entry, err := d.states.Get(ctx, key)
	if errors.Is(err, bus.ErrKeyNotFound) {
		return "", ErrUnknownToken
	}
	if err != nil {
		return "", fmt.Errorf("new token for %s: %w", key, err)
	}
	s, err := accounts.ParseState(entry.Value)
	switch {
	case err != nil:
		return "", fmt.Errorf("new token for %s: %w", key, err)
	case s.Token != nil && s.Token.Fingerprint != "":
		return s.Token.Fingerprint, nil
	case s.Pause != nil && s.Pause.Token != "":
		return s.Pause.Token, nil
	default:
		return "", ErrUnknownToken
	}
}
