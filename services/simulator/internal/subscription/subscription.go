// Package subscription is who gets webhooks: the fields that each account's app asked for, and Meta's patience with a
// receiver that does not take them.
//
// Before anything is subscribed an account gets everything, so that the phone page works at once.
package subscription

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// Fields are those that may be subscribed.
var Fields = []string{
	"messages", "messaging_postbacks", "message_reactions", "messaging_seen", "message_edit", "messaging_referral", "messaging_optins",
	"messaging_handover", "standby", "message_echoes", "comments", "live_comments", "mentions", "story_insights",
}

// State is how an account stands.
type State struct {
	Account string `json:"account"`
	// Subscribed: webhooks are sent. Fields are those asked for; none means everything.
	Subscribed bool     `json:"subscribed"`
	Fields     []string `json:"fields,omitempty"`
	// FailingSince is when the receiver began to answer with anything but 200 and never with it.
	FailingSince time.Time `json:"failing_since,omitzero"`
	// EndedAt is when Meta lost its patience.
	EndedAt time.Time `json:"ended_at,omitzero"`
}

// Book knows every account's state. Its methods are safe for concurrent use.
type Book struct {
	patience time.Duration
	now      func() time.Time

	mu       sync.Mutex
	accounts map[string]*State
}

// NewBook begins with everything subscribed. patience is how long a receiver may fail; 0 for ever.
func NewBook(accounts []string, patience time.Duration, now func() time.Time) *Book {
	b := &Book{patience: patience, now: now, accounts: map[string]*State{}}
	for _, id := range accounts {
		b.accounts[id] = &State{Account: id, Subscribed: true}
	}
	return b
}

// Fields are those that the account asked for; none when it never asked.
func (b *Book) Fields(account string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.accounts[account]; s != nil {
		return slices.Clone(s.Fields)
	}
	return nil
}

// Subscribe sets the fields and forgets what failed.
func (b *Book) Subscribe(account string, fields []string) error {
	for _, f := range fields {
		if !slices.Contains(Fields, f) {
			return fmt.Errorf("subscribed field %q is not one of %v", f, Fields)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.accounts[account] = &State{Account: account, Subscribed: true, Fields: slices.Clone(fields)}
	return nil
}

// Unsubscribe ends it.
func (b *Book) Unsubscribe(account string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.accounts[account] = &State{Account: account}
}

// Wants says whether a webhook about a field is sent. What is about no account of ours always is.
func (b *Book) Wants(account, field string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.accounts[account]
	return s == nil || s.Subscribed && (len(s.Fields) == 0 || slices.Contains(s.Fields, field))
}

// Answered tells how a webhook was answered, and reports whether that was the last straw.
func (b *Book) Answered(account string, accepted bool) (ended bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.accounts[account]
	switch {
	case s == nil:
		return false
	case accepted:
		s.FailingSince = time.Time{}
		return false
	case s.FailingSince.IsZero():
		s.FailingSince = b.now()
	}
	if b.patience <= 0 || !s.Subscribed || b.now().Sub(s.FailingSince) < b.patience {
		return false
	}
	s.Subscribed, s.EndedAt, s.Fields = false, b.now(), nil
	return true
}

// States lists the accounts, in the order of their ids.
func (b *Book) States() []State {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]State, 0, len(b.accounts))
	for _, s := range b.accounts {
		out = append(out, *s)
	}
	slices.SortFunc(out, func(a, c State) int {
		if a.Account < c.Account {
			return -1
		}
		return 1
	})
	return out
}
