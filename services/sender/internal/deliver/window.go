package deliver

import (
	"time"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/meta/graph"
	"github.com/parley-dm/parley/services/sender/internal/ledger"
)

// expired says to an operator which window closed, and when.
func expired(i *dm.ReplyIntent) string {
	at := i.Expires.UTC().Format(time.RFC3339)
	switch {
	case i.Private():
		return "the 7 days in which a comment may have a private reply ended at " + at + ", before it could be sent"
	case i.Origin == dm.OriginOperator:
		return "the 7 days in which a person may answer, or the intent's own time, ended at " + at + ", before it could be sent"
	default:
		return "the messaging window closed at " + at + ", before it could be sent"
	}
}

// tagged says whether a message goes with the HUMAN_AGENT tag: a person's, after the window by the customer's last message
// that we know of, or because Meta has said that it is closed. Never automation's.
func (v *Deliverer) tagged(m *message, before ledger.Entry) bool {
	if m.intent.Origin != dm.OriginOperator || m.part.CommentID != "" {
		return false
	}
	last, ok := refusal(before)
	return m.intent.NeedsHumanAgent(v.o.Now()) || ok && last.Window
}

// refusal is the rule of the last call, if it was refused by one.
func refusal(e ledger.Entry) (graph.Rule, bool) {
	if len(e.Attempts) == 0 {
		return graph.Rule{}, false
	}
	last := e.Attempts[len(e.Attempts)-1]
	if last.Code == 0 {
		return graph.Rule{}, false
	}
	return graph.Classify(last.Status, last.Code, last.Subcode, false), true
}

// stopOf says whether a failed message means that nothing automatic should follow it in its conversation.
//
// The sender itself goes on: what is said next is not its to decide. Whoever keeps who holds a conversation reads it from the
// delivery, and the responder and the sender ask there before they speak.
func stopOf(e ledger.Entry) dm.Stop {
	if e.State != ledger.Failed {
		return ""
	}
	rule, _ := refusal(e)
	return rule.Stop
}
