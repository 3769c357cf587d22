package state

import (
	"container/list"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/parley-dm/parley/pkg/bus"
	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/pkg/telemetry"
	"github.com/parley-dm/parley/pkg/topology"
)

// Bucket is the key-value bucket.
type Bucket interface {
	Get(ctx context.Context, key string) (bus.Entry, error)
	CreateFor(ctx context.Context, key string, value []byte, ttl time.Duration) (uint64, error)
	UpdateFor(ctx context.Context, key string, value []byte, revision uint64, ttl time.Duration) (uint64, error)
}

// Options says how to keep them.
type Options struct {
	// TTL is how long a conversation is remembered after the last change.
	TTL time.Duration
	// Max bounds the conversations in memory; 20,000 if 0.
	Max int
	Log *slog.Logger
}

// Store is safe for concurrent use; the events of one conversation come one after another.
type Store struct {
	bucket Bucket
	o      Options

	mu     sync.Mutex
	items  map[dm.Conversation]*list.Element
	recent *list.List // of *item, the most recently touched first
	// taken counts how often partitions were taken: what was being read or written meanwhile is not kept in memory.
	taken uint64
}

type item struct {
	conversation dm.Conversation
	record       *Record
}

// New makes a Store on a bucket.
func New(b Bucket, o Options) *Store {
	if o.Max <= 0 {
		o.Max = 20_000
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Store{bucket: b, o: o, items: map[dm.Conversation]*list.Element{}, recent: list.New()}
}

// Get is what is remembered of a conversation; an empty record where nothing is.
func (s *Store) Get(ctx context.Context, c dm.Conversation) (*Record, error) {
	it, err := s.get(ctx, c)
	if err != nil {
		return nil, err
	}
	return it.record, nil
}

// ErrStale is a decision that was made on what is not true any more.
var ErrStale = errors.New("the conversation was changed by somebody else since it was read")

// errChanging is a record that others change again and again.
var errChanging = errors.New("the record keeps changing")

// Add remembers what an event changed, unless that is remembered already. It returns when the bucket has it: what is published
// after that may be lost with this process and is decided again as it was.
func (s *Store) Add(ctx context.Context, c dm.Conversation, e Entry) error {
	e.At = e.At.UTC()
	for range 5 {
		it, err := s.get(ctx, c)
		if err != nil {
			return err
		}
		if err = s.add(ctx, it, e); !errors.Is(err, ErrStale) {
			return err
		}
	}
	return fmt.Errorf("remember an event of %s: %w", c, errChanging)
}

// Decided is Add for what was decided on a record that [Store.Get] gave. If there is another by now it remembers nothing and the
// error is [ErrStale]: the event is to be decided again, by what is known then.
func (s *Store) Decided(ctx context.Context, c dm.Conversation, seen *Record, e Entry) error {
	e.At = e.At.UTC()
	return s.add(ctx, item{conversation: c, record: seen}, e)
}

// add writes what a record becomes. Whatever goes wrong, the next one reads the bucket again.
func (s *Store) add(ctx context.Context, it item, e Entry) error {
	after := it.record.with(e)
	if after == it.record {
		return nil
	}
	err := s.write(ctx, it, after)
	if err == nil {
		return nil
	}
	s.drop(it.conversation)
	if errors.Is(err, bus.ErrWrongRevision) || errors.Is(err, bus.ErrKeyExists) {
		err = fmt.Errorf("%w: %w", ErrStale, err)
	}
	return fmt.Errorf("remember an event of %s: %w", it.conversation, err)
}

// Forget empties the memory: somebody else may have written since. The owner of a partition calls it when it has become that.
func (s *Store) Forget(partition, partitions int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken++
	for el := s.recent.Front(); el != nil; {
		next := el.Next()
		if it := of(el); it.conversation.Partition(partitions) == partition {
			s.recent.Remove(el)
			delete(s.items, it.conversation)
		}
		el = next
	}
}

func (s *Store) get(ctx context.Context, c dm.Conversation) (item, error) {
	s.mu.Lock()
	if el, ok := s.items[c]; ok {
		s.recent.MoveToFront(el)
		it := *of(el)
		s.mu.Unlock()
		return it, nil
	}
	taken := s.taken
	s.mu.Unlock()
	it := item{conversation: c, record: &Record{Version: version, Conversation: c.String()}}
	e, err := s.bucket.Get(ctx, topology.ConversationKey(c))
	switch {
	case errors.Is(err, bus.ErrKeyNotFound):
	case err != nil:
		return it, fmt.Errorf("read what is remembered of %s: %w", c, err)
	default:
		it.record = s.decode(ctx, c, e)
		it.record.revision = e.Revision
	}
	s.put(it, taken)
	return it, nil
}

// decode reads a record. One that cannot be read, of a newer version or spoilt by hand, is as good as none: a conversation that is
// answered without memory is better than one that is not answered.
func (s *Store) decode(ctx context.Context, c dm.Conversation, e bus.Entry) *Record {
	r := &Record{}
	err := json.Unmarshal(e.Value, r)
	if err == nil && r.Version == version {
		return r
	}
	s.o.Log.WarnContext(ctx, "state.unreadable", telemetry.KeyConversation, c.String(), "version", r.Version, telemetry.KeyError, err)
	return &Record{Version: version, Conversation: c.String()}
}

func (s *Store) write(ctx context.Context, before item, after *Record) error {
	value, err := json.Marshal(after)
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	s.mu.Lock()
	taken := s.taken
	s.mu.Unlock()
	key := topology.ConversationKey(before.conversation)
	if at := before.record.revision; at == 0 {
		after.revision, err = s.bucket.CreateFor(ctx, key, value, s.o.TTL)
	} else {
		after.revision, err = s.bucket.UpdateFor(ctx, key, value, at, s.o.TTL)
	}
	if err != nil {
		return err
	}
	before.record = after
	s.put(before, taken)
	return nil
}

func (s *Store) put(it item, taken uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	el, ok := s.items[it.conversation]
	if s.taken != taken {
		// What is in memory is older than what was read or written: the next one reads it again.
		if ok {
			s.recent.Remove(el)
			delete(s.items, it.conversation)
		}
		return
	}
	if ok {
		el.Value = &it
		s.recent.MoveToFront(el)
		return
	}
	for s.recent.Len() >= s.o.Max {
		el := s.recent.Back()
		delete(s.items, of(el).conversation)
		s.recent.Remove(el)
	}
	s.items[it.conversation] = s.recent.PushFront(&it)
}

func (s *Store) drop(c dm.Conversation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if el, ok := s.items[c]; ok {
		s.recent.Remove(el)
		delete(s.items, c)
	}
}

// of is an element's value; the list holds nothing else.
func of(el *list.Element) *item {
	it, _ := el.Value.(*item)
	return it
}
