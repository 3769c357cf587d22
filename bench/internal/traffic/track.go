package traffic

import (
	"slices"
	"sync/atomic"
	"time"
)

// Track follows messages from the post of their webhook to the call of the Send API that answers them. A customer's replies
// come in the order of the messages, so the k-th call for a customer answers the k-th message.
type Track struct {
	first    int64
	begin    time.Time
	posted   []atomic.Int64 // by message; nanoseconds after begin, 0 for not yet
	arrived  []atomic.Int64
	seen     []atomic.Int32 // by customer; calls so far
	arrivals atomic.Int64
	doubled  atomic.Int64
	last     atomic.Int64
}

// NewTrack follows up to n messages of an author's.
func NewTrack(a *Author, n int) *Track {
	customers := (n/(block*perCustomer) + 1) * block
	n = customers * perCustomer
	return &Track{first: a.First, begin: time.Now(), posted: make([]atomic.Int64, n), arrived: make([]atomic.Int64, n), seen: make([]atomic.Int32, customers)}
}

func (t *Track) post(n int, at time.Time) { t.posted[n].Store(int64(at.Sub(t.begin)) + 1) }

// arrive notes a call for a customer. Customers of another run are not ours to count.
func (t *Track) arrive(id int64) {
	now := int64(time.Since(t.begin)) + 1
	c := id - t.first
	if c < 0 || c >= int64(len(t.seen)) {
		return
	}
	place := int(t.seen[c].Add(1)) - 1
	if place >= perCustomer {
		t.doubled.Add(1)
		return
	}
	n := message(int(c), place)
	if t.posted[n].Load() == 0 {
		t.doubled.Add(1)
		return
	}
	t.arrived[n].Store(now)
	t.last.Store(now)
	t.arrivals.Add(1)
}

// Arrived is how many messages were answered so far.
func (t *Track) Arrived() int { return int(t.arrivals.Load()) }

// Answers is what came of the first n messages.
type Answers struct {
	Posted, Answered, Doubled int
	// Span is from the first post to the last answer.
	Span time.Duration
	// Latencies are sorted.
	Latencies []time.Duration
}

// Answers counts what has come so far.
func (t *Track) Answers(n int) Answers {
	a := Answers{Posted: n, Doubled: int(t.doubled.Load())}
	first := int64(-1)
	for i := range n {
		posted, arrived := t.posted[i].Load(), t.arrived[i].Load()
		if posted != 0 && (first < 0 || posted < first) {
			first = posted
		}
		if posted != 0 && arrived != 0 {
			a.Latencies = append(a.Latencies, time.Duration(arrived-posted))
		}
	}
	a.Answered = len(a.Latencies)
	a.Span = time.Duration(t.last.Load() - first)
	slices.Sort(a.Latencies)
	return a
}

// Percentile of sorted durations; 0 of none.
func Percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(float64(len(sorted))*p/100), len(sorted)-1)]
}
