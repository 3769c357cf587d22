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

	"github.com/parley-dm/parley/services/simulator/internal/play"
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
	KindEchoFirst   Kind = "echo_first"     // the echo arrives before the answer does
	KindNoEcho      Kind = "no_echo"        // there is no echo
	KindDuplicate   Kind = "duplicate"      // a webhook comes copies times more
	KindDelay       Kind = "delay"          // a webhook comes after delay_ms, out of its order
	KindWithhold    Kind = "withhold"       // a webhook never comes
)

var kinds = []Kind{
	KindError, KindSlow, KindResetBefore, KindResetAfter, KindSentButErr, KindDeadToken, KindUsage, KindEchoFirst, KindNoEcho,
	KindDuplicate, KindDelay, KindWithhold,
}

// Fault is one thing that goes wrong.
type Fault struct {
	ID   string `json:"id"`
	Kind Kind   `json:"kind"`
	// Rate is how often, from 0 to 1; 1 if not given. Count is how many times at most; 0 for no bound.
	Rate  float64 `json:"rate"`
	Count int     `json:"count,omitempty"`
	// Account and Customer limit it to some; empty for all.
	Account  string `json:"account,omitempty"`
	Customer string `json:"customer,omitempty"`

	Code      int    `json:"code,omitempty"`
	Subcode   int    `json:"subcode,omitempty"`
	Status    int    `json:"status,omitempty"`
	Message   string `json:"message,omitempty"`
	Transient bool   `json:"transient,omitempty"`

	DelayMS int `json:"delay_ms,omitempty"`
	Copies  int `json:"copies,omitempty"`

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
	if f.Copies < 0 || f.Copies > 100 {
		bad("copies: got %d, expected 0 to 100", f.Copies)
	}
	if f.Percent < 0 || f.RegainMinutes < 0 {
		bad("percent, regain_minutes: expected 0 or more")
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
	if f.Kind == KindDuplicate && f.Copies == 0 {
		f.Copies = 1
	}
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

// strikes throws the dice for a fault in a scope.
func (s *Set) strikes(a *active, account, customer string) bool {
	if a.Account != "" && a.Account != account || a.Customer != "" && a.Customer != customer {
		return false
	}
	if a.Rate < 1 {
		s.mu.Lock()
		hit := s.rng.Float64() < a.Rate
		s.mu.Unlock()
		if !hit {
			return false
		}
	}
	met := a.met.Add(1)
	if a.Count > 0 && met > int64(a.Count) {
		a.met.Add(-1)
		return false
	}
	return true
}

// Call is what happens to one call that sends a message.
type Call struct {
	Delay                                                    time.Duration
	ResetBefore, ResetAfter, SentButError, EchoFirst, NoEcho bool
	// Error, if not nil, is how it is refused.
	Error *Fault
}

// Send asks what happens to a call that sends to a customer.
func (s *Set) Send(account, customer string) Call {
	var c Call
	p := s.list.Load()
	if p == nil {
		return c
	}
	for _, a := range *p {
		if !a.Kind.ofCall() || !s.strikes(a, account, customer) {
			continue
		}
		switch a.Kind {
		case KindError:
			if c.Error == nil {
				c.Error = &a.Fault
			}
		case KindSlow:
			c.Delay += time.Duration(a.DelayMS) * time.Millisecond
		case KindResetBefore:
			c.ResetBefore = true
		case KindResetAfter:
			c.ResetAfter = true
		case KindSentButErr:
			c.SentButError = true
		case KindEchoFirst:
			c.EchoFirst = true
		case KindNoEcho:
			c.NoEcho = true
		default: // the others are not of a call
		}
	}
	return c
}

func (k Kind) ofCall() bool {
	switch k {
	case KindError, KindSlow, KindResetBefore, KindResetAfter, KindSentButErr, KindEchoFirst, KindNoEcho:
		return true
	default:
		return false
	}
}

// DeadToken asks whether the account's token has died.
func (s *Set) DeadToken(account string) bool {
	_, ok := s.first(KindDeadToken, account)
	return ok
}

// Usage asks what the usage headers say of an account.
func (s *Set) Usage(account string) (percent, regainMinutes int) {
	f, ok := s.first(KindUsage, account)
	if !ok {
		return 0, 0
	}
	return f.Percent, f.RegainMinutes
}

func (s *Set) first(kind Kind, account string) (Fault, bool) {
	p := s.list.Load()
	if p == nil {
		return Fault{}, false
	}
	for _, a := range *p {
		if a.Kind == kind && s.strikes(a, account, "") {
			return a.Fault, true
		}
	}
	return Fault{}, false
}

// Webhook asks what happens to a webhook. Echoes are only withheld by no_echo, so that a fault of one side is not met on
// the other.
func (s *Set) Webhook(account, customer string, echo bool) play.WebhookFault {
	var out play.WebhookFault
	p := s.list.Load()
	if p == nil || echo {
		return out
	}
	for _, a := range *p {
		switch a.Kind {
		case KindDuplicate, KindDelay, KindWithhold:
		default:
			continue
		}
		if !s.strikes(a, account, customer) {
			continue
		}
		switch a.Kind {
		case KindDuplicate:
			out.Copies += a.Copies
		case KindDelay:
			out.Delay += time.Duration(a.DelayMS) * time.Millisecond
		default:
			out.Withhold = true
		}
	}
	return out
}
