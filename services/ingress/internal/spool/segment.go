package spool

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

const (
	segmentSuffix = ".spool"
	// damagedSuffix marks segments that hold something that could not be read or published, for a person.
	damagedSuffix = ".damaged"
)

// file is what a segment is written to; [os.File] is one.
type file interface {
	WriteAt(b []byte, at int64) (int, error)
	Sync() error
	Truncate(size int64) error
	Close() error
}

// segment is one file of the spool.
type segment struct {
	number uint64
	salt   salt
	path   string
	// end is how far it is durable, size what it takes on the disk.
	end, size int64
	// unread is how many of its records are not done with.
	unread int
	// keep: it is not to be removed when it was read.
	keep bool
	// out is open while it is the one that is written to.
	out file
}

func segmentName(number uint64, s salt) string {
	return fmt.Sprintf("%016d-%s%s", number, hex.EncodeToString(s[:]), segmentSuffix)
}

func parseSegmentName(name string) (number uint64, s salt, ok bool) {
	rest, ours := strings.CutSuffix(name, segmentSuffix)
	digits, salted, two := strings.Cut(rest, "-")
	b, err := hex.DecodeString(salted)
	number, numberErr := strconv.ParseUint(digits, 10, 64)
	if !ours || !two || err != nil || numberErr != nil || len(b) != saltSize {
		return 0, s, false
	}
	return number, salt(b), true
}

// newSegment makes an empty file whose name survives a power cut.
func (s *Spool) newSegment(number uint64) (*segment, error) {
	seg := &segment{number: number}
	_, _ = rand.Read(seg.salt[:]) // never fails
	seg.path = filepath.Join(s.dir, segmentName(number, seg.salt))
	out, err := s.create(seg.path)
	if err != nil {
		return nil, err
	}
	seg.out = out
	if err := syncDir(s.dir); err != nil {
		return nil, errors.Join(err, out.Close(), os.Remove(seg.path))
	}
	return seg, nil
}

func createFile(path string) (file, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // in the folder that the operator names
}

// write makes records durable, or leaves nothing of them behind that it can help. It changes only what belongs to the writer.
func (seg *segment) write(records []*Commit, end int64) (newEnd int64, err error) {
	var b []byte
	for _, c := range records {
		b = appendFrame(b, seg.salt, &c.record)
	}
	if _, err := seg.out.WriteAt(b, end); err != nil {
		return end, errors.Join(err, seg.abandon(end))
	}
	if err := seg.out.Sync(); err != nil {
		return end, errors.Join(err, seg.abandon(end))
	}
	newEnd = end + int64(len(b))
	// Durable with the next fsync, or when the system gets to it: it only tells a torn tail from a damaged one.
	mark := appendFrame(nil, seg.salt, nil)
	if _, markErr := seg.out.WriteAt(mark, newEnd); markErr != nil {
		_ = seg.abandon(newEnd) // the records are safe
	} else {
		newEnd += int64(len(mark))
	}
	return newEnd, nil
}

// abandon closes a file that nothing is written to any more.
func (seg *segment) abandon(end int64) error {
	if seg.out == nil {
		return nil
	}
	err := errors.Join(seg.out.Truncate(end), seg.out.Close())
	seg.out = nil
	return err
}

// close ends writing to the file.
func (seg *segment) close() {
	if seg.out != nil {
		_ = seg.out.Close() // what was said to be durable was fsynced
		seg.out = nil
	}
}

// segments lists the segments of a folder in their order, and what the kept ones take.
func segments(dir string) (found []*segment, kept int64, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, 0, err
	}
	for _, e := range entries {
		number, s, ok := parseSegmentName(strings.TrimSuffix(e.Name(), damagedSuffix))
		if !ok {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		if strings.HasSuffix(e.Name(), damagedSuffix) {
			kept += info.Size()
			continue
		}
		found = append(found, &segment{number: number, salt: s, path: filepath.Join(dir, e.Name()), size: info.Size()})
	}
	slices.SortFunc(found, func(a, b *segment) int {
		if a.number < b.number {
			return -1
		}
		return 1
	})
	return found, kept, nil
}

// syncDir makes the names in a folder survive a power cut. Windows has no such call and needs none.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir) //nolint:gosec // the folder that the operator names
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
