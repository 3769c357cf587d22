package spool

import (
	"context"
	"fmt"

	"github.com/parley-dm/parley/pkg/telemetry"
)

// Commit is a record on its way to the disk.
type Commit struct {
	record Record
	done   chan struct{}
	err    error
	// dropped: nobody waits for it any more, and it was not begun.
	dropped bool
	s       *Spool
}

// Enqueue gives a record its place: behind all that were enqueued before. It is durable when [Commit.Wait] says so.
func (s *Spool) Enqueue(r Record) (*Commit, error) {
	if !r.fits() {
		return nil, fmt.Errorf("%w: the webhook is too large for a record", ErrFull)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	cost := 2*headerSize + r.size() // with a seal
	switch {
	case s.closing:
		return nil, ErrClosed
	case s.bytes()+int64(s.waiting)+int64(cost) > s.maxBytes:
		return nil, ErrFull
	case s.waiting > 0 && s.waiting+cost > maxPending:
		return nil, fmt.Errorf("%w fast enough: %d bytes wait for the disk", ErrBroken, s.waiting)
	}
	if s.unread == 0 {
		s.oldest = r.At
	}
	c := &Commit{record: r, done: make(chan struct{}), s: s}
	s.waiting += cost
	s.enter(&c.record)
	s.pending = append(s.pending, c)
	s.work.Signal()
	return c, nil
}

// Wait returns nil when the record is durable. When ctx ends first it may become so all the same.
func (c *Commit) Wait(ctx context.Context) error {
	select {
	case <-c.done:
		return c.err
	case <-ctx.Done():
	}
	c.s.mu.Lock()
	c.dropped = true
	c.s.mu.Unlock()
	return fmt.Errorf("%w in time: %w", ErrBroken, context.Cause(ctx))
}

// write is the writer: it takes what is pending, makes it durable with one fsync, and tells those who wait.
func (s *Spool) write() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		for len(s.pending) == 0 && !s.closing {
			s.work.Wait()
		}
		if len(s.pending) == 0 {
			return
		}
		batch, bytes := s.take()
		if len(batch) == 0 {
			continue
		}
		err := s.store(batch, bytes)
		if err != nil {
			err = fmt.Errorf("%w: %w", ErrBroken, err)
		}
		s.tellBroken(err)
		s.waiting -= bytes
		for _, c := range batch {
			if c.err = err; err != nil {
				s.leave(&c.record)
			}
			close(c.done)
		}
		select {
		case s.readable <- struct{}{}: // after an error too: the reader removes what it has read
		default: // told already
		}
	}
}

// tellBroken remembers whether the last write failed, and tells of the first of a row.
func (s *Spool) tellBroken(err error) {
	if err != nil && s.broken == nil {
		s.log.Error("spool.broken", telemetry.KeyError, err, "what_to_do", "webhooks are refused with 503 while the bus is away: see to the disk of SPOOL_DIR")
	}
	if err == nil && s.broken != nil {
		s.log.Info("spool.mended")
	}
	s.broken = err
}

// take gives the records that are written next, and what they take on the disk.
func (s *Spool) take() (batch []*Commit, bytes int) {
	n := 0
	for _, c := range s.pending {
		cost := 2*headerSize + c.record.size()
		if len(batch) > 0 && int64(bytes+cost) > s.segmentSize {
			break
		}
		n++
		if c.dropped {
			s.waiting -= cost
			s.leave(&c.record)
			c.err = ErrBroken
			close(c.done)
			continue
		}
		bytes += cost
		batch = append(batch, c)
	}
	s.pending = append([]*Commit(nil), s.pending[n:]...)
	return batch, bytes
}

// store writes a batch to the newest segment, or to a new one. It lets go of the lock while the disk works.
func (s *Spool) store(batch []*Commit, bytes int) error {
	var seg *segment
	if n := len(s.segments); n > 0 && s.segments[n-1].out != nil {
		seg = s.segments[n-1]
	}
	if seg != nil && seg.end+int64(bytes) > s.segmentSize {
		seg.close()
		seg = nil
	}
	var end int64
	if seg != nil {
		end = seg.end
	}
	number := s.last + 1
	s.writing = true
	s.mu.Unlock()
	fresh, err := seg == nil, error(nil)
	if fresh {
		seg, err = s.newSegment(number)
	}
	if err == nil {
		end, err = seg.write(batch, end)
	}
	s.mu.Lock()
	s.writing = false
	if err != nil {
		if fresh && seg != nil {
			s.discard(seg)
		}
		return err
	}
	if fresh {
		s.last = number
		s.segments = append(s.segments, seg)
	}
	seg.end, seg.size = end, end
	seg.unread += len(batch)
	return nil
}
