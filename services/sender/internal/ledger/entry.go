package ledger

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/parley-dm/parley/pkg/dm"
)

// State is where a message of an intent stands.
type State string

// The states. A message is claimed before the Graph API is called and gets its outcome after; one that is known not to
// have been sent, and shall be, is open again; one that may have been sent is in doubt until it is found out.
const (
	Claimed State = "claimed"
	Open    State = "open"
	InDoubt State = "in_doubt"
	Sent    State = State(dm.OutcomeSent)
	Failed  State = State(dm.OutcomeFailed)
	Expired State = State(dm.OutcomeExpired)
	Unknown State = State(dm.OutcomeUnknown)
	Held    State = State(dm.OutcomeHeld)
)

// Final says whether the state is an outcome.
func (s State) Final() bool { return s != Claimed && s != Open && s != InDoubt }

// Entry is what the ledger holds of one message.
type Entry struct {
	State State `json:"state"`
	// At is when the state was reached, by the clock of whoever wrote it. Nothing is decided by it.
	At time.Time `json:"at"`
	// Claim names the claim that the entry was written under, so that its owner knows it again.
	Claim string `json:"claim,omitempty"`
	// MID is Meta's message_id, when sent. Reason says for an operator why not.
	MID    string `json:"mid,omitempty"`
	Reason string `json:"reason,omitempty"`
	// SentAnyway: Meta said that it was sent, without saying as what. It is never open again.
	SentAnyway bool `json:"sent_anyway,omitempty"`
	// HumanAgent: its last call went with that tag.
	HumanAgent bool `json:"human_agent,omitempty"`
	// Age is how long before the entry was written its claim was made, as whoever did both saw it; of entries in doubt.
	Age time.Duration `json:"age,omitempty"`
	// Doubted is when the first claim that came in doubt was made, by the server's clock; kept when the message is open
	// again, so that a call of that time which did arrive after all is still recognised.
	Doubted time.Time `json:"doubted,omitzero"`
	// Tries counts the answers that bound the attempts; Attempts are the calls themselves, the newest ones if many.
	Tries    int          `json:"tries,omitempty"`
	Attempts []dm.Attempt `json:"attempts,omitempty"`
}

func (e Entry) encode() ([]byte, error) {
	b, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode ledger entry: %w", err)
	}
	return b, nil
}

func decode(key string, value []byte) (Entry, error) {
	var e Entry
	if err := json.Unmarshal(value, &e); err != nil {
		return e, fmt.Errorf("ledger entry %s: %w", key, err)
	}
	switch e.State {
	case Claimed, Open, InDoubt, Sent, Failed, Expired, Unknown, Held:
		return e, nil
	default:
		return e, fmt.Errorf("ledger entry %s: state %q is not known to this version", key, e.State)
	}
}
