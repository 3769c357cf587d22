package page

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/meta/graph"
	"github.com/parley-dm/parley/pkg/pipeline/deadletter"
	"github.com/parley-dm/parley/services/console/internal/store"
)

// cause is what several failures have in common.
type cause struct {
	Key string
	// Kind is failed, expired, held, unknown or dead.
	Kind, Title string
	// Words are Meta's, Todo ours on what to do.
	Words, Todo string
	Count       int
	First, Last time.Time

	ids     []string // messages
	numbers []uint64 // dead letters
}

// Tone is how the kind is shown.
func (c *cause) Tone() string {
	switch c.Kind {
	case kindFailed, kindDead:
		return "bad"
	case string(dm.OutcomeUnknown):
		return "warn"
	default:
		return ""
	}
}

// Replays says whether failures of this kind can be sent again by the number: those that are in doubt are decided one by one.
func (c *cause) Replays() bool { return c.Kind != string(dm.OutcomeUnknown) }

const (
	kindFailed = "failed"
	kindDead   = "dead"
)

func (c *cause) add(at time.Time, words string) {
	c.Count++
	if c.First.IsZero() || at.Before(c.First) {
		c.First = at
	}
	if at.After(c.Last) {
		c.Last = at
		if words != "" || c.Words == "" {
			c.Words = words
		}
	}
}

// own matches what is one message's own in a reason: ids, numbers of several digits, times.
var own = regexp.MustCompile(`\b(?:ev|in|de)_[A-Za-z0-9_-]+|[0-9a-f]{8}-[0-9a-f-]{27}|\d{4}-\d\d-\d\dT[0-9:.]+Z?|\d{5,}`)

// common is a reason without what is one message's own, so that the same cause reads the same.
func common(reason string) string {
	const most = 300
	r := []rune(own.ReplaceAllString(reason, "…"))
	return string(r[:min(len(r), most)])
}

func keyOf(parts ...string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q", parts))
	return hex.EncodeToString(sum[:8])
}

// causes puts failures together, the most frequent first.
func causes(failures []store.Failure, letters []deadletter.Letter) []*cause {
	all := map[string]*cause{}
	put := func(c *cause) *cause {
		if known := all[c.Key]; known != nil {
			return known
		}
		all[c.Key] = c
		return c
	}
	for i := range failures {
		f := &failures[i]
		c := put(causeOf(f))
		c.add(f.At, f.Last.Error)
		c.ids = append(c.ids, f.ID)
	}
	for i := range letters {
		l := &letters[i]
		reason := common(l.Reason)
		c := put(&cause{
			Key: keyOf(kindDead, l.Stage, l.Class, reason), Kind: kindDead, Title: l.Stage + " gave up: " + reason,
			Todo: "The " + l.Stage + " could not do its work with these messages and put them aside. See to what the reason says, then replay them: they go to that stage alone, and what was done already is not done again.",
		})
		c.add(l.At, "")
		c.numbers = append(c.numbers, l.Number)
	}
	out := make([]*cause, 0, len(all))
	for _, c := range all {
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b *cause) int {
		if a.Count != b.Count {
			return b.Count - a.Count
		}
		return b.Last.Compare(a.Last)
	})
	return out
}

// causeOf is the cause of one failure, still without it.
func causeOf(f *store.Failure) *cause {
	switch {
	case f.Status == string(dm.OutcomeUnknown):
		return &cause{
			Key: keyOf(f.Status), Kind: f.Status, Title: "It may have been sent, or not",
			Todo: "Nobody knows what came of the call. Look in the account's inbox at Instagram whether the message is there, then decide for each: it was sent, or send it again. It is never sent again by itself.",
		}
	case f.Outcome == dm.OutcomeHeld:
		return &cause{
			Key: keyOf("held"), Kind: "held", Title: "A person had the conversation by then",
			Todo: "Somebody took the conversation over before the reply was sent, so the bot stayed silent. Send again only what nobody said since.",
		}
	case f.Status == string(dm.OutcomeExpired):
		return &cause{
			Key: keyOf(f.Status), Kind: f.Status, Title: "The messaging window closed before it could be sent",
			Todo: "Meta takes it only when the customer has written again. See at Accounts and System why it had to wait so long.",
		}
	case f.Last.Code != 0:
		rule := graph.Classify(f.Last.Status, f.Last.Code, f.Last.Subcode, false)
		title := "Meta: " + rule.Meaning + ", code " + strconv.Itoa(f.Last.Code)
		if f.Last.Subcode != 0 {
			title += " / " + strconv.Itoa(f.Last.Subcode)
		}
		return &cause{Key: keyOf(kindFailed, strconv.Itoa(f.Last.Code), strconv.Itoa(f.Last.Subcode)), Kind: kindFailed, Title: title, Todo: todo(&rule)}
	default:
		reason := common(f.Reason)
		if reason == "" {
			reason = "for a reason that is not known"
		}
		return &cause{
			Key: keyOf(kindFailed, reason), Kind: kindFailed, Title: "Not sent: " + reason,
			Todo: "See to what the reason says, such as the text or the medium of the rule that it comes from; then send again what still helps the customer.",
		}
	}
}

// todo is what to do about an error of Meta.
func todo(r *graph.Rule) string {
	switch {
	case r.Window:
		return "Meta says that the window is closed for automatic messages. A person may still write, in the inbox, for 7 days after the customer's last message."
	case r.Stop == dm.StopUnreachable:
		return "This customer cannot be written to. There is nothing to do until they write again."
	case r.Stop == dm.StopNotOurs:
		return "Another app has the conversation. Take it back there, in the account's inbox at Meta, before anything is sent again."
	case r.Stop == dm.StopTooMany:
		return "There were too many messages to the same customers. Wait until they write; look for rules that answer too often."
	}
	switch r.Class {
	case graph.ClassTransient:
		return "Meta had trouble for longer than was tried. Send again."
	case graph.ClassRateLimited:
		return "There were more calls than Meta allows. Send again when Accounts shows no pause, and not all at once."
	case graph.ClassTokenDead:
		return "The account needs a new token: give it one at Accounts, then send again."
	case graph.ClassAccountBlocked:
		return "The account may not send. See to what Meta says of it, in Meta's Business Suite, then resume it at Accounts and send again."
	default:
		return "Meta refuses such a message for good. Mend the rule that it comes from; send again only when what was wrong is not in the message itself."
	}
}
