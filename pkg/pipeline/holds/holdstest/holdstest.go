// Package holdstest has a bucket in memory, for tests of those who ask who has a conversation.
package holdstest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/parley-dm/parley/pkg/bus"
)

// Bucket is a key-value bucket in memory. It compares and sets as the real one does; it forgets nothing by itself.
type Bucket struct {
	mu       sync.Mutex
	entries  map[string]bus.Entry
	ttl      map[string]time.Duration
	revision uint64
	watchers []func(*bus.Entry)
	writes   int
	err      error
}

// New makes an empty bucket.
func New() *Bucket { return &Bucket{entries: map[string]bus.Entry{}, ttl: map[string]time.Duration{}} }

// Fail makes everything but watching fail from now on; nil ends it.
func (b *Bucket) Fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
}

// Writes is how many values were written.
func (b *Bucket) Writes() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.writes
}

// TTL is the time to live that a key was last written with.
func (b *Bucket) TTL(key string) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ttl[key]
}

// Get reads a key.
func (b *Bucket) Get(_ context.Context, key string) (bus.Entry, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e, ok := b.entries[key]
	switch {
	case b.err != nil:
		return e, b.err
	case !ok:
		return e, fmt.Errorf("get %s: %w", key, bus.ErrKeyNotFound)
	default:
		return e, nil
	}
}

// CreateFor writes a key that has no value.
func (b *Bucket) CreateFor(ctx context.Context, key string, value []byte, ttl time.Duration) (uint64, error) {
	return b.UpdateFor(ctx, key, value, 0, ttl)
}

// UpdateFor writes a key that has a revision.
func (b *Bucket) UpdateFor(_ context.Context, key string, value []byte, revision uint64, ttl time.Duration) (uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.err != nil:
		return 0, b.err
	case b.entries[key].Revision != revision:
		return 0, fmt.Errorf("write %s: %w", key, bus.ErrWrongRevision)
	}
	b.revision++
	b.writes++
	e := bus.Entry{Key: key, Value: value, Revision: b.revision, Created: time.Now()}
	b.entries[key], b.ttl[key] = e, ttl
	for _, f := range b.watchers {
		f(&e)
	}
	return e.Revision, nil
}

// Drop removes a key, as the server does when its time is over.
func (b *Bucket) Drop(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.entries, key)
	b.revision++
	for _, f := range b.watchers {
		f(&bus.Entry{Key: key, Revision: b.revision, Deleted: true})
	}
}

// Watch calls f with every value, then with nil, then with every change, until ctx ends.
func (b *Bucket) Watch(ctx context.Context, _ string, f func(*bus.Entry)) error {
	b.mu.Lock()
	for _, e := range b.entries {
		f(&e)
	}
	f(nil)
	b.watchers = append(b.watchers, f)
	b.mu.Unlock()
	<-ctx.Done()
	return nil
}
