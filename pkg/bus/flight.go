package bus

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// tower sends messages to JetStream and hears the acknowledgements.
//
// The client has this too, PublishMsgAsync. It keeps a clock and two channels for every message; here one flight has one
// channel, however many messages are in it, and a clock looks at all flights now and then.
type tower struct {
	nc     *nats.Conn
	prefix string // of the subjects that acknowledgements come on; a number follows, in base 36
	err    error  // the subscription to them failed

	mu      sync.Mutex
	next    uint64
	waiting map[uint64]*flight
	sweep   *time.Timer // nil while nothing waits
}

// flight is some messages that were sent one after another, and what the server has said of them.
type flight struct {
	ctx      context.Context
	deadline time.Time
	first    uint64 // the number of its first message; the others follow
	// done is closed when the server has said something of every message, or when nobody waits for it any longer. The rest is
	// guarded by tower.mu until then.
	done   chan struct{}
	left   int
	err    error // of the message at index failed, the first in their order
	failed int
	seq    uint64 // the place in its stream of the one that was acknowledged last
}

const (
	// sweepEvery is how late a flight may learn that its time is over.
	sweepEvery = 20 * time.Millisecond
	numberBase = 36
)

func newTower(nc *nats.Conn) *tower {
	t := &tower{nc: nc, prefix: nc.NewInbox() + ".", waiting: map[uint64]*flight{}}
	_, t.err = nc.Subscribe(t.prefix+"*", t.receive)
	return t
}

// send sends the messages without waiting in between and returns when each has been acknowledged or refused, or at the
// deadline, or when ctx ends or the connection breaks. failed is the message that the error is about.
func (t *tower) send(ctx context.Context, deadline time.Time, msgs ...*nats.Msg) (seq uint64, failed int, err error) {
	if t.err != nil {
		return 0, 0, t.err
	}
	f := &flight{ctx: ctx, deadline: deadline, done: make(chan struct{}), left: len(msgs)}
	t.register(f)
	for i, m := range msgs {
		m.Reply = t.subject(f.first + uint64(i))
		if err := t.nc.PublishMsg(m); err != nil {
			t.unsent(f, i, err)
			break
		}
	}
	<-f.done
	return f.seq, f.failed, f.err
}

func (t *tower) subject(number uint64) string {
	b := make([]byte, 0, len(t.prefix)+13)
	return string(strconv.AppendUint(append(b, t.prefix...), number, numberBase))
}

func (t *tower) register(f *flight) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f.first = t.next
	t.next += uint64(f.left) //nolint:gosec // a length
	for n := f.first; n < t.next; n++ {
		t.waiting[n] = f
	}
	if t.sweep == nil {
		t.sweep = time.AfterFunc(sweepEvery, t.look)
	}
}

// unsent ends the wait for the messages from index i on.
func (t *tower) unsent(f *flight, i int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for n := f.first + uint64(i); t.waiting[n] == f; n++ { //nolint:gosec // an index
		t.landedLocked(n, f, 0, err)
	}
}

// receive hears what the server says of one message.
func (t *tower) receive(m *nats.Msg) {
	number, err := strconv.ParseUint(m.Subject[len(t.prefix):], numberBase, 64)
	if err != nil {
		return
	}
	seq, err := acknowledged(m)
	t.mu.Lock()
	defer t.mu.Unlock()
	if f, ok := t.waiting[number]; ok {
		t.landedLocked(number, f, seq, err)
	}
}

func (t *tower) landedLocked(number uint64, f *flight, seq uint64, err error) {
	delete(t.waiting, number)
	if err == nil {
		f.seq = seq
	} else if i := int(number - f.first); f.err == nil || i < f.failed { //nolint:gosec // an index
		f.err, f.failed = err, i
	}
	if f.left--; f.left == 0 {
		close(f.done)
	}
}

// look ends the flights whose time is over.
func (t *tower) look() {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	for n, f := range t.waiting {
		switch {
		case f.ctx.Err() != nil:
			t.landedLocked(n, f, 0, context.Cause(f.ctx))
		case !now.Before(f.deadline):
			t.landedLocked(n, f, 0, context.DeadlineExceeded)
		}
	}
	if len(t.waiting) == 0 {
		t.sweep = nil
		return
	}
	t.sweep.Reset(sweepEvery)
}

// lost ends all flights: what the server says of them, it says on a connection that is no more.
func (t *tower) lost(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for n, f := range t.waiting {
		t.landedLocked(n, f, 0, err)
	}
}

// errNoAck is an answer that is none of JetStream's.
var errNoAck = errors.New("the answer is not an acknowledgement of JetStream")

// acknowledged reads the server's answer to a message.
func acknowledged(m *nats.Msg) (seq uint64, err error) {
	if seq, ok := stored(m.Data); ok {
		return seq, nil
	}
	if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
		return 0, jetstream.ErrNoStreamResponse
	}
	var answer struct {
		Error  *jetstream.APIError `json:"error"`
		Stream string              `json:"stream"`
		Seq    uint64              `json:"seq"`
	}
	switch err := json.Unmarshal(m.Data, &answer); {
	case err != nil || answer.Error == nil && answer.Stream == "":
		return 0, errNoAck
	case answer.Error != nil:
		return 0, answer.Error
	default:
		return answer.Seq, nil
	}
}

// stored reads the answer that there is by far the most of: {"stream":"NAME","seq":123}.
func stored(data []byte) (seq uint64, ok bool) {
	rest, ok := bytes.CutPrefix(data, []byte(`{"stream":"`))
	if !ok {
		return 0, false
	}
	if _, rest, ok = bytes.Cut(rest, []byte(`","seq":`)); !ok || len(rest) == 0 || rest[len(rest)-1] != '}' {
		return 0, false
	}
	for _, c := range rest[:len(rest)-1] {
		if c < '0' || c > '9' {
			return 0, false
		}
		seq = seq*10 + uint64(c-'0')
	}
	return seq, len(rest) > 1
}
