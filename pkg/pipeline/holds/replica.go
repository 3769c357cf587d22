package holds

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/pkg/topology"
)

// watchPause is the time between two tries to follow the bucket.
const watchPause = time.Second

// unreadable is why a conversation is left alone whose record cannot be read.
const unreadable dm.HoldReason = "unreadable"

// errNotRead is why nobody can say yet who has a conversation.
var errNotRead = errors.New("who has which conversation is being read for the first time")

// replica is the copy in memory.
type replica struct {
	max    int
	synced chan struct{}

	mu      sync.RWMutex
	records map[string]kept
	// partial: there were too many at some time, so that what is not here may be in the bucket.
	partial bool
	once    sync.Once
}

type kept struct {
	Record
	revision uint64
}

func newReplica(most int) *replica {
	return &replica{max: most, synced: make(chan struct{}), records: map[string]kept{}}
}

// put takes a record, unless a newer one is there. It is called by who writes and by who watches, in any order.
func (c *replica) put(key string, r Record, revision uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before, there := c.records[key]
	switch {
	case there && before.revision >= revision:
	case !there && len(c.records) >= c.max:
		c.partial = true
	default:
		c.records[key] = kept{Record: r, revision: revision}
	}
}

func (c *replica) drop(key string, revision uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.records[key].revision < revision {
		delete(c.records, key)
	}
}

// empty says, without a key to be made, that no conversation is held at all.
func (c *replica) empty() bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.records) == 0 && !c.partial
}

// get also says whether that is the bucket's answer.
func (c *replica) get(key string) (r Record, sure bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	k, there := c.records[key]
	return k.Record, there || !c.partial
}

// Run follows the bucket until ctx ends.
func (s *Holds) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := s.bucket.Watch(ctx, ">", s.saw); err != nil && ctx.Err() == nil {
			s.o.Log.WarnContext(ctx, "holds.watch", telemetry.KeyError, err)
			select {
			case <-ctx.Done():
			case <-time.After(watchPause):
			}
		}
	}
	return nil
}

func (s *Holds) saw(e *bus.Entry) {
	switch {
	case e == nil:
		s.copied.once.Do(func() { close(s.copied.synced) })
	case e.Deleted:
		s.copied.drop(e.Key, e.Revision)
	default:
		r, err := decode(e.Key, e.Value)
		if err != nil {
			// Whoever wrote it knew of somebody who has the conversation: better to stay out of it.
			s.o.Log.Error("holds.unreadable", "key", e.Key, telemetry.KeyError, err)
			r.App, r.Person = nil, &dm.Hold{Holder: dm.HolderPerson, Reason: unreadable}
		}
		s.copied.put(e.Key, r, e.Revision)
	}
}

// Synced is closed when the copy is one: before that nothing may be decided by it.
func (s *Holds) Synced() <-chan struct{} { return s.copied.synced }

// Check is a readiness check.
func (s *Holds) Check(context.Context) error {
	select {
	case <-s.copied.synced:
		return nil
	default:
		return errNotRead
	}
}

// Size is how many conversations are in memory.
func (s *Holds) Size() int {
	s.copied.mu.RLock()
	defer s.copied.mu.RUnlock()
	return len(s.copied.records)
}

// Holder says who else than the bot has a conversation, for something that was said at a time: what waited until the hold was
// over, and was said before, is still measured by it.
//
// Who is nobody comes from the copy. Who is somebody is confirmed by the bucket, because silence is for good: the copy may be
// behind one who gave the conversation back and then caused what this is about.
func (s *Holds) Holder(ctx context.Context, c dm.Conversation, at time.Time) (dm.Hold, bool, error) {
	if s.copied.empty() {
		return dm.Hold{}, false, nil
	}
	if now := s.o.Now(); at.IsZero() || at.After(now) {
		at = now
	}
	r, sure := s.copied.get(topology.ConversationKey(c))
	if h, held := r.At(at); sure && (!held || h.Reason == unreadable) {
		return h, held, nil
	}
	r, err := s.Get(ctx, c)
	if err != nil {
		return dm.Hold{}, false, err
	}
	h, held := r.At(at)
	return h, held, nil
}

// Took says whether a message is the one by which a conversation was taken from the bot, and from when on, as far as the copy knows.
func (s *Holds) Took(c dm.Conversation, mid string) (since time.Time, took bool) {
	if mid == "" || s.copied.empty() {
		return time.Time{}, false
	}
	r, _ := s.copied.get(topology.ConversationKey(c))
	if r.Person == nil || r.Person.MID != mid || r.Person.Holder != dm.HolderPerson {
		return time.Time{}, false
	}
	return r.Person.At, true
}
