package spool

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-dm/parley/pkg/run/lock"
	"github.com/parley-dm/parley/pkg/telemetry"
)

// Why a record was not taken.
var (
	ErrFull   = errors.New("the spool is full (SPOOL_MAX_BYTES)")
	ErrBroken = errors.New("the spool cannot be written")
	ErrClosed = errors.New("the spool is closed")
)

const (
	// segmentBytes is about how large a segment gets; smaller in a small spool, so that room is given back in good time.
	segmentBytes = 8 << 20
	// maxPending bounds what waits in memory for a disk that has stalled.
	maxPending = 64 << 20
)

// Options says where and how much.
type Options struct {
	Dir string
	// MaxBytes bounds what it takes on the disk.
	MaxBytes int64
	Log      *slog.Logger
	Metrics  prometheus.Registerer

	create func(path string) (file, error)
}

// Spool is an open spool. Any number of goroutines may add; one reads.
type Spool struct {
	dir         string
	id          string
	maxBytes    int64
	segmentSize int64
	log         *slog.Logger
	create      func(path string) (file, error)
	lock        *os.File
	position    *os.File
	damaged     prometheus.Counter
	writer      sync.WaitGroup
	readable    chan struct{}

	mu      sync.Mutex
	work    sync.Cond // of the writer: there is something to write, or it is to end
	pending []*Commit
	closing bool
	writing bool
	broken  error // the last write failed
	// The segments that hold something, the oldest first; the last one may be the one that is written to.
	segments []*segment
	last     uint64             // number of the newest
	lanes    map[uint16][]int64 // when each unread record of a lane came, in nanoseconds since 1970
	waiting  int                // bytes of pending records
	kept     int64              // bytes of segments that are kept for a person
	unread   int
	oldest   time.Time // of what is unread; no later than the truth

	// What follows is the reader's.
	offset int64 // in the first segment
	taken  taken
	in     *os.File // the first segment
}

// Open opens the spool of a folder, which it makes, and finds what is in it. One process may have it at a time.
func Open(o Options) (*Spool, error) {
	s := &Spool{
		dir: o.Dir, maxBytes: o.MaxBytes, segmentSize: max(min(segmentBytes, o.MaxBytes/8), 4<<10), log: o.Log, create: o.create, readable: make(chan struct{}, 1),
		lanes: map[uint16][]int64{},
	}
	if s.create == nil {
		s.create = createFile
	}
	s.work.L = &s.mu
	if err := s.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("SPOOL_DIR %s: %w", o.Dir, err), s.closeFiles())
	}
	if err := s.register(o.Metrics); err != nil {
		return nil, errors.Join(err, s.closeFiles())
	}
	if err := s.recover(); err != nil {
		return nil, errors.Join(fmt.Errorf("SPOOL_DIR %s: %w", o.Dir, err), s.closeFiles())
	}
	s.writer.Go(s.write)
	return s, nil
}

func (s *Spool) open() (err error) {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	if s.lock, err = lock.Take(filepath.Join(s.dir, "lock")); errors.Is(err, lock.ErrHeld) {
		return errors.New("in use by another ingress: give each a folder of its own")
	} else if err != nil {
		return err
	}
	if s.id, err = identity(filepath.Join(s.dir, "id")); err != nil {
		return err
	}
	s.position, err = os.OpenFile(filepath.Join(s.dir, "position"), os.O_RDWR|os.O_CREATE, 0o600)
	return err
}

