package bus

import (
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// A message is heard of when a third of AckWait has gone since the last time, and looked at so many times in that third: told of
	// all at once, thousands that wait for a database would hold up, every few seconds, whatever else the server does.
	beatsPerWait, looksPerBeat = 3, 16
	// crowding is how many times an even share of what is held may be told of at one look. Beyond that the rest waits for the next.
	crowding = 2
)

// heartbeat tells the server about messages that are held for long.
func (f *feed) heartbeat() {
	interval := f.sub.s.cfg.AckWait / beatsPerWait
	ticker := time.NewTicker(max(interval/looksPerBeat, time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-f.ctx.Done():
			return
		case now := <-ticker.C:
			for _, msg := range f.silent(now.Add(-interval)) {
				_ = f.conn().send(msg, answerProgress)
			}
		}
	}
}

// silent is what was not heard of since then, an even share of it at most, which will have been now.
func (f *feed) silent(since time.Time) []*nats.Msg {
	f.mu.Lock()
	defer f.mu.Unlock()
	most := crowding*len(f.held)/looksPerBeat + 1
	var silent []*nats.Msg
	for _, h := range f.held {
		if len(silent) == most {
			break
		}
		if h.heard.Before(since) {
			h.heard = time.Now()
			silent = append(silent, h.msg)
		}
	}
	return silent
}
