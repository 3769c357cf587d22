package world

import (
	"slices"
	"strings"

	"github.com/parley-dm/parley/services/simulator/internal/verdict"
)

// Scope says which conversations are judged.
type Scope struct {
	// Prefix begins the customers' ids. Accounts are all when empty.
	Prefix   string
	Accounts []string
}

func (s Scope) has(k Key) bool {
	return strings.HasPrefix(k.Customer, s.Prefix) && (len(s.Accounts) == 0 || slices.Contains(s.Accounts, k.Account))
}

// Record gives what is judged: each conversation in the scope whose customer wrote through the simulator. What needs no
// answer, and what the account wrote in the app, is left out.
func (w *World) Record(scope Scope) []verdict.Conversation {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make([]verdict.Conversation, 0, len(w.conversations))
	for _, c := range w.conversations {
		if c.judged && scope.has(c.key) {
			out = append(out, c.judgement())
		}
	}
	return out
}

func (c *conversation) judgement() verdict.Conversation {
	v := verdict.Conversation{Account: c.key.Account, Customer: c.key.Customer}
	for i := range c.log {
		m := &c.log[i]
		switch {
		case m.Quiet || m.App:
		case m.FromCustomer:
			v.Sent = append(v.Sent, verdict.Sent{
				MID: m.MID, Expect: m.Expect, At: since(m), Accepted: m.State == StateAccepted,
				Withheld: m.State == StateWithheld, Unordered: m.Unordered || m.State == StateWithheld,
			})
		default:
			v.Received = append(v.Received, verdict.Received{MID: m.MID, Text: m.Text, At: m.wall})
		}
	}
	return v
}

// Verdict judges what was recorded so far in a scope.
func (w *World) Verdict(scope Scope) verdict.Verdict { return verdict.Judge(w.Record(scope)) }
