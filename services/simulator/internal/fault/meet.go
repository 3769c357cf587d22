package fault

import (
	"time"

	"github.com/parley-dm/parley/services/simulator/internal/play"
)

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

// Call is what happens to one call of the Graph API.
type Call struct {
	Delay                                                    time.Duration
	ResetBefore, ResetAfter, SentButError, EchoFirst, NoEcho bool
	// Error, if not nil, is how it is refused: an error, a rate limit or garbage.
	Error *Fault
}

// Call asks what happens to a call of an endpoint, about a customer or about none.
func (s *Set) Call(endpoint, account, customer string) Call {
	var c Call
	p := s.list.Load()
	if p == nil {
		return c
	}
	for _, a := range *p {
		if a.Kind.ofCall() && a.of(endpoint) && s.strikes(a, account, customer) {
			c.add(&a.Fault)
		}
	}
	return c
}

func (c *Call) add(f *Fault) {
	switch f.Kind {
	case KindError, KindRateLimit, KindGarbage:
		if c.Error == nil {
			c.Error = f
		}
	case KindSlow:
		c.Delay += time.Duration(f.DelayMS) * time.Millisecond
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

func (k Kind) ofCall() bool {
	switch k {
	case KindError, KindSlow, KindResetBefore, KindResetAfter, KindSentButErr, KindEchoFirst, KindNoEcho, KindRateLimit, KindGarbage:
		return true
	default:
		return false
	}
}

// DeadToken asks whether the account's token has died, and with which subcode.
func (s *Set) DeadToken(account string) (subcode int, dead bool) {
	f, ok := s.first(KindDeadToken, account)
	return f.Subcode, ok
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

// Webhook asks what happens to a webhook. Echoes are only met by faults that name them, so that a fault of one side is not
// met on the other; no_echo withholds them.
func (s *Set) Webhook(account, customer, about string) play.WebhookFault {
	var out play.WebhookFault
	p := s.list.Load()
	if p == nil {
		return out
	}
	for _, a := range *p {
		if !a.Kind.ofWebhook() || !a.of(about) || !s.strikes(a, account, customer) {
			continue
		}
		delay := time.Duration(a.DelayMS) * time.Millisecond
		switch a.Kind {
		case KindDuplicate:
			out.Copies += a.Copies
		case KindDelay:
			out.Delay += delay
		case KindReorder:
			out.Swap = delay
		case KindBatch:
			out.Batch, out.BatchWait = a.Size, delay
		default:
			out.Withhold = true
		}
	}
	return out
}

func (k Kind) ofWebhook() bool {
	switch k {
	case KindDuplicate, KindDelay, KindReorder, KindBatch, KindWithhold:
		return true
	default:
		return false
	}
}