// identity reads what a folder is called among all spools, or calls it something.
func identity(path string) (string, error) {
	b, err := os.ReadFile(path) //nolint:gosec // a file of the spool's own folder
	if err == nil && len(b) == len(rand.Text()) {
		return string(b), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	id := rand.Text()
	return id, os.WriteFile(path, []byte(id), 0o600)
}

// ID is the spool's name among all that ever were; it stays with the folder.
func (s *Spool) ID() string { return s.id }

// recover finds out what the segments hold.
func (s *Spool) recover() error {
	found, kept, err := segments(s.dir)
	if err != nil {
		return err
	}
	s.kept = kept
	for _, seg := range found {
		s.last = seg.number
		b, err := os.ReadFile(seg.path)
		if err != nil {
			return fmt.Errorf("read what is in it: %w", err)
		}
		var from int
		if len(s.segments) == 0 {
			from = s.readPosition(seg)
		}
		c := scan(b[from:], seg.salt, math.MaxInt)
		seg.end, seg.unread = int64(from+c.end), len(c.records)
		s.found(seg, from, c)
		if seg.unread == 0 {
			s.remove(seg)
			continue
		}
		if len(s.segments) == 0 {
			s.offset, s.oldest = int64(from), c.records[0].At
		}
		s.segments = append(s.segments, seg)
		for i := range c.records {
			s.enter(&c.records[i])
		}
	}
	if s.unread > 0 {
		s.log.Warn("spool.found", "webhooks", s.unread, "bytes", s.bytes(), "oldest", s.oldest)
		s.readable <- struct{}{}
	}
	return nil
}

// found tells of what a segment holds that is no record.
func (s *Spool) found(seg *segment, from int, c contents) {
	for _, g := range c.damaged {
		seg.keep = true
		s.tellDamaged(seg, int64(from+g.from), int64(g.to-g.from), errors.New("its checksum is wrong"))
	}
	if c.torn > 0 {
		s.log.Warn("spool.torn", "file", filepath.Base(seg.path), "bytes", c.torn, "meaning", "a write that was cut off; no webhook in it was answered")
	}
}

func (s *Spool) tellDamaged(seg *segment, offset, bytes int64, err error) {
	s.damaged.Inc()
	s.log.Error("spool.damaged", "file", filepath.Base(seg.path), "offset", offset, "bytes", bytes, telemetry.KeyError, err,
		"what_to_do", "the disk has lost accepted webhooks: check it; the file is kept with the suffix "+damagedSuffix)
}

// enter counts a record in; leave counts it out: the first of its lanes, or one that was not written after all.
func (s *Spool) enter(r *Record) {
	s.unread++
	for _, l := range r.Lanes {
		s.lanes[l] = append(s.lanes[l], r.At.UnixNano())
	}
}

func (s *Spool) leave(r *Record) {
	s.unread--
	for _, l := range r.Lanes {
		times := s.lanes[l]
		switch i := slices.Index(times, r.At.UnixNano()); {
		case len(times) < 2:
			delete(s.lanes, l)
		case i <= 0:
			s.lanes[l] = times[1:]
		default: // what is before it was lost, or is still there
			s.lanes[l] = slices.Delete(times, i, i+1)
		}
	}
}

// Busy says whether any of the lanes has a record here.
func (s *Spool) Busy(lanes []uint16) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unread == 0 {
		return false
	}
	for _, l := range lanes {
		if len(s.lanes[l]) > 0 {
			return true
		}
	}
	return false
}

// Held is what waits, for others to know: since when the first does, no later than the truth, and in which lanes, since when in each.
type Held struct {
	Oldest time.Time
	Lanes  map[uint16]time.Time
}

// Held says in which lanes something waits.
func (s *Spool) Held() Held {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unread == 0 {
		return Held{}
	}
	h := Held{Oldest: s.oldest, Lanes: make(map[uint16]time.Time, len(s.lanes))}
	for l, times := range s.lanes {
		h.Lanes[l] = time.Unix(0, times[0]).UTC()
	}
	return h
}

// Stats is what waits.
type Stats struct {
	Webhooks int
	// Bytes on the disk, of MaxBytes.
	Bytes, MaxBytes int64
	// Oldest is when the one came that waits longest; zero when none does.
	Oldest time.Time
}

// Stats says what waits.
func (s *Spool) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := Stats{Webhooks: s.unread, Bytes: s.bytes(), MaxBytes: s.maxBytes}
	if s.unread > 0 {
		out.Oldest = s.oldest
	}
	return out
}

// Check is what a readiness check shows: what waits, and why nothing more could be taken.
func (s *Spool) Check(context.Context) (detail string, err error) {
	st := s.Stats()
	detail = "empty"
	if st.Webhooks > 0 {
		detail = fmt.Sprintf("%d webhooks wait in %d of %d bytes, the oldest for %s", st.Webhooks, st.Bytes, st.MaxBytes, time.Since(st.Oldest).Round(time.Second))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return detail, s.broken
	}
	if s.bytes()+int64(s.waiting)+s.maxBytes/32 > s.maxBytes { // or as good as
		return detail, ErrFull
	}
	return detail, nil
}

// bytes is what the spool takes on the disk.
func (s *Spool) bytes() int64 {
	sum := s.kept
	for _, seg := range s.segments {
		sum += seg.size
	}
	return sum
}

// Close writes what is pending and gives the folder back. Adding and reading must have ended.
func (s *Spool) Close() error {
	s.mu.Lock()
	s.closing = true
	s.work.Broadcast()
	s.mu.Unlock()
	s.writer.Wait()
	for _, seg := range s.segments {
		seg.close()
	}
	return s.closeFiles()
}

func (s *Spool) closeFiles() error {
	var errs []error
	for _, f := range []*os.File{s.in, s.position, s.lock} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}
