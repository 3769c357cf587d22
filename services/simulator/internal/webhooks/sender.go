// Package webhooks delivers webhooks as Meta does: signed, at least once, and again with growing pauses while they are
// answered with anything but 200.
//
// What one customer does is delivered in the order in which it was done; many customers are served at once. Retries are
// kept in memory and are lost with the process.
package webhooks

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-dm/parley/services/simulator/internal/clock"
)

// Options say where webhooks go and how patiently.
type Options struct {
	URL    string
	Secret string
	// Timeout bounds one attempt; Meta waits 5 s.
	Timeout time.Duration
	// RetryBase is the pause after the second attempt (the first retry is immediate, as Meta's is); it doubles up to RetryMax.
	RetryBase, RetryMax time.Duration
	// GiveUp is how long one webhook is tried; Meta tries for 36 hours.
	GiveUp time.Duration
	// Clock is what pauses and patience go by.
	Clock *clock.Clock
	// Concurrency bounds the requests at one time, MaxWaiting the webhooks in memory.
	Concurrency, MaxWaiting int
}

// Outcome is how one attempt went.
type Outcome struct {
	Status  int // 0 when there was no answer
	Err     error
	Began   time.Time
	Took    time.Duration
	Attempt int
	// Final: there will be no further attempt. Accepted: it was answered with 200. Dropped: it was not posted at all.
	Final, Accepted, Dropped bool
}

// Job is one webhook.
type Job struct {
	// Lane names what is delivered in order.
	Lane string
	Body []byte
	// NotBefore delays the first attempt, by the sender's clock.
	NotBefore time.Time
	// Overtaken lets the next job of the lane go first, if one comes before NotBefore.
	Overtaken bool
	// Gone, if set, is asked before each attempt whether nobody is to be told any more.
	Gone func() bool
	// Began is told when the first attempt begins, Told after each. Their times are the machine's.
	Began func(at time.Time)
	Told  func(Outcome)
	// Mark, if set, is told that the job will be delivered out of its order.
	Mark func()
}

// The reasons why a webhook is not taken.
var (
	ErrTooMany = errors.New("too many webhooks are waiting to be delivered (WEBHOOK_URL does not take them)")
	ErrClosed  = errors.New("the simulator is stopping")
)

// Sender delivers webhooks.
type Sender struct {
	opts   Options
	client *http.Client
	slots  chan struct{}

	ctx    context.Context //nolint:containedctx // the life of the lanes' goroutines, which no caller's context is
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	lanes   map[string]*lane
	waiting atomic.Int64
}

// lane is what is delivered in order. wake tells its goroutine that there is more.
type lane struct {
	queue []Job
	wake  chan struct{}
}

