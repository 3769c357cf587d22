package bus

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// puller asks a consumer for messages and counts what it has asked for.
//
// The client has one of its own, Consume. It sends its requests on another goroutine, and while that one is at it nobody
// asks for more: if it is held up, on a busy machine, for as long as it takes to handle all that is on the way, nothing
// comes any more until two heartbeats have been missed. Here the goroutine that receives also asks.
type puller struct {
	conn           *Conn
	subject, inbox string
	batch, bytes   int
	handle         func(*nats.Msg)
	failed         func(error)
	sub            *nats.Subscription
	off            func() // from reconnects
	closed         chan struct{}

	mu      sync.Mutex
	asked   int // messages that the server may yet send for what we asked
	heard   time.Time
	busy    bool // handling one, which may take long: there may be no room for it
	stopped bool
	watch   *time.Timer
}

// What the server is told about a message.
var (
	answerAck      = []byte("+ACK")
	answerNak      = []byte("-NAK")
	answerProgress = []byte("+WPI")
)

const (
	// pullExpires is when the server forgets a request.
	pullExpires = 30 * time.Second
	// pullHeartbeat is how often it says that it remembers one. After twice as long without a word we ask anew.
	pullHeartbeat = 2 * time.Second
)

// pull starts to ask for messages: batch at once, of some bytes in each request. They go to handle, one after another.
// failed hears that the consumer is gone, or that nobody answers for it.
func (c *Conn) pull(stream, consumer string, batch, bytes int, handle func(*nats.Msg), failed func(error)) (*puller, error) {
	p := &puller{
		conn: c, subject: "$JS.API.CONSUMER.MSG.NEXT." + stream + "." + consumer, inbox: c.nc.NewInbox(), batch: batch, bytes: bytes,
		handle: handle, failed: failed, heard: time.Now(), closed: make(chan struct{}),
	}
	var err error
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sub, err = c.nc.Subscribe(p.inbox, p.receive); err != nil {
		return nil, fmt.Errorf("subscribe to consumer %s: %w", consumer, err)
	}
	p.sub.SetClosedHandler(func(string) { close(p.closed) })
	p.off = c.onReconnect(func(time.Duration) { p.anew() })
	p.watch = time.AfterFunc(pullHeartbeat, p.check)
	p.ask()
	return p, nil
}

// receive takes a message or a status, on the subscription's goroutine.
func (p *puller) receive(m *nats.Msg) {
	if len(m.Data) == 0 && len(m.Header) > 0 && m.Header.Get("Status") != "" {
		p.status(m.Header)
		return
	}
	p.mu.Lock()
	p.busy = true
	p.mu.Unlock()
	p.handle(m)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy = false
	p.settle(1)
}

// settle counts messages that will not come any more, and asks for others when half are gone.
func (p *puller) settle(n int) {
	p.heard = time.Now()
	p.asked = max(p.asked-n, 0)
	if p.asked < (p.batch+1)/2 {
		p.ask()
	}
}

// ask fills what is asked for up to the batch. A request that cannot be sent is made up for by check.
func (p *puller) ask() {
	n := p.batch - p.asked
	if n <= 0 || p.stopped {
		return
	}
	request := make([]byte, 0, 96)
	request = append(request, `{"batch":`...)
	request = strconv.AppendInt(request, int64(n), 10)
	request = append(request, `,"max_bytes":`...)
	request = strconv.AppendInt(request, int64(p.bytes), 10)
	request = append(request, `,"expires":`...)
	request = strconv.AppendInt(request, int64(pullExpires), 10)
	request = append(request, `,"idle_heartbeat":`...)
	request = strconv.AppendInt(request, int64(pullHeartbeat), 10)
	request = append(request, '}')
	if err := p.conn.nc.PublishRequest(p.subject, p.inbox, request); err == nil {
		p.asked += n
	}
}

// status hears what became of a request.
func (p *puller) status(h nats.Header) {
	description := strings.ToLower(h.Get("Description"))
	var gone error
	p.mu.Lock()
	switch status := h.Get("Status"); {
	case status == "100": // a heartbeat
		p.heard = time.Now()
	case status == "503":
		gone = nats.ErrNoResponders
	case status == "400":
		gone = jetstream.ErrBadRequest
	case strings.Contains(description, "consumer deleted"):
		gone = jetstream.ErrConsumerDeleted
	default: // it has ended: its time is over, its bytes are used up, or the server changes
		left, err := strconv.Atoi(h.Get("Nats-Pending-Messages"))
		if err == nil {
			p.settle(left)
		} else {
			p.asked = 0 // asked anew in a moment: not at once, or a server that goes on saying so would have us spin
			p.watch.Reset(pullHeartbeat / 10)
		}
	}
	p.mu.Unlock()
	if gone != nil {
		p.failed(gone)
	}
}

// check asks anew when the server has said nothing for too long.
func (p *puller) check() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return
	}
	waiting, _, err := p.sub.Pending()
	if time.Since(p.heard) >= 2*pullHeartbeat && !p.busy && (err != nil || waiting == 0) {
		p.asked = 0
	}
	if p.asked == 0 && !p.busy {
		p.heard = time.Now()
		p.ask()
	}
	p.watch.Reset(pullHeartbeat)
}

// anew forgets what was asked of a connection that has broken.
func (p *puller) anew() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = 0
	p.ask()
}

// send answers the server about a message. Whatever gets lost is made up for: by the message's repetition, or by the next
// heartbeat.
func (c *Conn) send(m *nats.Msg, answer []byte) error {
	if m.Reply == "" {
		return nats.ErrMsgNoReply
	}
	return c.nc.Publish(m.Reply, answer)
}

// stop ends the pulling; what is on its way is dropped.
func (p *puller) stop() {
	p.end()
	_ = p.sub.Unsubscribe()
}

// drain ends the pulling after what is on its way has been handled, or after a while if there is no connection.
func (p *puller) drain(timeout time.Duration) {
	p.end()
	if err := p.sub.Drain(); err != nil && !errors.Is(err, nats.ErrBadSubscription) {
		_ = p.sub.Unsubscribe()
		return
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-p.closed:
	case <-timer.C:
	}
}

func (p *puller) end() {
	p.off()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	p.watch.Stop()
}
