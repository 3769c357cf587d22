package spool

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/parley-dm/parley/pkg/telemetry"
)

const (
	// readWindow is how much is read at once, but for a record that is larger.
	readWindow = 1 << 20
	// sector is the piece in which a segment is read that cannot be read as a whole.
	sector = 4 << 10
	// positionSize is that of the file that says how far the first segment was read: its salt, an offset, a checksum.
	positionSize = saltSize + 8 + 4
)

// taken is what the reader has and has not said to be done with.
type taken struct {
	records []Record
	ends    []int64 // of each, in the segment
	next    int64
}

// Next waits until there are records and gives the oldest, some number at most. It gives the same again until [Spool.Done].
func (s *Spool) Next(ctx context.Context, most int) ([]Record, error) {
	for len(s.taken.records) == 0 {
		s.mu.Lock()
		seg, to, unread := s.front()
		s.mu.Unlock()
		if seg == nil {
			select {
			case <-s.readable:
				continue
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		}
		b, err := s.readFrom(seg, to)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", filepath.Base(seg.path), err)
		}
		c := scan(b, seg.salt, most)
		if len(c.records) == 0 {
			s.lose(seg, to, unread)
			continue
		}
		s.taken = taken{records: c.records, next: s.offset + int64(c.end)}
		for _, end := range c.ends {
			s.taken.ends = append(s.taken.ends, s.offset+int64(end))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.oldest = s.taken.records[0].At
	return s.taken.records, nil
}

// First keeps the first n, one or more, of what Next gave: the others are given again after [Spool.Done].
func (s *Spool) First(n int) []Record {
	if n < len(s.taken.records) {
		s.taken = taken{records: s.taken.records[:n], ends: s.taken.ends[:n], next: s.taken.ends[n-1]}
	}
	return s.taken.records
}

// front is the segment that is read next, how far, and how many records are to be there; nil when nothing is to be read. It
// removes what was read.
func (s *Spool) front() (seg *segment, to int64, unread int) {
	for len(s.segments) > 0 {
		seg := s.segments[0]
		if seg.unread > 0 {
			return seg, seg.end, seg.unread
		}
		if len(s.segments) == 1 && (s.writing || len(s.pending) > 0) {
			return nil, 0, 0 // it may be about to get more
		}
		s.segments = s.segments[1:]
		s.offset = 0
		if s.in != nil {
			_ = s.in.Close()
			s.in = nil
		}
		s.remove(seg)
	}
	return nil, 0, 0
}

// readFrom reads the front segment from where the reader is: a window, or all of it when the window holds no whole record.
func (s *Spool) readFrom(seg *segment, to int64) ([]byte, error) {
	if s.in == nil {
		in, err := os.Open(seg.path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil // somebody removed it: its records are lost
		}
		if err != nil {
			return nil, err
		}
		s.in = in
	}
	for _, length := range []int64{min(to-s.offset, readWindow), to - s.offset} {
		b := make([]byte, length)
		if _, err := s.in.ReadAt(b, s.offset); err != nil {
			s.log.Error("spool.read", "file", filepath.Base(seg.path), telemetry.KeyError, err)
			b = readPieces(s.in, s.offset, to)
		}
		if c := scan(b, seg.salt, 1); len(c.records) > 0 && c.damaged == nil && c.torn == 0 || int64(len(b)) == to-s.offset {
			return b, nil
		}
	}
	return nil, nil
}

// readPieces reads what can be read; the rest is zeros.
func readPieces(in io.ReaderAt, from, to int64) []byte {
	b := make([]byte, to-from)
	for at := 0; at < len(b); at += sector {
		piece := b[at:min(at+sector, len(b))]
		if n, err := in.ReadAt(piece, from+int64(at)); err != nil {
			clear(piece[n:])
		}
	}
	return b
}

// lose gives up records that a segment was to hold up to a place and does not.
func (s *Spool) lose(seg *segment, to int64, records int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seg.keep = true
	s.tellDamaged(seg, s.offset, to-s.offset, fmt.Errorf("%d webhooks that were in it are not there any more", records))
	s.unread -= records
	seg.unread -= records
	s.offset = to
	s.settle()
}

// Done says that what Next gave is taken care of.
func (s *Spool) Done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	seg := s.segments[0]
	seg.unread -= len(s.taken.records)
	for i := range s.taken.records {
		s.leave(&s.taken.records[i])
		s.oldest = s.taken.records[i].At // what is next is hardly older; Next tells it exactly
	}
	s.offset = s.taken.next
	s.taken = taken{}
	s.writePosition(seg)
	s.front()
	s.settle()
}

// settle makes the lanes agree with an empty spool: those of lost records are not known.
func (s *Spool) settle() {
	if s.unread == 0 {
		clear(s.lanes)
	}
}

// Keep keeps the front segment for a person when it was read: something in it could not be published.
func (s *Spool) Keep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.segments) > 0 {
		s.segments[0].keep = true
	}
}

// remove takes a segment that was read off the disk, or aside.
func (s *Spool) remove(seg *segment) {
	seg.close()
	var err error
	if seg.keep {
		err = os.Rename(seg.path, strings.TrimSuffix(seg.path, damagedSuffix)+damagedSuffix)
		s.kept += seg.size
	} else {
		err = os.Remove(seg.path)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Error("spool.remove", "file", filepath.Base(seg.path), telemetry.KeyError, err)
	}
}

// discard removes a segment that nothing was written to.
func (s *Spool) discard(seg *segment) {
	seg.close()
	if err := os.Remove(seg.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Error("spool.remove", "file", filepath.Base(seg.path), telemetry.KeyError, err)
	}
}

// writePosition keeps how far the front segment was read. Not durable: what is lost of it is read again.
func (s *Spool) writePosition(seg *segment) {
	b := make([]byte, 0, positionSize)
	b = append(b, seg.salt[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(s.offset)) //nolint:gosec // not negative
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	if _, err := s.position.WriteAt(b, 0); err != nil {
		s.log.Warn("spool.position", telemetry.KeyError, err)
	}
}

// readPosition is how far a segment was read; 0 when that is not known.
func (s *Spool) readPosition(seg *segment) int {
	b := make([]byte, positionSize)
	if _, err := s.position.ReadAt(b, 0); err != nil {
		return 0
	}
	sum := positionSize - 4
	at := binary.BigEndian.Uint64(b[saltSize:])
	if salt(b[:saltSize]) != seg.salt || crc32.Checksum(b[:sum], castagnoli) != binary.BigEndian.Uint32(b[sum:]) || at > uint64(max(seg.size, 0)) {
		return 0
	}
	return int(at) //nolint:gosec // no larger than a file
}
