package bus

import "sync"

// byteBudget bounds the bytes that are held. One message always fits, however large.
type byteBudget struct {
	limit int64
	mu    sync.Mutex
	freed sync.Cond
	used  int64
}

func newByteBudget(limit int64) *byteBudget {
	b := &byteBudget{limit: limit}
	b.freed.L = &b.mu
	return b
}

// acquire waits for room, or until the feed hands out nothing more.
func (b *byteBudget) acquire(n int64, f *feed) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.used > 0 && b.used+n > b.limit && f.handsOut() {
		b.freed.Wait()
	}
	b.used += n
}

func (b *byteBudget) release(n int64) {
	b.mu.Lock()
	b.used -= n
	b.mu.Unlock()
	b.freed.Broadcast()
}

// wake lets those who wait ask again whether it is over. Under the lock, so that nobody asks just before and sleeps after.
func (b *byteBudget) wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.freed.Broadcast()
}
