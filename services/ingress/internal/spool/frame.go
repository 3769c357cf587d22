package spool

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math"
)

// saltSize and headerSize are the sizes of a frame's parts: salt, checksum of what follows it, length of the record.
const (
	saltSize   = 8
	headerSize = saltSize + 4 + 4
)

// salt marks the frames of one segment.
type salt [saltSize]byte

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendFrame adds a record in a frame. A nil record makes a seal.
func appendFrame(b []byte, s salt, r *Record) []byte {
	start := len(b)
	b = append(b, s[:]...)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)
	if r != nil {
		b = r.append(b)
	}
	binary.BigEndian.PutUint32(b[start+saltSize+4:], uint32(len(b)-start-headerSize)) //nolint:gosec // bounded by maxRecord
	binary.BigEndian.PutUint32(b[start+saltSize:], crc32.Checksum(b[start+saltSize+4:], castagnoli))
	return b
}

// frameAt reads the frame that begins at a place: its content, empty for a seal, and where it ends. ok is false when there
// is none, or none that is whole.
func frameAt(b []byte, s salt, at int) (content []byte, end int, ok bool) {
	if len(b)-at < headerSize || !bytes.Equal(b[at:at+saltSize], s[:]) {
		return nil, 0, false
	}
	length := binary.BigEndian.Uint32(b[at+saltSize+4:])
	if length > math.MaxInt32 || int(length) > len(b)-at-headerSize {
		return nil, 0, false
	}
	end = at + headerSize + int(length)
	if crc32.Checksum(b[at+saltSize+4:end], castagnoli) != binary.BigEndian.Uint32(b[at+saltSize:]) {
		return nil, 0, false
	}
	return b[at+headerSize : end], end, true
}

// nextFrame finds the first place, from one on, where a whole frame begins.
func nextFrame(b []byte, s salt, from int) (at int, ok bool) {
	for at = from; at < len(b); at++ {
		next := bytes.Index(b[at:], s[:])
		if next < 0 {
			return 0, false
		}
		at += next
		if _, _, ok := frameAt(b, s, at); ok {
			return at, true
		}
	}
	return 0, false
}

// contents is what a run of bytes holds, and where it ends.
type contents struct {
	records []Record
	// ends is where the frame of each record ends.
	ends []int
	// end is where the last whole frame ends that was looked at.
	end int
	// damaged are places that hold no frame and were durable once: a seal is behind them. torn is how many bytes hold none and
	// have no seal behind them.
	damaged []gap
	torn    int
}

// gap is a place, from its first byte to the one behind its last.
type gap struct{ from, to int }

// scan reads frames up to a number of records, passing over what is none.
func scan(b []byte, s salt, most int) contents {
	var c contents
	var doubtful []gap
	for len(c.records) < most && c.end < len(b) {
		content, end, ok := frameAt(b, s, c.end)
		if !ok {
			next, found := nextFrame(b, s, c.end)
			if !found {
				c.torn += len(b) - c.end
				break
			}
			doubtful = append(doubtful, gap{c.end, next})
			c.end = next
			continue
		}
		r, known := parseRecord(content)
		switch {
		case len(content) == 0:
			c.damaged = append(c.damaged, doubtful...)
			doubtful = nil
		case !known: // whole, but not of this program's making
			doubtful = append(doubtful, gap{c.end, end})
		default:
			c.records, c.ends = append(c.records, r), append(c.ends, end)
		}
		c.end = end
	}
	for _, g := range doubtful {
		c.torn += g.to - g.from
	}
	return c
}
