package load

import (
	"slices"

	"github.com/parley-dm/parley/services/simulator/internal/verdict"
	"github.com/parley-dm/parley/services/simulator/internal/world"
)

// Summary is a verdict with its percentiles.
type Summary struct {
	verdict.Verdict
	P50 Duration `json:"p50"`
	P90 Duration `json:"p90"`
	P99 Duration `json:"p99"`
	Max Duration `json:"max"`
}

// Report sums a verdict up.
func Report(v verdict.Verdict) Summary {
	return Summary{
		Verdict: v, P50: Duration(v.Percentile(0.50)), P90: Duration(v.Percentile(0.90)), P99: Duration(v.Percentile(0.99)),
		Max: Duration(v.Percentile(1)),
	}
}

// AccountSummary is the summary of one account.
type AccountSummary struct {
	Account string `json:"account"`
	Name    string `json:"name"`
	Summary
}

// ByAccount judges each account by itself, in the order of the accounts.
func ByAccount(w *world.World, records []verdict.Conversation) []AccountSummary {
	of := map[string][]verdict.Conversation{}
	for _, r := range records {
		of[r.Account] = append(of[r.Account], r)
	}
	out := make([]AccountSummary, 0, len(of))
	for _, a := range w.Accounts() {
		if records, ok := of[a.ID]; ok {
			out = append(out, AccountSummary{Account: a.ID, Name: a.Name, Summary: *sum(records)})
		}
	}
	return out
}

// apart judges some accounts, and all others, together.
func apart(records []verdict.Conversation, some []string) (those, others *Summary) {
	if len(some) == 0 {
		return nil, nil
	}
	var in, out []verdict.Conversation
	for _, r := range records {
		if slices.Contains(some, r.Account) {
			in = append(in, r)
		} else {
			out = append(out, r)
		}
	}
	return sum(in), sum(out)
}

// sum leaves the single faults out: they are listed once, in the whole.
func sum(records []verdict.Conversation) *Summary {
	s := Report(verdict.Judge(records))
	s.Faults = nil
	return &s
}
