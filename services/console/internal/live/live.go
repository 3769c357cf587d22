// Package live tells pages which conversations changed, as it happens: a hub between the bus and browsers, which listen by
// server-sent events.
//
// It says that something changed and where, never what: the page asks for the part that it shows, and the same checks hold
// as for any request. It promises nothing: a listener that is too slow is told that it has missed something.
package live

import (
	"sync"
	"time"

	"github.com/parley-dm/parley/pkg/dm"
)

// Change says that something about a conversation has changed.
type Change struct {
	// Conversation is the id of its row; the row itself may not be there yet.
	Conversation string `json:"conversation"`
	Account      string `json:"account"`
	Customer     string `json:"customer"`
	// Missed: changes were lost, of whatever conversation. The other fields are empty.
	Missed bool `json:"-"`
}

const (
	// The archiver writes what the bus tells of, and a page reads what it has written: a change is told when it has probably
	// been written, and once more for when it was not.
	settleSoon, settleLate = 80 * time.Millisecond, 1200 * time.Millisecond
	// buffer bounds what waits for one listener.
	buffer = 64
)

// Hub passes changes on. Changes of one conversation within a moment are told as one.
type Hub struct {
	mu        sync.Mutex
	listeners map[*Listener]struct{}
	pending   map[dm.Conversation]*time.Timer
	closed    bool
}

// NewHub makes a hub. Close it.
func NewHub() *Hub {
	return &Hub{listeners: map[*Listener]struct{}{}, pending: map[dm.Conversation]*time.Timer{}}
}

// Listener hears changes until it is closed.
type Listener struct {
	hub  *Hub
	sees func(account string) bool
	c    chan Change
	end  chan struct{}
	once sync.Once
}

// Listen hears of the accounts for which sees is true.
func (h *Hub) Listen(sees func(account string) bool) *Listener {
	l := &Listener{hub: h, sees: sees, c: make(chan Change, buffer), end: make(chan struct{})}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		close(l.end)
		l.once.Do(func() {})
		return l
	}
	h.listeners[l] = struct{}{}
	return l
}

// Changes are what is heard.
func (l *Listener) Changes() <-chan Change { return l.c }

// Done is closed when the hub ends.
func (l *Listener) Done() <-chan struct{} { return l.end }

// Close ends the listener.
func (l *Listener) Close() {
	l.hub.mu.Lock()
	defer l.hub.mu.Unlock()
	delete(l.hub.listeners, l)
	l.once.Do(func() { close(l.end) })
}

// Changed notes that something about a conversation was published. It does not block.
func (h *Hub) Changed(c dm.Conversation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || len(h.listeners) == 0 || h.pending[c] != nil {
		return
	}
	h.pending[c] = time.AfterFunc(settleSoon, func() { h.tell(c, true) })
}

func (h *Hub) tell(c dm.Conversation, again bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	if again {
		// From here on a change starts a round of its own; this one's end is only a second look.
		delete(h.pending, c)
		time.AfterFunc(settleLate, func() { h.tell(c, false) })
	}
	change := Change{Conversation: ConversationID(c), Account: c.Account, Customer: c.Customer}
	for l := range h.listeners {
		if l.sees(c.Account) {
			l.offer(change)
		}
	}
}

// Missed tells everybody that changes were lost.
func (h *Hub) Missed() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for l := range h.listeners {
		l.offer(Change{Missed: true})
	}
}

// offer gives a change, or, to a listener whose buffer is full, instead of all that waits there the news that it has missed
// some. The hub's lock is held: nobody else fills the buffer.
func (l *Listener) offer(c Change) {
	select {
	case l.c <- c:
		return
	default:
	}
	for {
		select {
		case <-l.c:
			continue
		default:
		}
		break
	}
	l.c <- Change{Missed: true}
}

// Close ends all listeners.
func (h *Hub) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for _, t := range h.pending {
		t.Stop()
	}
	for l := range h.listeners {
		delete(h.listeners, l)
		l.once.Do(func() { close(l.end) })
	}
}
