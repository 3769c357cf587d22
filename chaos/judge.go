package main

import (
	"fmt"
	"time"

	"github.com/parley-dm/parley/services/simulator"
)

// finding is one message that is wrong.
type finding struct {
	what              string // missing, not accepted, doubled, out of order, nobody asked for
	account, customer string
	// mid is that of the customer's message, or of a reply that nobody asked for.
	mid, text string
	// reply is the one that is too many or too early.
	reply simulator.Message
	asked simulator.Message
	// before is, for one out of order, the message that was answered first although it came later.
	before simulator.Message
}

// judgement is what came of all messages, by what the customers received.
type judgement struct {
	in, once int
	findings []finding
	counts   map[string]int
	slowest  time.Duration
}

// The things that may be wrong.
const (
	missing     = "missing"
	notAccepted = "not accepted"
	doubled     = "doubled"
	outOfOrder  = "out of order"
	unasked     = "nobody asked for it"
)

// judge says what came of each message. Every message of a customer has a reply of its own, so that there is no doubt which
// reply is whose.
//
// Order is judged by what we were told, since Meta promises none of its own after a failure: message A comes before message B
// of the same customer when A's webhook had been answered with 200 before B's was sent for the first time. Two that were
// under way together, one of them delayed perhaps, may be answered in any order.
func judge(conversations []conversation) judgement {
	j := judgement{counts: map[string]int{}}
	for i := range conversations {
		j.conversation(&conversations[i])
	}
	return j
}

func (j *judgement) conversation(c *conversation) {
	asked := map[string]*simulator.Message{} // by the reply that it must get
	answered := map[string]bool{}
	var latest *simulator.Message // of those answered so far the one that was sent last
	for i := range c.Messages {
		m := &c.Messages[i]
		if m.FromCustomer {
			j.in++
			asked[m.Expect] = m
			continue
		}
		q, known := asked[m.Text]
		switch {
		case !known:
			j.find(finding{what: unasked, account: c.Account, customer: c.Customer, mid: m.MID, text: m.Text, reply: *m})
			continue
		case answered[m.Text]:
			j.find(finding{what: doubled, account: c.Account, customer: c.Customer, mid: q.MID, text: m.Text, reply: *m, asked: *q})
			continue
		case latest != nil && !q.AcceptedAt.IsZero() && q.AcceptedAt.Before(latest.SentAt):
			j.find(finding{what: outOfOrder, account: c.Account, customer: c.Customer, mid: q.MID, text: m.Text, reply: *m, asked: *q, before: *latest})
		default:
			j.once++
		}
		answered[m.Text] = true
		j.slowest = max(j.slowest, m.At.Sub(q.SentAt))
		if latest == nil || q.SentAt.After(latest.SentAt) {
			latest = q
		}
	}
	for expect, q := range asked {
		switch {
		case q.AcceptedAt.IsZero():
			j.find(finding{what: notAccepted, account: c.Account, customer: c.Customer, mid: q.MID, text: expect, asked: *q})
		case !answered[expect]:
			j.find(finding{what: missing, account: c.Account, customer: c.Customer, mid: q.MID, text: expect, asked: *q})
		}
	}
}

func (j *judgement) find(f finding) {
	j.counts[f.what]++
	j.findings = append(j.findings, f)
}

// archive compares the rows with what was said.
type archive struct {
	inbound, outbound int
	// missing are messages without a row, surplus rows without a message.
	missing, surplus []string
	// queued are replies of which no outcome has been written yet. One may be queued although its text has a row: the row of its echo,
	// which is one with it when the outcome comes.
	queued []row
	// unknown are the messages that were left to a person; failed those that were given up.
	unknown, failed []row
}

// behind says that what is still to be written may make the archive whole.
func (a *archive) behind() bool { return len(a.missing) > 0 || len(a.queued) > 0 }

// compare looks for the row of each message that was accepted and of each reply that was received.
func compare(conversations []conversation, rows []row) archive {
	var a archive
	have := map[string]row{}
	for _, r := range rows {
		if r.Direction == "inbound" {
			a.inbound++
		}
		switch {
		case r.Direction == "inbound", r.Status == "sent", r.Status == "delivered", r.Status == "read":
			if r.Direction == "outbound" {
				a.outbound++
			}
			have[r.Account+" "+r.MID] = r
		case r.Status == "unknown":
			a.unknown = append(a.unknown, r)
		case r.Status == "queued":
			a.queued = append(a.queued, r)
		default:
			a.failed = append(a.failed, r)
		}
	}
	for _, c := range conversations {
		for i := range c.Messages {
			m := &c.Messages[i]
			key := c.Account + " " + m.MID
			r, ok := have[key]
			delete(have, key)
			direction := "inbound"
			if !m.FromCustomer {
				direction = "outbound"
			}
			switch {
			case !ok && (!m.FromCustomer || !m.AcceptedAt.IsZero()):
				a.missing = append(a.missing, fmt.Sprintf("%s %s of customer %s: %q, mid %s", direction, m.Kind, c.Customer, m.Text, m.MID))
			case ok && (r.Direction != direction || r.Text != m.Text):
				a.missing = append(a.missing, fmt.Sprintf("%s of customer %s: %q, but its row says %s %q", direction, c.Customer, m.Text, r.Direction, r.Text))
			}
		}
	}
	for _, r := range have {
		a.surplus = append(a.surplus, fmt.Sprintf("%s %s of customer %s: %q, mid %s", r.Direction, r.Status, r.Customer, r.Text, r.MID))
	}
	return a
}
