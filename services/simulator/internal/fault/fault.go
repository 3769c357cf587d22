// Package fault is what goes wrong on purpose: refused and slow answers, broken connections, echoes that come too early or
// never, webhooks that come twice, late or not at all.
//
// A fault has a rate and a scope. With no fault set, asking costs one atomic load.
package fault

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Kind says what goes wrong.
type Kind string

// The kinds of fault.
const (
	KindError       Kind = "error"          // the Graph API refuses with code, subcode, status
	KindSlow        Kind = "slow"           // it answers after delay_ms
	KindResetBefore Kind = "reset_before"   // the connection breaks, nothing was sent
	KindResetAfter  Kind = "reset_after"    // the connection breaks, the customer has the message
	KindSentButErr  Kind = "sent_but_error" // 1/1357046: an error, although it was sent
	KindDeadToken   Kind = "dead_token"     // 190/463 for every call of the account
	KindUsage       Kind = "usage"          // the usage headers say percent and regain_minutes
	KindRateLimit   Kind = "rate_limit"     // 80006 (or code) with headers at 100 % and regain_minutes
	KindGarbage     Kind = "garbage"        // an answer that is no JSON, as proxies give it, with status
	KindEchoFirst   Kind = "echo_first"     // the echo arrives before the answer does
	KindNoEcho      Kind = "no_echo"        // there is no echo
	KindDuplicate   Kind = "duplicate"      // a webhook comes copies times more
	KindDelay       Kind = "delay"          // a webhook comes after delay_ms, out of its order
	KindReorder     Kind = "reorder"        // the customer's next webhook overtakes it, if it comes within delay_ms
	KindBatch       Kind = "batch"          // up to size items come in one webhook, collected for at most delay_ms
	KindWithhold    Kind = "withhold"       // a webhook never comes
)

var kinds = []Kind{
	KindError, KindSlow, KindResetBefore, KindResetAfter, KindSentButErr, KindDeadToken, KindUsage, KindRateLimit, KindGarbage,
	KindEchoFirst, KindNoEcho, KindDuplicate, KindDelay, KindReorder, KindBatch, KindWithhold,
}

// Kinds lists the kinds of fault.
func Kinds() []Kind { return slices.Clone(kinds) }

// The endpoints that a fault may be limited to. Faults of calls are about messages if they do not say it, those of webhooks
// about what customers do.
const (
	Messages       = "messages"
	Conversations  = "conversations" // the list, a conversation, and a message
	Profile        = "profile"
	DebugToken     = "debug_token"
	RefreshToken   = "refresh_access_token"
	SubscribedApps = "subscribed_apps"
	Webhooks       = "webhooks"
	Echoes         = "echoes"
	All            = "all"
)

// Endpoints lists them.
var Endpoints = []string{Messages, Conversations, Profile, DebugToken, RefreshToken, SubscribedApps, Webhooks, Echoes, All}

// Fault is one thing that goes wrong.
type Fault struct {
	ID   string `json:"id"`
	Kind Kind   `json:"kind"`
	// Rate is how often, from 0 to 1; 1 if not given. Count is how many times at most; 0 for no bound.
	Rate  float64 `json:"rate"`
	Count int     `json:"count,omitempty"`
	// Account and Customer limit it to some; empty for all. Endpoint is one of Endpoints.
	Account  string `json:"account,omitempty"`
	Customer string `json:"customer,omitempty"`
	Endpoint string `json:"endpoint,omitempty"`

	Code      int    `json:"code,omitempty"`
	Subcode   int    `json:"subcode,omitempty"`
	Status    int    `json:"status,omitempty"`
	Message   string `json:"message,omitempty"`
	Transient bool   `json:"transient,omitempty"`

	DelayMS int `json:"delay_ms,omitempty"`
	Copies  int `json:"copies,omitempty"`
	Size    int `json:"size,omitempty"`

	Percent       int `json:"percent,omitempty"`
	RegainMinutes int `json:"regain_minutes,omitempty"`
}

// ErrFault is a fault that makes no sense.
var ErrFault = errors.New("this fault makes no sense")

