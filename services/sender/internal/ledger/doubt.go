package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/parley-dm/parley/pkg/bus"
)

// DoubtError is a message that may have been sent: somebody else's claim without an outcome yet, or a call whose outcome
// nobody knows. [Ledger.Resolve] ends it.
type DoubtError struct {
	Key string
	// Entry is what the ledger holds.
	Entry Entry
	// Since is when the claim was made, by the clock of the bus, or somewhat earlier; of several claims the first one that
	// came in doubt.
	Since time.Time
	// Seen is when this process first found it so, by its own clock. The claim is older.
	Seen time.Time
	// Until is when it is given up: then it is unknown.
	Until time.Time

	rev    uint64
	ledger *Ledger
}

func (e *DoubtError) Error() string {
	if e.Entry.State == InDoubt {
		return "it may have been sent: " + e.Entry.Reason
	}
	return "claimed elsewhere, and without an outcome yet: " + e.Key
}

// maxProlonged is how many times the usual time a doubt lasts at most that could not be looked into.
const maxProlonged = 10

// Prolong begins the time of a doubt anew, because nobody could look into it: others had to be asked about first, Meta had been
// asked too much, or the bus was away. It lasts for maxProlonged times the usual at most.
func (e *DoubtError) Prolong() {
	l := e.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	n, ok := l.notes[e.Key]
	if !ok || n.seenAs != e.rev {
		return // it has ended
	}
	n.until = l.until(n, l.o.Doubt)
	l.notes[e.Key], e.Until = n, n.until
}

// until is when a doubt ends that is to last for some time more.
func (l *Ledger) until(n note, more time.Duration) time.Time {
	at, last := l.o.Now().Add(more), n.seen.Add(maxProlonged*l.o.Doubt)
	if at.After(last) {
		return last
	}
	return at
}

// doubt says since when a message is in doubt, and ends the doubt when it has lasted for too long, and was looked into until now:
// the message may have been another sender's meanwhile, or everything may have stood still. Whoever comes back to it has time for
// more than one look, also when some of the doubt's own time is left.
func (l *Ledger) doubt(ctx context.Context, key string, n note, at bus.Entry, e Entry) (*Claim, error) {
	now := l.o.Now()
	if n.seenAs != at.Revision {
		n.seen, n.until, n.seenAs, n.asked = now, now.Add(l.o.Doubt), at.Revision, now
	}
	if again := l.until(n, l.o.Doubt/2); now.Sub(n.asked) > l.o.Doubt/2 && again.After(n.until) {
		n.until = again
	}
	n.asked = now
	l.remember(key, n)
	d := &DoubtError{Key: key, Entry: e, Since: l.since(at, e), Seen: n.seen, Until: n.until, rev: at.Revision, ledger: l}
	if now.Before(d.Until) {
		return nil, d
	}
	outcome := Entry{State: Unknown, Reason: "the sender that had claimed it ended without saying what came of it; it may have been sent"}
	if e.State == InDoubt {
		outcome.Reason = e.Reason + "; what came of it could not be found out"
	}
	outcome.HumanAgent, outcome.Tries, outcome.Attempts = e.HumanAgent, e.Tries, e.Attempts
	settled, err := l.Resolve(ctx, d, outcome)
	if err != nil {
		return nil, fmt.Errorf("give up on a message in doubt: %w", err)
	}
	return &Claim{Entry: settled, key: key}, nil
}

// since is when an entry's claim was made. The server stamped the entry when it was stored; an outcome that took some tries
// to write is older than it says by at most their time.
func (l *Ledger) since(at bus.Entry, e Entry) time.Time {
	if !e.Doubted.IsZero() {
		return e.Doubted
	}
	if e.State == InDoubt {
		return at.Created.Add(-e.Age - l.o.SettleTimeout)
	}
	return at.Created
}

// Resolve ends a doubt with what was found out, and returns what the ledger holds then. It fails with
// [bus.ErrWrongRevision] when somebody else wrote the entry since: what was found out may not hold any more.
func (l *Ledger) Resolve(ctx context.Context, d *DoubtError, outcome Entry) (Entry, error) {
	outcome.Claim, outcome.At = d.Entry.Claim, l.o.Now().UTC()
	if outcome.State == Open {
		outcome.Doubted = d.Since
	}
	value, err := outcome.encode()
	if err != nil {
		return Entry{}, err
	}
	if _, err := l.bucket.Update(ctx, d.Key, value, d.rev); err != nil {
		return Entry{}, fmt.Errorf("resolve a doubt: %w", err)
	}
	l.forget(d.Key)
	return outcome, nil
}
