package accounts

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/parley-dm/parley/pkg/dm"
)

// State is how an account stands, or all accounts of an app: what an operator reads when messages wait. It holds no secret.
type State struct {
	Channel dm.Channel `json:"channel,omitempty"`
	// Account is empty in the state of an app, App in that of an account.
	Account string `json:"account,omitempty"`
	App     string `json:"app,omitempty"`
	// Name is what the account is called where it is configured, if anything.
	Name string `json:"name,omitempty"`
	// Pause is why it may not send, nil while it may.
	Pause *Pause `json:"pause,omitempty"`
	// Token is what is known of its token, nil when nothing is.
	Token *TokenState `json:"token,omitempty"`
	// Usage is how much of what Meta allows is used up, nil while it has told nothing.
	Usage *UsageState `json:"usage,omitempty"`
	// Parked is how many reply intents of it wait, as far as was known at Updated.
	Parked  uint64    `json:"parked,omitempty"`
	Updated time.Time `json:"updated"`
	// By tells the processes that write states apart.
	By string `json:"by,omitempty"`
}

// Pause is one pause.
type Pause struct {
	Since time.Time `json:"since"`
	// Until is when it is tried again; it grows as that fails.
	Until time.Time `json:"until"`
	// Class is token_dead, account_blocked or rate_limited; Code and Subcode are Meta's, zero where it gave none.
	Class   string `json:"class"`
	Code    int    `json:"code,omitempty"`
	Subcode int    `json:"subcode,omitempty"`
	// Reason is what Meta said, WhatToDo what a person can do about it.
	Reason   string `json:"reason"`
	WhatToDo string `json:"what_to_do"`
	// Token is the [Fingerprint] of the token that was refused: with another one the pause is over.
	Token string `json:"token,omitempty"`
	// For is how long it was meant to be; Exact that Meta said so.
	For   time.Duration `json:"for"`
	Exact bool          `json:"exact,omitempty"`
}

// TokenState is what is known of a token.
type TokenState struct {
	// Fingerprint says which one.
	Fingerprint string `json:"fingerprint"`
	// Valid is what Meta said of it at Checked.
	Valid   bool      `json:"valid"`
	Checked time.Time `json:"checked"`
	// Expires is when it dies; zero for never, or when nobody knows.
	Expires time.Time `json:"expires,omitzero"`
	// Refreshed is when it was last made to live longer.
	Refreshed time.Time `json:"refreshed,omitzero"`
	Problem   string    `json:"problem,omitempty"`
}

// UsageState is how much of what Meta allows is used up, as the headers of its answers say.
type UsageState struct {
	// Percent is the higher one of the account's and its app's; at 100 Meta refuses.
	Percent int `json:"percent"`
	// Rate is at what share of its full rate, 0 to 1, the account sends for that.
	Rate float64 `json:"rate"`
	// At is when Meta told.
	At time.Time `json:"at"`
}

// Empty says whether there is nothing to tell.
func (s State) Empty() bool {
	return s.Pause == nil && s.Token == nil && s.Usage == nil && s.Parked == 0
}

// Key is the state's in the bucket parley_accounts.
func (s State) Key() string {
	if s.App != "" {
		return "app." + s.App
	}
	return StateKey(s.Channel, s.Account)
}

// StateKey is the key of an account's state.
func StateKey(channel dm.Channel, account string) string { return string(channel) + "." + account }

// Encode writes a state.
func (s State) Encode() ([]byte, error) {
	b, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode an account's state: %w", err)
	}
	return b, nil
}

// ParseState reads what [State.Encode] wrote.
func ParseState(b []byte) (State, error) {
	var s State
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("read an account's state: %w", err)
	}
	return s, nil
}
