package respond

import (
	"container/list"
	"slices"
	"sync"
	"time"

	"github.com/parley-dm/parley/pkg/dm"
)

const (
	paceWindow = time.Minute
	// A conversation without an event for paceIdle is forgotten, and beyond paceConversations the one that was quiet for longest.
	// The fastest loops are the busiest conversations, so they are never the ones that are forgotten.
	paceIdle          = 2 * paceWindow
	paceConversations = 50_000
)

// pace bounds the automatic replies to one customer: two bots that talk to each other must not do it for ever.
//
// It counts events that ask for a reply in a sliding minute of the customer's own time, answered or not, so that a
// conversation that was held stays so until it has calmed down; for how long beyond that is the holds' business. Counting by the customer's time and not by the clock lets
// messages that waited for an hour, here or at Meta, be answered when they come all at once. The same event counts
// once, however often it is delivered, and gets the same answer. The counts live in the memory of the partition's owner: a new
// owner begins anew, which costs one more minute's replies at worst.
type pace struct {
	max int
	now func() time.Time

	mu            sync.Mutex
	conversations map[dm.Conversation]*list.Element
	recent        *list.List // of *turns, the most recently touched first
}

// turns is what is remembered of one conversation.
type turns struct {
	conversation dm.Conversation
	touched      time.Time
	events       []taken
}

// taken is an event that asked for a reply.
type taken struct {
	id   string
	at   time.Time
	held bool
}

func newPace(maximum int, now func() time.Time) *pace {
	return &pace{max: maximum, now: now, conversations: map[dm.Conversation]*list.Element{}, recent: list.New()}
}

// take asks for one reply to an event of a conversation at the customer's time, and says whether it is one too many.
func (p *pace) take(c dm.Conversation, event string, at time.Time) (held bool) {
	if p.max <= 0 {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.turns(c)
	for _, e := range t.events {
		if e.id == event {
			return e.held
		}
	}
	t.events = slices.DeleteFunc(t.events, func(e taken) bool { return at.Sub(e.at).Abs() >= paceWindow })
	held = len(t.events) >= p.max
	if surplus := len(t.events) - 2*p.max + 1; surplus > 0 {
		t.events = slices.Delete(t.events, 0, surplus)
	}
	t.events = append(t.events, taken{id: event, at: at, held: held})
	return held
}

// turns finds or begins what is remembered of a conversation, and forgets others whose time is over.
func (p *pace) turns(c dm.Conversation) *turns {
	now := p.now()
	if el, ok := p.conversations[c]; ok {
		p.recent.MoveToFront(el)
		t := of(el)
		t.touched = now
		return t
	}
	for el := p.recent.Back(); el != nil; el = p.recent.Back() {
		oldest := of(el)
		if p.recent.Len() < paceConversations && now.Sub(oldest.touched) < paceIdle {
			break
		}
		p.recent.Remove(el)
		delete(p.conversations, oldest.conversation)
	}
	t := &turns{conversation: c, touched: now}
	p.conversations[c] = p.recent.PushFront(t)
	return t
}

// of is an element's value; the list holds nothing else.
func of(el *list.Element) *turns {
	t, _ := el.Value.(*turns)
	return t
}
