package bus

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// What came in one burst is told of in an even stream, each message once in a beat, and what was heard of lately not at all.
func TestHeartbeatsOfABurstAreSpread(t *testing.T) {
	const messages = 1600
	f := &feed{held: map[uint64]*held{}}
	began := time.Now()
	for seq := range uint64(messages) {
		f.held[seq] = &held{feed: f, seq: seq, msg: &nats.Msg{}, heard: began}
	}
	f.held[messages] = &held{feed: f, seq: messages, msg: &nats.Msg{}, heard: began.Add(time.Hour)}
	told := map[*nats.Msg]int{}
	for look := range looksPerBeat {
		silent := f.silent(began.Add(time.Nanosecond))
		if len(silent) > crowding*messages/looksPerBeat+1 {
			t.Fatalf("look %d told of %d messages at once, of %d", look, len(silent), messages)
		}
		for _, msg := range silent {
			told[msg]++
		}
	}
	for seq, h := range f.held {
		want := 1
		if seq == messages {
			want = 0
		}
		if told[h.msg] != want {
			t.Errorf("message %d was told of %d times in a beat, expected %d", seq, told[h.msg], want)
		}
	}
}
