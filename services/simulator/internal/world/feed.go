package world

import (
	"sync"
	"sync/atomic"
)

// UpdateType says what an update tells.
type UpdateType string

// The types of update.
const (
	UpdateMessage  UpdateType = "message"
	UpdateDelivery UpdateType = "delivery" // a webhook's state changed
	UpdateTyping   UpdateType = "typing"
	UpdateSeen     UpdateType = "seen"
	UpdateCustomer UpdateType = "customer" // a conversation was opened
	UpdateClosed   UpdateType = "closed"   // … or put away
	UpdateReset    UpdateType = "reset"
)

// Update is one thing that happened in a shown conversation.
type Update struct {
	Type UpdateType `json:"type"`
	*Key
	Name    string   `json:"name,omitempty"`
	Message *Message `json:"message,omitempty"`
	On      bool     `json:"on,omitempty"`
}

// Feed hands updates to listeners. With no listener, publishing costs one atomic load.
type Feed struct {
	count     atomic.Int32
	mu        sync.Mutex
	listeners map[*Listener]struct{}
}

func newFeed() *Feed { return &Feed{listeners: map[*Listener]struct{}{}} }

// listenerBuffer is how many updates a page may be behind before it has to load everything again.
const listenerBuffer = 512

// Listener receives updates on C. When it falls behind, C is closed.
type Listener struct {
	C    chan Update
	feed *Feed
}

// Listen begins to listen; the caller closes the listener.
func (f *Feed) Listen() *Listener {
	l := &Listener{C: make(chan Update, listenerBuffer), feed: f}
	f.mu.Lock()
	f.listeners[l] = struct{}{}
	f.count.Store(int32(len(f.listeners))) //nolint:gosec // a handful of pages
	f.mu.Unlock()
	return l
}

// Close ends the listening. It may be called twice.
func (l *Listener) Close() {
	l.feed.mu.Lock()
	defer l.feed.mu.Unlock()
	l.feed.remove(l)
}

func (f *Feed) remove(l *Listener) {
	if _, ok := f.listeners[l]; !ok {
		return
	}
	delete(f.listeners, l)
	f.count.Store(int32(len(f.listeners))) //nolint:gosec // a handful of pages
	close(l.C)
}

func (f *Feed) publish(u Update) {
	if f.count.Load() == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for l := range f.listeners {
		select {
		case l.C <- u:
		default:
			f.remove(l)
		}
	}
}
