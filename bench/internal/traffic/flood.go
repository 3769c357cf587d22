package traffic

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// answerTimeout bounds the wait for one answer.
const answerTimeout = 10 * time.Second

// Load says what is posted where.
type Load struct {
	Addr        string
	Author      *Author
	Connections int
	// Rate is messages a second, posted by the clock whether or not others were answered; 0 posts the next one on each
	// connection as soon as the one before it was answered.
	Rate float64
	// For is how long, Most how many at most.
	For  time.Duration
	Most int
	// Track is told of each message; it may be nil.
	Track *Track
}

// Posted is what came of the webhooks.
type Posted struct {
	Count, Refused int
	Took           time.Duration
	// Latencies are of the webhooks' answers, sorted.
	Latencies []time.Duration
}

// PerSecond is the rate of webhooks that were accepted.
func (p Posted) PerSecond() float64 { return float64(p.Count-p.Refused) / p.Took.Seconds() }

// Post posts webhooks and waits for all their answers.
func (l Load) Post(ctx context.Context) (Posted, error) {
	begin := time.Now()
	next := l.unpaced(ctx, begin)
	if l.Rate > 0 {
		next = l.paced(ctx, begin)
	}
	posters := make([]*poster, l.Connections)
	errs := make([]error, l.Connections)
	var wg sync.WaitGroup
	for i := range posters {
		posters[i] = &poster{load: l}
		wg.Go(func() { errs[i] = posters[i].run(ctx, next) })
	}
	wg.Wait()
	out := Posted{Took: time.Since(begin)}
	for _, p := range posters {
		out.Refused += p.refused
		out.Latencies = append(out.Latencies, p.latencies...)
	}
	out.Count = len(out.Latencies)
	slices.Sort(out.Latencies)
	return out, errors.Join(errs...)
}

// turn is a message and when it is due.
type turn struct {
	n  int
	at time.Time
}

func (l Load) unpaced(ctx context.Context, begin time.Time) func() (turn, bool) {
	var count atomic.Int64
	return func() (turn, bool) {
		now := time.Now()
		if now.Sub(begin) >= l.For || ctx.Err() != nil {
			return turn{}, false
		}
		n := int(count.Add(1)) - 1
		return turn{n, now}, n < l.Most
	}
}

// paced hands out turns by the clock. A turn that no connection takes at once keeps its time: what waits is counted.
func (l Load) paced(ctx context.Context, begin time.Time) func() (turn, bool) {
	total := min(int(l.Rate*l.For.Seconds()), l.Most)
	turns := make(chan turn, total)
	go func() {
		defer close(turns)
		timer := time.NewTimer(0)
		defer timer.Stop()
		for n := range total {
			at := begin.Add(time.Duration(float64(n) / l.Rate * float64(time.Second)))
			timer.Reset(time.Until(at))
			select {
			case <-timer.C:
				turns <- turn{n, at}
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() (turn, bool) {
		t, ok := <-turns
		return t, ok
	}
}

// poster posts on one connection.
type poster struct {
	load      Load
	refused   int
	latencies []time.Duration
}

func (p *poster) run(ctx context.Context, next func() (turn, bool)) error {
	conn, err := (&net.Dialer{Timeout: answerTimeout}).DialContext(ctx, "tcp", p.load.Addr)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	reader := bufio.NewReader(conn)
	line := make([]byte, 0, 128)
	var request []byte
	for {
		t, ok := next()
		if !ok {
			return nil
		}
		request = p.load.Author.appendRequest(request[:0], t.n)
		if p.load.Track != nil {
			p.load.Track.post(t.n, t.at)
		}
		if err := conn.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
			return err
		}
		if _, err := conn.Write(request); err != nil {
			return fmt.Errorf("post webhook %d: %w", t.n, err)
		}
		status, err := readAnswer(reader, line)
		if err != nil {
			return fmt.Errorf("read the answer to webhook %d: %w", t.n, err)
		}
		if status != 200 {
			p.refused++
		}
		p.latencies = append(p.latencies, time.Since(t.at))
	}
}
