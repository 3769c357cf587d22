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
	// Final: there will be no further attempt. Accepted: it was answered with 200.
	Final, Accepted bool
}

// Job is one webhook.
type Job struct {
	// Lane names what is delivered in order.
	Lane string
	Body []byte
	// NotBefore delays the first attempt.
	NotBefore time.Time
	// Began is told when the first attempt begins, Told after each.
	Began func(at time.Time)
	Told  func(Outcome)
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
	lanes   map[string][]Job
	waiting atomic.Int64
}

// New makes a sender; Close ends it.
func New(o Options) *Sender {
	ctx, cancel := context.WithCancel(context.Background())
	transport := &http.Transport{
		MaxIdleConnsPerHost: o.Concurrency, IdleConnTimeout: 30 * time.Second, ResponseHeaderTimeout: o.Timeout,
		Proxy: http.ProxyFromEnvironment,
	}
	return &Sender{
		opts: o, ctx: ctx, cancel: cancel, slots: make(chan struct{}, o.Concurrency), lanes: map[string][]Job{},
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
	queue, running := s.lanes[j.Lane]
	s.lanes[j.Lane] = append(queue, j)
	if !running {
		s.wg.Go(func() { s.run(j.Lane) })
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
func (s *Sender) run(lane string) {
	for {
		s.mu.Lock()
		queue := s.lanes[lane]
		if len(queue) == 0 {
			delete(s.lanes, lane)
			s.mu.Unlock()
			return
		}
		job := queue[0]
		queue[0] = Job{}
		s.lanes[lane] = queue[1:]
		s.mu.Unlock()
		if s.ctx.Err() == nil {
			s.deliver(job)
		}
		s.waiting.Add(-1)
	}
}

func (s *Sender) deliver(j Job) {
	if !s.sleep(time.Until(j.NotBefore)) {
		return
	}
	first := time.Now()
	for attempt := 1; ; attempt++ {
		select {
		case s.slots <- struct{}{}:
		case <-s.ctx.Done():
			return
		}
		began := time.Now()
		if attempt == 1 {
			first = began
			if j.Began != nil {
				j.Began(began)
			}
		}
		status, err := s.post(s.opts.Secret, j.Body)
		<-s.slots
		out := Outcome{Status: status, Err: err, Began: began, Took: time.Since(began), Attempt: attempt, Accepted: status == http.StatusOK}
		out.Final = out.Accepted || time.Since(first) >= s.opts.GiveUp
		if j.Told != nil {
			j.Told(out)
		}
		if out.Final || !s.sleep(s.pause(attempt)) {
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

func (s *Sender) sleep(d time.Duration) bool {
	if d <= 0 {
		return s.ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.ctx.Done():
		return false
	}
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
