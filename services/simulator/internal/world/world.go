// Package world is what the played Meta knows: accounts, their customers, and every message between them, in memory.
//
// It has no HTTP in it. Package graph writes replies into it, packages phone, control and load write what customers say,
// package webhooks tells it how delivering went, and package verdict judges what it recorded. Memory is bounded: see
// [Options].
package world

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Options bound and seed a world.
type Options struct {
	// MaxMessages bounds what is recorded of customers that are judged. When it is reached Say returns ErrFull.
	MaxMessages int
	// MaxConversations bounds how many conversations are known.
	MaxConversations int
	// Now is the clock; time.Now if nil.
	Now func() time.Time
}

// unjudgedKept is how many replies are kept of a conversation whose customer never wrote through the simulator: enough
// for the conversations endpoint, which has details of the newest 20 only.
const unjudgedKept = 50

// The reasons why the world refuses something.
var (
	ErrFull           = errors.New("the ledger is full (LEDGER_LIMIT): reset it")
	ErrUnknownAccount = errors.New("no such account")
	ErrUnknown        = errors.New("no such conversation or message")
)

// Account is a business account that webhooks are about.
type Account struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Username string `json:"username"`
	// Token is what the Graph API accepts for it at first; package token knows what it is now.
	Token string `json:"-"`
}

// Key names a conversation.
type Key struct {
	Account  string `json:"account"`
	Customer string `json:"customer"`
}

// World holds everything. Its methods are safe for concurrent use.
type World struct {
	opts     Options
	accounts map[string]Account
	order    []string

	mu            sync.Mutex
	nonce         uint64
	conversations map[Key]*conversation
	judged        int // messages recorded in judged conversations
	shown         []Key
	feed          *Feed
	totals        Totals
	comments      map[string]*Comment
	commentOrder  []string
	noted         int
}

// New makes a world with the accounts.
func New(accounts []Account, o Options) *World {
	if o.Now == nil {
		o.Now = time.Now
	}
	w := &World{
		opts: o, accounts: map[string]Account{}, comments: map[string]*Comment{},
		conversations: map[Key]*conversation{}, feed: newFeed(), nonce: newNonce(),
	}
	for _, a := range accounts {
		w.accounts[a.ID] = a
		w.order = append(w.order, a.ID)
	}
	return w
}

// newNonce makes the ids of this run differ from those of the run before: Parley remembers ids for days, and a reused one
// would be taken for a redelivery.
func newNonce() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails since Go 1.24
	return binary.LittleEndian.Uint64(b[:])
}

// Now is the world's clock.
func (w *World) Now() time.Time { return w.opts.Now() }

// Feed is where what happens in shown conversations can be listened to.
func (w *World) Feed() *Feed { return w.feed }

// Account finds an account by id; an empty id is the first one.
func (w *World) Account(id string) (Account, error) {
	if id == "" && len(w.order) > 0 {
		id = w.order[0]
	}
	a, ok := w.accounts[id]
	if !ok {
		return Account{}, fmt.Errorf("account %q: %w", id, ErrUnknownAccount)
	}
	return a, nil
}

// Accounts lists the accounts in the order they were given.
func (w *World) Accounts() []Account {
	out := make([]Account, 0, len(w.order))
	for _, id := range w.order {
		out = append(out, w.accounts[id])
	}
	return out
}

// Totals counts what happened since the start or the last reset.
type Totals struct {
	// Sent counts messages of customers, Accepted those whose webhook was answered with 200, Replies the messages that
	// the account sent.
	Sent     int `json:"sent"`
	Accepted int `json:"accepted"`
	Replies  int `json:"replies"`
	// Refused counts answers to webhooks that were not 200, retries included; Withheld messages whose webhook was not sent.
	Refused       int `json:"refused"`
	Withheld      int `json:"withheld"`
	Conversations int `json:"conversations"`
}

// Totals says how much happened.
func (w *World) Totals() Totals {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.totals
	t.Conversations = len(w.conversations)
	return t
}

// Reset forgets every conversation. Ids that were given out before are not known any more.
func (w *World) Reset() {
	w.mu.Lock()
	w.conversations = map[Key]*conversation{}
	w.judged, w.shown, w.totals = 0, nil, Totals{}
	w.comments, w.commentOrder = map[string]*Comment{}, nil
	w.nonce = newNonce()
	w.mu.Unlock()
	w.feed.publish(Update{Type: UpdateReset})
}
