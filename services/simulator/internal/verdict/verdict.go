// Package verdict judges what simulated customers received: for each message sent in, exactly one reply, in order.
//
// It knows no clock, no HTTP and no state: it is given conversations and says what is wrong with them.
package verdict

import (
	"slices"
	"time"
)

// Sent is a message that a customer sent.
type Sent struct {
	MID string
	// Expect is the reply that it must get; empty when any will do.
	Expect string
	At     time.Time
	// Accepted: its webhook was answered with 200. Withheld: it was never sent.
	Accepted, Withheld bool
	// Unordered: its webhook came out of its order, so that its reply may come anywhere.
	Unordered bool
}

// Received is a reply that a customer received.
type Received struct {
	MID  string
	Text string
	At   time.Time
}

// Conversation is all that one customer sent and received, each oldest first.
type Conversation struct {
	Account, Customer string
	Sent              []Sent
	Received          []Received
}

// Fault is one thing that is wrong.
type Fault struct {
	// Kind is missing, doubled, swapped or wrong.
	Kind     string `json:"kind"`
	Account  string `json:"account"`
	Customer string `json:"customer"`
	// MID is the customer's message for missing, the reply otherwise.
	MID string `json:"mid"`
	// Number counts, from 1, the customer's messages for missing, the replies otherwise.
	Number int       `json:"number"`
	At     time.Time `json:"at"`
	Expect string    `json:"expect,omitempty"`
	Got    string    `json:"got,omitempty"`
}

// maxFaults bounds the faults that are listed; all are counted.
const maxFaults = 100

// Verdict is the judgement over all conversations.
type Verdict struct {
	Good      bool `json:"good"`
	Customers int  `json:"customers"`
	// Sent counts messages in, Replies those that came back, Answered the messages with exactly their reply in its place.
	Sent     int `json:"sent"`
	Replies  int `json:"replies"`
	Answered int `json:"answered"`
	// Missing counts messages without a reply, NotAccepted those of them whose webhook was never answered with 200 and
	// Withheld those of these whose webhook the simulator never sent. Doubled counts
	// replies too many, Swapped replies that came out of order, Wrong replies whose text nobody expected.
	Missing     int `json:"missing"`
	NotAccepted int `json:"not_accepted"`
	Withheld    int `json:"withheld"`
	Doubled     int `json:"doubled"`
	Swapped     int `json:"swapped"`
	Wrong       int `json:"wrong"`
	// Ordered counts the messages whose reply could be told from others by its text. Order is judged among those only.
	Ordered int     `json:"ordered"`
	Faults  []Fault `json:"faults"`

	// Waits are the times from message to reply of the answered ones, sorted.
	Waits []time.Duration `json:"-"`
	// Last is when the last reply came.
	Last time.Time `json:"-"`
}

// Judge judges the conversations.
func Judge(conversations []Conversation) Verdict {
	v := Verdict{Faults: []Fault{}}
	for i := range conversations {
		v.add(&conversations[i])
	}
	slices.Sort(v.Waits)
	v.Good = v.Missing == 0 && v.Doubled == 0 && v.Swapped == 0 && v.Wrong == 0
	return v
}

func (v *Verdict) add(c *Conversation) {
	v.Customers++
	v.Sent += len(c.Sent)
	v.Replies += len(c.Received)
	expected := map[string]bool{}
	for _, s := range c.Sent {
		if s.Expect != "" {
			expected[s.Expect] = true
			if !s.Unordered {
				v.Ordered++
			}
		}
	}
	answer, taken := match(c)
	for i, s := range c.Sent {
		if j := answer[i]; j >= 0 {
			v.Answered++
			v.Waits = append(v.Waits, c.Received[j].At.Sub(s.At))
		}
	}
	swapped := pairLeftovers(c, answer, taken)
	for i, s := range c.Sent {
		if answer[i] >= 0 || swapped.sent[i] {
			continue
		}
		v.Missing++
		if !s.Accepted {
			v.NotAccepted++
		}
		if s.Withheld {
			v.Withheld++
		}
		v.fault(Fault{Kind: "missing", Account: c.Account, Customer: c.Customer, MID: s.MID, Number: i + 1, At: s.At, Expect: s.Expect})
	}
	for j, r := range c.Received {
		if r.At.After(v.Last) {
			v.Last = r.At
		}
		if taken[j] {
			continue
		}
		f := Fault{Account: c.Account, Customer: c.Customer, MID: r.MID, Number: j + 1, At: r.At, Got: r.Text}
		switch {
		case swapped.received[j]:
			f.Kind = "swapped"
			v.Swapped++
		case len(expected) == 0 || expected[r.Text]:
			f.Kind = "doubled"
			v.Doubled++
		default:
			f.Kind = "wrong"
			v.Wrong++
		}
		v.fault(f)
	}
}

func (v *Verdict) fault(f Fault) {
	if len(v.Faults) < maxFaults {
		v.Faults = append(v.Faults, f)
	}
}

type leftovers struct{ sent, received []bool }

// pairLeftovers finds, among what the alignment left over, replies that did come but not in their place.
func pairLeftovers(c *Conversation, answer []int, taken []bool) leftovers {
	l := leftovers{sent: make([]bool, len(c.Sent)), received: make([]bool, len(c.Received))}
	waiting := map[string][]int{}
	for i, s := range c.Sent {
		if answer[i] < 0 && s.Expect != "" {
			waiting[s.Expect] = append(waiting[s.Expect], i)
		}
	}
	for j, r := range c.Received {
		if taken[j] {
			continue
		}
		for k, i := range waiting[r.Text] {
			if !r.At.Before(c.Sent[i].At) {
				l.sent[i], l.received[j] = true, true
				waiting[r.Text] = slices.Delete(waiting[r.Text], k, k+1)
				break
			}
		}
	}
	return l
}

// Percentile is the wait that the share p (0 to 1) of answered messages did not exceed.
func (v *Verdict) Percentile(p float64) time.Duration {
	if len(v.Waits) == 0 {
		return 0
	}
	i := int(p*float64(len(v.Waits))+0.999999) - 1
	return v.Waits[min(max(i, 0), len(v.Waits)-1)]
}
