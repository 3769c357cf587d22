package main

import (
	"net/http"

	"github.com/parley-dm/parley/services/simulator"
)

// metaFault is one way in which the played Meta misbehaves for a while.
type metaFault struct {
	name string
	// one: it is about one account, because its consequences last: Meta asks whoever exceeds a limit to wait for a minute.
	one    bool
	faults []simulator.Fault
}

// faults are those ways. Meta does each of them; a webhook that never comes is not among them, because nothing that was never
// said can be answered.
var faults = []metaFault{
	{name: "duplicates", faults: []simulator.Fault{{Kind: "duplicate", Rate: 0.5, Copies: 2}}},
	{name: "reorder", faults: []simulator.Fault{{Kind: "delay", Rate: 0.2, DelayMS: 1500}, {Kind: "delay", Rate: 0.1, DelayMS: 200}}},
	{name: "reset-after", faults: []simulator.Fault{{Kind: "reset_after", Rate: 0.2}}},
	{name: "reset-before", faults: []simulator.Fault{{Kind: "reset_before", Rate: 0.2}}},
	// Code 2, which says of itself that it passes. Of code 1 a few tries are made, as Meta's documents have it, and then the
	// message has failed: an outcome, but no reply.
	{name: "5xx", faults: []simulator.Fault{
		{Kind: "error", Rate: 0.3, Code: 2, Status: http.StatusInternalServerError, Transient: true},
		{Kind: "error", Rate: 0.1, Code: 2, Status: http.StatusServiceUnavailable},
	}},
	{name: "rate-limit", one: true, faults: []simulator.Fault{{Kind: "error", Count: 1, Code: 613, Subcode: 2534040, Status: http.StatusTooManyRequests}}},
	{name: "echo-first", faults: []simulator.Fault{{Kind: "echo_first", Rate: 0.5}}},
	{name: "no-echo", faults: []simulator.Fault{{Kind: "no_echo", Rate: 0.3}, {Kind: "reset_after", Rate: 0.02}}},
	{name: "sent-but-error", faults: []simulator.Fault{{Kind: "sent_but_error", Rate: 0.05}}},
	{name: "slow", faults: []simulator.Fault{{Kind: "slow", Rate: 0.3, DelayMS: 1500}}},
}

// faultNamed finds one; nil for what is none of Meta's.
func faultNamed(name string) *metaFault {
	for i := range faults {
		if faults[i].name == name {
			return &faults[i]
		}
	}
	return nil
}
