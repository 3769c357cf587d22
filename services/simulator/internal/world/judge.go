package world

import (
	"strings"

	"github.com/parley-dm/parley/services/simulator/internal/verdict"
)

// Record gives what is judged: each conversation whose customer wrote through the simulator and has an id that begins with
// prefix.
func (w *World) Record(prefix string) []verdict.Conversation {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make([]verdict.Conversation, 0, len(w.conversations))
	for _, c := range w.conversations {
		if !c.judged || !strings.HasPrefix(c.key.Customer, prefix) {
			continue
		}
		v := verdict.Conversation{Account: c.key.Account, Customer: c.key.Customer}
		for i := range c.log {
			m := &c.log[i]
			if m.FromCustomer {
				v.Sent = append(v.Sent, verdict.Sent{MID: m.MID, Expect: m.Expect, At: since(m), Accepted: m.State == StateAccepted})
			} else {
				v.Received = append(v.Received, verdict.Received{MID: m.MID, Text: m.Text, At: m.At})
			}
		}
		out = append(out, v)
	}
	return out
}

// Verdict judges what was recorded so far of the customers whose id begins with prefix.
func (w *World) Verdict(prefix string) verdict.Verdict { return verdict.Judge(w.Record(prefix)) }
