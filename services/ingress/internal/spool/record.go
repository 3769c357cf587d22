package spool

import (
	"encoding/binary"
	"math"
	"time"
)

// Lanes is how many lanes there are.
const Lanes = 1 << 16

// Record is one webhook that waits.
type Record struct {
	// At is when it came; Request the id of the request that brought it.
	At      time.Time
	Request string
	// Lanes are those of its conversations, each once.
	Lanes []uint16
	Body  []byte
}

// recordVersion begins a record. Another version may mean other lanes.
const recordVersion = 1

// recordHeader is what a record has besides its request's id, lanes and body: version, time, and two lengths.
const recordHeader = 1 + 8 + 2 + 4

func (r *Record) size() int { return recordHeader + len(r.Request) + 2*len(r.Lanes) + len(r.Body) }

// fits says whether a record can be written at all.
func (r *Record) fits() bool { return len(r.Request) <= math.MaxUint16 && r.size() <= math.MaxInt32 }

func (r *Record) append(b []byte) []byte {
	b = append(b, recordVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(r.At.UnixNano()))
	b = binary.BigEndian.AppendUint16(b, uint16(len(r.Request))) //nolint:gosec // see fits
	b = binary.BigEndian.AppendUint32(b, uint32(len(r.Lanes)))   //nolint:gosec // Lanes at most
	b = append(b, r.Request...)
	for _, l := range r.Lanes {
		b = binary.BigEndian.AppendUint16(b, l)
	}
	return append(b, r.Body...)
}

// parseRecord reads what append wrote. The body is a part of b.
func parseRecord(b []byte) (Record, bool) {
	if len(b) < recordHeader || b[0] != recordVersion {
		return Record{}, false
	}
	at, request, lanes := binary.BigEndian.Uint64(b[1:]), int(binary.BigEndian.Uint16(b[9:])), int(binary.BigEndian.Uint32(b[11:]))
	b = b[recordHeader:]
	if lanes > Lanes || request+2*lanes > len(b) {
		return Record{}, false
	}
	r := Record{At: time.Unix(0, int64(at)).UTC(), Request: string(b[:request]), Body: b[request+2*lanes:]} //nolint:gosec // its bits
	for i := range lanes {
		r.Lanes = append(r.Lanes, binary.BigEndian.Uint16(b[request+2*i:]))
	}
	return r, true
}
