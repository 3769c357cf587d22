package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Bucket is a JetStream key-value bucket whose writes are pipelined: many goroutines may write at once for little more
// than the price of one. Keys consist of letters, digits and - _ = . /
type Bucket struct {
	conn   *Conn
	kv     jetstream.KeyValue
	prefix string
	// copied: there are several copies of it, of which one may be behind.
	copied bool
}

// Entry is a value and its revision.
type Entry struct {
	Key      string
	Value    []byte
	Revision uint64
	Created  time.Time
	// Deleted: the key has been deleted; only watchers see this.
	Deleted bool
}

// OpenBucket opens a bucket that exists.
func OpenBucket(ctx context.Context, conn *Conn, name string) (*Bucket, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	kv, err := conn.js.KeyValue(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", name, err)
	}
	n, err := copies(ctx, kv)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", name, err)
	}
	return &Bucket{conn: conn, kv: kv, prefix: "$KV." + name + ".", copied: n > 1}, nil
}

// Get reads a key as its last write has left it, or fails with [ErrKeyNotFound].
func (b *Bucket) Get(ctx context.Context, key string) (Entry, error) {
	if b.copied {
		return b.getFromLeader(ctx, key)
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	e, err := b.kv.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return Entry{}, fmt.Errorf("get %s: %w", key, ErrKeyNotFound)
	}
	if err != nil {
		return Entry{}, fmt.Errorf("get %s: %w", key, away(err))
	}
	return entryOf(e), nil
}

// Create writes a key that has no value and returns its revision, or fails with [ErrKeyExists]. After [ErrUnavailable] it
// may have been written all the same: Create again then finds what the first wrote.
func (b *Bucket) Create(ctx context.Context, key string, value []byte) (uint64, error) {
	return b.CreateFor(ctx, key, value, 0)
}

// CreateFor is Create of a value that the server forgets after a time, of a second at least; 0 is never. The bucket must
// have been made for such values.
func (b *Bucket) CreateFor(ctx context.Context, key string, value []byte, ttl time.Duration) (uint64, error) {
	rev, err := b.write(ctx, key, value, 0, ttl)
	if !errors.Is(err, ErrWrongRevision) {
		return rev, err
	}
	// A deleted key leaves a marker, which is a revision too.
	if _, err := b.Get(ctx, key); err == nil {
		return 0, fmt.Errorf("create %s: %w", key, ErrKeyExists)
	} else if !errors.Is(err, ErrKeyNotFound) {
		return 0, err
	}
	var opts []jetstream.KVCreateOpt
	if ttl > 0 {
		opts = append(opts, jetstream.KeyTTL(ttl))
	}
	rev, err = b.kv.Create(ctx, key, value, opts...)
	if errors.Is(err, jetstream.ErrKeyExists) {
		return 0, fmt.Errorf("create %s: %w", key, ErrKeyExists)
	}
	if err != nil {
		return 0, fmt.Errorf("create %s: %w", key, away(err))
	}
	return rev, nil
}

// Update writes a key whose revision is known and returns the new one, or fails with [ErrWrongRevision]. After
// [ErrUnavailable] it may have been written all the same.
func (b *Bucket) Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	return b.write(ctx, key, value, revision, 0)
}

// UpdateFor is Update with a time to live, as for [Bucket.CreateFor].
func (b *Bucket) UpdateFor(ctx context.Context, key string, value []byte, revision uint64, ttl time.Duration) (uint64, error) {
	return b.write(ctx, key, value, revision, ttl)
}

// Put writes a key whatever it holds.
func (b *Bucket) Put(ctx context.Context, key string, value []byte) (uint64, error) {
	rev, err := b.kv.Put(ctx, key, value)
	if err != nil {
		return 0, fmt.Errorf("put %s: %w", key, away(err))
	}
	return rev, nil
}

// Delete removes a key and its history.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	if err := b.kv.Purge(ctx, key); err != nil {
		return fmt.Errorf("delete %s: %w", key, away(err))
	}
	return nil
}

// Watch calls f with the present value of every key that matches (wildcards as in subjects), then once with nil, then with
// every change, until ctx ends. After a reconnect it begins anew: the client would notice only by missing heartbeats, many
// seconds later, that the server has forgotten the watch.
func (b *Bucket) Watch(ctx context.Context, keys string, f func(*Entry)) error {
	again := make(chan struct{}, 1)
	off := b.conn.onReconnect(func(time.Duration) {
		select {
		case again <- struct{}{}:
		default:
		}
	})
	defer off()
	for ctx.Err() == nil {
		if err := b.watch(ctx, again, keys, f); err != nil {
			return fmt.Errorf("watch %s: %w", keys, err)
		}
	}
	return nil
}

// watch is one watch; it ends without an error when ctx does or when it is to begin anew.
func (b *Bucket) watch(ctx context.Context, again <-chan struct{}, keys string, f func(*Entry)) error {
	w, err := b.kv.Watch(ctx, keys)
	if err != nil {
		return err
	}
	defer func() { _ = w.Stop() }()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-again:
			return nil
		case e, ok := <-w.Updates():
			switch {
			case !ok && ctx.Err() != nil:
				return nil // ended, the one as well as the other
			case !ok:
				return ErrClosed
			case e == nil:
				f(nil)
			default:
				entry := entryOf(e)
				f(&entry)
			}
		}
	}
}

func entryOf(e jetstream.KeyValueEntry) Entry {
	return Entry{Key: e.Key(), Value: e.Value(), Revision: e.Revision(), Created: e.Created(), Deleted: e.Operation() != jetstream.KeyValuePut}
}

const (
	// writeTimeout bounds a write whose context has no bound, readTimeout a read: a server that goes away, or has no leader, answers
	// nothing at all, and whoever asks would wait for as long as its context lasts.
	writeTimeout = 30 * time.Second
	readTimeout  = 5 * time.Second
	// A bucket that nobody answers for may have its leader again a moment later.
	leaderTries, leaderDelay = 3, 250 * time.Millisecond
)

// write is a compare-and-set as one asynchronous publish: the server stores it only when the key's last sequence is the
// expected one.
func (b *Bucket) write(ctx context.Context, key string, value []byte, revision uint64, ttl time.Duration) (uint64, error) {
	m := &nats.Msg{Subject: b.prefix + key, Data: value, Header: nats.Header{
		jetstream.ExpectedLastSubjSeqHeader: {strconv.FormatUint(revision, 10)},
	}}
	if ttl > 0 {
		m.Header[jetstream.MsgTTLHeader] = []string{ttl.String()}
	}
	deadline := time.Now().Add(writeTimeout)
	for try := 1; ; try++ {
		seq, _, err := b.conn.tower.send(ctx, deadline, m)
		var api *jetstream.APIError
		switch {
		case err == nil:
			return seq, nil
		case errors.Is(err, jetstream.ErrNoStreamResponse) && try < leaderTries && wait(ctx, leaderDelay):
		case errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence:
			return 0, fmt.Errorf("write %s: %w", key, ErrWrongRevision)
		case ctx.Err() != nil:
			return 0, fmt.Errorf("write %s: %w: %w", key, ErrUnavailable, context.Cause(ctx))
		default:
			return 0, fmt.Errorf("write %s: %w", key, away(err))
		}
	}
}