// New makes a sender; Close ends it.
func New(o Options) *Sender {
	ctx, cancel := context.WithCancel(context.Background())
	transport := &http.Transport{
		MaxIdleConnsPerHost: o.Concurrency, IdleConnTimeout: 30 * time.Second, ResponseHeaderTimeout: o.Timeout,
		Proxy: http.ProxyFromEnvironment,
	}
	return &Sender{
		opts: o, ctx: ctx, cancel: cancel, slots: make(chan struct{}, o.Concurrency), lanes: map[string]*lane{},
		client: &http.Client{
			Transport: transport, Timeout: o.Timeout,
			// Meta does not follow redirects: anything but 200 is a failure.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Waiting is how many webhooks are not settled.
func (s *Sender) Waiting() int { return int(s.waiting.Load()) }

// Send takes a webhook over and returns at once.
func (s *Sender) Send(j Job) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	if s.waiting.Load() >= int64(s.opts.MaxWaiting) {
		return ErrTooMany
	}
	s.waiting.Add(1)
	l, running := s.lanes[j.Lane]
	if !running {
		l = &lane{}
		s.lanes[j.Lane] = l
		s.wg.Go(func() { s.run(j.Lane, l) })
	}
	l.queue = append(l.queue, j)
	if l.wake != nil {
		close(l.wake)
		l.wake = nil
	}
	return nil
}

// Close stops delivering: what is under way is finished, what waits for a retry is dropped.
func (s *Sender) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.wg.Wait()
	s.client.CloseIdleConnections()
}

// run delivers a lane's webhooks until there are none, or until the sender is closed.
func (s *Sender) run(name string, l *lane) {
	for {
		job, ok := s.take(name, l)
		if !ok {
			return
		}
		if s.ctx.Err() == nil {
			s.deliver(job)
		}
		s.waiting.Add(-1)
	}
}

// take removes the lane's next job, waiting where the first is to be overtaken; the lane ends when there is none.
func (s *Sender) take(name string, l *lane) (Job, bool) {
	for {
		s.mu.Lock()
		if len(l.queue) == 0 {
			delete(s.lanes, name)
			s.mu.Unlock()
			return Job{}, false
		}
		first := l.queue[0]
		if !first.Overtaken || s.ctx.Err() != nil || !s.opts.Clock.Now().Before(first.NotBefore) {
			l.queue[0] = Job{}
			l.queue = l.queue[1:]
			s.mu.Unlock()
			return first, true
		}
		if len(l.queue) > 1 {
			first.Overtaken, first.NotBefore = false, time.Time{}
			l.queue[0], l.queue[1] = l.queue[1], first
			l.queue[0].Overtaken = false // or two of them would change places for ever
			s.mu.Unlock()
			continue
		}
		wake := make(chan struct{})
		l.wake = wake
		s.mu.Unlock()
		s.opts.Clock.SleepUntil(s.ctx, first.NotBefore, wake)
	}
}

func (s *Sender) deliver(j Job) {
	if !s.opts.Clock.SleepUntil(s.ctx, j.NotBefore, nil) {
		return
	}
	first := s.opts.Clock.Now()
	for attempt := 1; ; attempt++ {
		if j.Gone != nil && j.Gone() {
			if j.Told != nil {
				j.Told(Outcome{Began: time.Now(), Attempt: attempt, Final: true, Dropped: true})
			}
			return
		}
		select {
		case s.slots <- struct{}{}:
		case <-s.ctx.Done():
			return
		}
		began := time.Now()
		if attempt == 1 && j.Began != nil {
			j.Began(began)
		}
		status, err := s.post(s.opts.Secret, j.Body)
		<-s.slots
		ended := s.opts.Clock.Now() // before anybody is told, who may move the clock at once
		out := Outcome{Status: status, Err: err, Began: began, Took: time.Since(began), Attempt: attempt, Accepted: status == http.StatusOK}
		out.Final = out.Accepted || ended.Sub(first) >= s.opts.GiveUp
		if j.Told != nil {
			j.Told(out)
		}
		if out.Final || !s.opts.Clock.SleepUntil(s.ctx, ended.Add(s.pause(attempt)), nil) {
			return
		}
	}
}

// pause is how long to wait after an attempt.
func (s *Sender) pause(attempt int) time.Duration {
	if attempt <= 1 {
		return 0
	}
	d := s.opts.RetryMax
	if shift := attempt - 2; shift < 20 {
		d = min(d, s.opts.RetryBase<<shift)
	}
	return d/2 + rand.N(d/2+1) //nolint:gosec // jitter needs no secrecy
}

// Now posts a body once, at once, signed with the given secret, and says how it was answered: for what must not be tried
// again, such as a body that is wrong on purpose.
func (s *Sender) Now(secret string, body []byte) (status int, err error) { return s.post(secret, body) }

// Secret is what webhooks are signed with.
func (s *Sender) Secret() string { return s.opts.Secret }

// post does not end with the sender's context: an attempt that has begun is finished, within the timeout.
func (s *Sender) post(secret string, body []byte) (int, error) {
	req, err := http.NewRequestWithContext(context.WithoutCancel(s.ctx), http.MethodPost, s.opts.URL, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Webhooks/1.0 (https://fb.me/webhooks)")
	req.Header.Set("X-Hub-Signature-256", Sign(secret, body))
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, err
	}
	// Reading a little lets the connection be used again.
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	_ = resp.Body.Close()
	return resp.StatusCode, nil
}