func (f *Fault) check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !slices.Contains(kinds, f.Kind) {
		bad("kind: got %q, expected one of %v", f.Kind, kinds)
	}
	if f.Rate < 0 || f.Rate > 1 {
		bad("rate: got %g, expected 0 to 1", f.Rate)
	}
	if f.Count < 0 {
		bad("count: got %d, expected 0 or more", f.Count)
	}
	if f.Kind == KindError && f.Code == 0 {
		bad("code: expected one of Meta's error codes")
	}
	if f.Endpoint != "" && !slices.Contains(Endpoints, f.Endpoint) {
		bad("endpoint: got %q, expected one of %v", f.Endpoint, Endpoints)
	}
	f.checkNumbers(bad)
	if len(errs) > 0 {
		return fmt.Errorf("%w: %w", ErrFault, errors.Join(errs...))
	}
	return nil
}

func (f *Fault) checkNumbers(bad func(format string, args ...any)) {
	if f.Status != 0 && (f.Status < 400 || f.Status > 599) {
		bad("status: got %d, expected 400 to 599", f.Status)
	}
	if (f.Kind == KindSlow || f.Kind == KindDelay) && (f.DelayMS <= 0 || f.DelayMS > 600_000) {
		bad("delay_ms: got %d, expected 1 to 600000", f.DelayMS)
	}
	if f.DelayMS < 0 || f.DelayMS > 600_000 {
		bad("delay_ms: got %d, expected 0 to 600000", f.DelayMS)
	}
	if f.Copies < 0 || f.Copies > 100 {
		bad("copies: got %d, expected 0 to 100", f.Copies)
	}
	if f.Kind == KindBatch && (f.Size < 2 || f.Size > 1000) {
		bad("size: got %d, expected 2 to 1000, the most that Meta puts into one webhook", f.Size)
	}
	if f.Percent < 0 || f.RegainMinutes < 0 {
		bad("percent, regain_minutes: expected 0 or more")
	}
}

const (
	defaultSwap   = time.Second
	defaultBatch  = 100
	defaultRegain = 5
)

func (f *Fault) setDefaults() {
	switch f.Kind {
	case KindDuplicate:
		f.Copies = max(f.Copies, 1)
	case KindReorder:
		if f.DelayMS == 0 {
			f.DelayMS = int(defaultSwap.Milliseconds())
		}
	case KindBatch:
		if f.Size == 0 {
			f.Size = defaultBatch
		}
	case KindRateLimit:
		f.Percent = max(f.Percent, 100)
		if f.RegainMinutes == 0 {
			f.RegainMinutes = defaultRegain
		}
	default: // the others have no defaults
	}
}

// of says whether the fault is about an endpoint.
func (f *Fault) of(endpoint string) bool {
	switch f.Endpoint {
	case All:
		return true
	case "":
		return endpoint == Messages || endpoint == Webhooks
	default:
		return f.Endpoint == endpoint
	}
}

type active struct {
	Fault
	met atomic.Int64
}

// Set holds the faults. Its methods are safe for concurrent use.
type Set struct {
	mu   sync.Mutex
	next int
	rng  *rand.Rand
	list atomic.Pointer[[]*active]
}

// NewSet starts without faults. The seed makes the dice repeatable.
func NewSet(seed uint64) *Set {
	return &Set{rng: rand.New(rand.NewPCG(seed, seed))} //nolint:gosec // repeatable on purpose
}

// Add sets a fault and returns it with its id.
func (s *Set) Add(f Fault) (Fault, error) {
	if f.Rate == 0 {
		f.Rate = 1
	}
	f.setDefaults()
	if err := f.check(); err != nil {
		return f, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	f.ID = "fault-" + strconv.Itoa(s.next)
	s.store(append(s.current(), &active{Fault: f}))
	return f, nil
}

// Remove ends a fault, or all with an empty id, and says how many.
func (s *Set) Remove(id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.current()
	after := slices.DeleteFunc(slices.Clone(before), func(a *active) bool { return id == "" || a.ID == id })
	s.store(after)
	return len(before) - len(after)
}

// Len is how many faults are set.
func (s *Set) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.current())
}

// Status is a fault and how often it was met.
type Status struct {
	Fault
	Met int64 `json:"met"`
}

// List gives the faults that are set.
func (s *Set) List() []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []Status{}
	for _, a := range s.current() {
		out = append(out, Status{Fault: a.Fault, Met: a.met.Load()})
	}
	return out
}

func (s *Set) current() []*active {
	if p := s.list.Load(); p != nil {
		return *p
	}
	return nil
}

func (s *Set) store(list []*active) {
	if len(list) == 0 {
		s.list.Store(nil)
		return
	}
	list = slices.Clone(list)
	s.list.Store(&list)
}
