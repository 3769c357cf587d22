// Package ledger remembers, for every message of every intent, that it was claimed and what came of it. The Send API has
// no idempotency key; this is what stands in for one.
//
// A message is claimed by compare-and-set before the call and its outcome is written after. Whoever finds a claim without
// an outcome cannot know whether the message went out: the one who claimed it may be about to say so, or it can be found out
// elsewhere and written with [Ledger.Resolve]. There is a time for both; after that the message is unknown and is not sent
// again. Correctness needs no clocks that agree, only the compare-and-set: an outcome that comes late after all replaces
// the doubt.
//
// The ledger does not decide what to send and makes no calls.
package ledger

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-dm/parley/pkg/bus"
)

// Bucket is the key-value bucket that the ledger is kept in.
type Bucket interface {
	Get(ctx context.Context, key string) (bus.Entry, error)
	Create(ctx context.Context, key string, value []byte) (uint64, error)
	Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
}

// Options says how to keep it.
type Options struct {
	// Doubt is how long a message may be in doubt, after it was first found so, before it counts as unknown: longer than a
	// call and the writing of its outcome can take.
	Doubt time.Duration
	// SettleTimeout bounds the writing of one outcome, tries included.
	SettleTimeout time.Duration
	// Now is the clock; time.Now if nil.
	Now func() time.Time
}

// Ledger is safe for concurrent use.
type Ledger struct {
	bucket Bucket
	o      Options
	name   string // of this ledger among all processes
	claims atomic.Uint64

	// notes are what this process knows and the bucket does not; rarely any.
	mu    sync.Mutex
	notes map[string]note
}

// note is about one key.
type note struct {
	// claim is one of ours that may be in the bucket, or yet get there. outcome is what came of it and could not be
	// written; with none, no call was made under it.
	claim   string
	outcome *Entry
	// seen is when the key's revision seenAs was first found in doubt, until when that is given up. One who claims anew begins
	// the time anew. asked is when it was found so last.
	seen, until, asked time.Time
	seenAs             uint64
}

