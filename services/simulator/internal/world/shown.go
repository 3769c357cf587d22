package world

import (
	"fmt"
	"slices"
	"time"
)

// maxShown bounds the conversations on the phone page, maxShownMessages what is drawn of each.
const (
	maxShown         = 24
	maxShownMessages = 200
)

// Thread is a conversation as the phone page shows it.
type Thread struct {
	Key
	Name     string    `json:"name"`
	Messages []Message `json:"messages"`
	Typing   bool      `json:"typing"`
	SeenAt   time.Time `json:"seen_at,omitzero"`
}

// tell publishes an update about a conversation that is shown. Those that load makes are not: a page could not keep up,
// and nobody could read them.
func (w *World) tell(c *conversation, u Update) {
	if !c.shown {
		return
	}
	u.Key = &Key{Account: c.key.Account, Customer: c.key.Customer}
	w.feed.publish(u)
}

func (w *World) show(c *conversation) {
	if c.shown || len(w.shown) >= maxShown {
		return
	}
	c.shown = true
	w.shown = append(w.shown, c.key)
	w.tell(c, Update{Type: UpdateCustomer, Name: c.name})
}

// Open makes a customer known and shows its phone.
func (w *World) Open(k Key, name string) (Thread, error) {
	if _, err := w.Account(k.Account); err != nil {
		return Thread{}, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.conversation(k)
	if c == nil {
		var err error
		if c, err = w.create(k); err != nil {
			return Thread{}, err
		}
	}
	if !c.shown && len(w.shown) >= maxShown {
		return Thread{}, fmt.Errorf("%d phones are open, the most there can be: close one first", maxShown)
	}
	if name != "" {
		c.name = name
	}
	c.known = true
	w.show(c)
	return c.thread(), nil
}

// Hide puts a phone away; the conversation goes on.
func (w *World) Hide(k Key) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.conversation(k)
	if c == nil || !c.shown {
		return fmt.Errorf("customer %q: %w", k.Customer, ErrUnknown)
	}
	w.tell(c, Update{Type: UpdateClosed})
	c.shown = false
	w.shown = slices.DeleteFunc(w.shown, func(s Key) bool { return s == k })
	return nil
}

// Shown lists the phones that are open, in the order they were opened.
func (w *World) Shown() []Thread {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make([]Thread, 0, len(w.shown))
	for _, k := range w.shown {
		out = append(out, w.conversations[k].thread())
	}
	return out
}

func (c *conversation) thread() Thread {
	newest := c.log[max(0, len(c.log)-maxShownMessages):]
	// An empty list is told as such and not as null. The page puts notes in their place by their time.
	messages := append(append([]Message{}, newest...), c.notes...)
	return Thread{Key: c.key, Name: c.name, Messages: messages, Typing: c.typing, SeenAt: c.seenAt}
}

// Typing shows or hides that the account is typing.
func (w *World) Typing(k Key, on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c := w.conversation(k); c != nil {
		c.typing = on
		w.tell(c, Update{Type: UpdateTyping, On: on})
	}
}

// Seen marks the customer's messages as read by the account.
func (w *World) Seen(k Key) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c := w.conversation(k); c != nil {
		c.seenAt = w.opts.Now()
		w.tell(c, Update{Type: UpdateSeen})
	}
}
