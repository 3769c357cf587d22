package bus

import (
	"context"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
)

// held is a message that the server has delivered and that is not settled.
type held struct {
	feed    *feed
	key     string
	subject string
	seq     uint64 // in the stream
	size    int64
	first   *message.Message // of the first attempt, if it was made to ask for its key
	handler string           // of a message that came otherwise; see Beside
	batch   []Received       // of several that are handed out as one; see Batch
	slot    slot             // guarded by lanes.mu

	// Guarded by feed.mu: a redelivery replaces msg, so that the acknowledgement goes to the consumer that lives.
	msg   *nats.Msg
	heard time.Time
}

// newHeld reads a delivery. The key is asked for here, once.
func newHeld(f *feed, msg *nats.Msg, seq uint64) *held {
	h := &held{feed: f, subject: msg.Subject, seq: seq, size: int64(len(msg.Data)), msg: msg, heard: time.Now()}
	if key := f.sub.s.cfg.Key; key != nil {
		h.first = decode(msg)
		h.key = key(h.subject, h.first)
	}
	return h
}

// message makes Watermill's message of it. Each attempt gets a new one, since a message can be settled only once.
func (h *held) message(ctx context.Context) *message.Message {
	m := h.first
	if m == nil {
		h.feed.mu.Lock()
		msg := h.msg
		h.feed.mu.Unlock()
		m = decode(msg)
	}
	h.first = nil
	m.SetContext(ctx)
	return m
}

// decode turns NATS's message into Watermill's: its id is the UUID, the other headers are the metadata. Of a header that
// is there several times the first counts.
func decode(msg *nats.Msg) *message.Message {
	m := message.NewMessage(msg.Header.Get(nats.MsgIdHdr), msg.Data)
	for k, v := range msg.Header {
		if k != nats.MsgIdHdr && len(v) > 0 {
			m.Metadata[k] = v[0]
		}
	}
	return m
}