// New keeps a ledger in a bucket.
func New(b Bucket, o Options) *Ledger {
	if o.Doubt <= 0 {
		o.Doubt = 20 * time.Second
	}
	if o.SettleTimeout <= 0 {
		o.SettleTimeout = 5 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Ledger{bucket: b, o: o, name: rand.Text()[:10] + "-", notes: map[string]note{}}
}

// Claim is one message's place in the ledger.
type Claim struct {
	Entry
	key  string
	rev  uint64
	held bool
}

// Held says that the message is ours to send now. Otherwise the entry has an outcome already.
func (c *Claim) Held() bool { return c.held }

// errChanging is a key that others change again and again.
var errChanging = errors.New("the ledger entry keeps changing")

// Claim claims a message that nobody has claimed, or that is open again. It gives back a claim that is held, or one with
// the outcome that the message has already; or a [*DoubtError]. After any other error nothing was called and the message
// may be claimed again.
func (l *Ledger) Claim(ctx context.Context, key string) (*Claim, error) {
	n := l.noted(key)
	name := n.claim
	if name == "" { // else one whose writing may yet arrive: it has to be known again, whenever it does
		name = l.name + strconv.FormatUint(l.claims.Add(1), 36)
	}
	fresh := Entry{State: Claimed, At: l.o.Now().UTC(), Claim: name}
	value, err := fresh.encode()
	if err != nil {
		return nil, err
	}
	rev, err := l.bucket.Create(ctx, key, value)
	switch {
	case err == nil && n == (note{}):
		return &Claim{Entry: fresh, key: key, rev: rev, held: true}, nil
	case err == nil:
		return l.ours(ctx, key, n, bus.Entry{Revision: rev}, fresh)
	case !errors.Is(err, bus.ErrKeyExists):
		n.claim = name
		l.remember(key, n)
		return nil, fmt.Errorf("claim: %w", err)
	}
	for range 5 {
		at, entry, err := l.get(ctx, key)
		if err != nil {
			return nil, fmt.Errorf("claim: %w", err)
		}
		c, err := l.found(ctx, key, name, at, entry)
		if !errors.Is(err, bus.ErrWrongRevision) {
			return c, err
		}
	}
	return nil, fmt.Errorf("claim %s: %w", key, errChanging)
}

// found decides about a key that exists, in the bucket as at. name is what a new claim would be called.
func (l *Ledger) found(ctx context.Context, key, name string, at bus.Entry, e Entry) (*Claim, error) {
	n := l.noted(key)
	switch {
	case e.State.Final():
		l.forget(key)
		return &Claim{Entry: e, key: key, rev: at.Revision}, nil
	case e.State == Open:
		return l.take(ctx, key, name, e, at.Revision)
	case e.State == InDoubt || n.claim != e.Claim:
		return l.doubt(ctx, key, n, at, e)
	default:
		return l.ours(ctx, key, n, at, e)
	}
}

// ours goes on with a claim of ours: with the outcome that could not be written when there is one, else as if it had just
// been made, since no call was made under it.
func (l *Ledger) ours(ctx context.Context, key string, n note, at bus.Entry, e Entry) (*Claim, error) {
	c := &Claim{Entry: e, key: key, rev: at.Revision, held: true}
	if n.outcome != nil && n.outcome.State != Open {
		settled, err := l.Settle(ctx, c, *n.outcome)
		if err != nil {
			return nil, err
		}
		l.forget(key)
		if !settled.State.Final() {
			return nil, fmt.Errorf("claim %s: %w", key, bus.ErrWrongRevision) // look again: it is in doubt, or somebody else's
		}
		return &Claim{Entry: settled, key: key}, nil
	}
	if n.outcome != nil {
		e.Tries, e.Attempts = n.outcome.Tries, n.outcome.Attempts
	}
	if at.Created.IsZero() { // made just now
		c.Entry = e
		l.forget(key)
		return c, nil
	}
	// It may be old enough for somebody else to be finding out what came of it: it is made anew before it is used.
	return l.take(ctx, key, e.Claim, e, at.Revision)
}

// take claims a key that is known not to have been sent, and keeps what was tried before.
func (l *Ledger) take(ctx context.Context, key, name string, before Entry, rev uint64) (*Claim, error) {
	e := Entry{State: Claimed, At: l.o.Now().UTC(), Claim: name, Doubted: before.Doubted, Tries: before.Tries, Attempts: before.Attempts}
	value, err := e.encode()
	if err != nil {
		return nil, err
	}
	rev, err = l.bucket.Update(ctx, key, value, rev)
	if err != nil {
		if !errors.Is(err, bus.ErrWrongRevision) {
			before.State = Open
			l.remember(key, note{claim: name, outcome: &before})
		}
		return nil, fmt.Errorf("claim: %w", err)
	}
	l.forget(key)
	return &Claim{Entry: e, key: key, rev: rev, held: true}, nil
}

// Settle writes what came of a claim that is held, and returns what the ledger holds then. It goes on trying for
// SettleTimeout; when it cannot write even so, this process keeps the outcome in mind, and Claim finds it there.
//
// The context's end does not stop it: a claim without an outcome is a message that a person has to look after.
func (l *Ledger) Settle(ctx context.Context, c *Claim, outcome Entry) (Entry, error) {
	outcome.Claim, outcome.At, outcome.Doubted = c.Claim, l.o.Now().UTC(), c.Doubted
	if outcome.State == InDoubt {
		outcome.Age = max(outcome.At.Sub(c.At), 0)
	}
	value, err := outcome.encode()
	if err != nil {
		return Entry{}, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.o.SettleTimeout)
	defer cancel()
	rev := c.rev
	for {
		_, err := l.bucket.Update(ctx, c.key, value, rev)
		if err == nil {
			return outcome, nil
		}
		if errors.Is(err, bus.ErrWrongRevision) {
			var at bus.Entry
			var found Entry
			if at, found, err = l.get(ctx, c.key); err == nil && !replaces(outcome, found) {
				return found, nil
			}
			rev = at.Revision
		}
		if err != nil && !pause(ctx, 100*time.Millisecond) {
			l.remember(c.key, note{claim: c.Claim, outcome: &outcome})
			return Entry{}, fmt.Errorf("write the outcome %s: %w", outcome.State, err)
		}
	}
}

// replaces says whether an outcome that we know for certain is to be written over what somebody else wrote in the
// meantime: over a doubt always, over another outcome only to say that it was sent.
func replaces(ours, found Entry) bool {
	switch {
	case found.Claim == ours.Claim && found.State == ours.State:
		return false // an earlier try of ours arrived after all
	case found.State == Unknown:
		return ours.State != Unknown && ours.State != Open && ours.State != InDoubt
	case found.State == Claimed:
		return found.Claim == ours.Claim
	default:
		return ours.State == Sent && found.State != Sent
	}
}

func (l *Ledger) get(ctx context.Context, key string) (bus.Entry, Entry, error) {
	got, err := l.bucket.Get(ctx, key)
	if err != nil {
		return got, Entry{}, err
	}
	e, err := decode(key, got.Value)
	return got, e, err
}

func (l *Ledger) noted(key string) note {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.notes[key]
}

func (l *Ledger) remember(key string, n note) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.notes[key] = n
}

func (l *Ledger) forget(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.notes, key)
}

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
