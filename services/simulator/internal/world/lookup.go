package world

import (
	"slices"
	"time"
)

// Standing is what the messaging policy asks of a conversation.
type Standing struct {
	// Known: the simulator made or met this customer as one who writes. Of others, first met as the recipient of a reply,
	// it cannot know when they last wrote.
	Known     bool
	LastWrote time.Time
	// Away: another app owns the thread.
	Away bool
}

// Standing looks a customer up.
func (w *World) Standing(k Key) Standing {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.conversation(k)
	if c == nil {
		return Standing{}
	}
	return Standing{Known: c.known, LastWrote: c.lastWrote, Away: c.away}
}

// Message looks a message of an account up. rank counts from the newest of its conversation, 0 being that.
func (w *World) Message(account, mid string) (m Message, rank int, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c, found := w.find(mid)
	if found == nil || c.key.Account != account {
		return Message{}, 0, false
	}
	_, _, seq, _ := decodeMID(mid)
	return *found, c.base + len(c.log) - 1 - seq, true
}

// Profile is what Meta tells about a customer.
type Profile struct {
	Name, Username string
}

// Profile looks a customer up.
func (w *World) Profile(k Key) (Profile, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.conversation(k)
	if c == nil {
		return Profile{}, false
	}
	return Profile{Name: c.name, Username: usernameOf(c.name, k.Customer)}, true
}

// History is a conversation's record, oldest first.
type History struct {
	Key
	Name     string    `json:"name"`
	Judged   bool      `json:"-"`
	Messages []Message `json:"messages"`
}

// Last is the time of the newest message.
func (h History) Last() time.Time {
	if len(h.Messages) == 0 {
		return time.Time{}
	}
	return h.Messages[len(h.Messages)-1].At
}

// History reads one conversation's record.
func (w *World) History(k Key) (History, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.conversation(k)
	if c == nil {
		return History{}, false
	}
	return c.history(), true
}

func (c *conversation) history() History {
	return History{Key: c.key, Name: c.name, Judged: c.judged, Messages: append([]Message{}, c.log...)}
}

// Recent lists conversations of an account, or the one of a customer, the latest first. more says that there are others
// beyond the page.
func (w *World) Recent(account, customer string, skip, limit int) (page []History, more bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if customer != "" {
		if c := w.conversation(Key{Account: account, Customer: customer}); c != nil && len(c.log) > 0 && skip == 0 {
			return []History{c.history()}, false
		}
		return nil, false
	}
	var all []*conversation
	for k, c := range w.conversations {
		if k.Account == account && len(c.log) > 0 {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b *conversation) int {
		if n := b.log[len(b.log)-1].At.Compare(a.log[len(a.log)-1].At); n != 0 {
			return n
		}
		return compare(a.key.Customer, b.key.Customer)
	})
	for _, c := range all[min(skip, len(all)):min(skip+limit, len(all))] {
		page = append(page, c.history())
	}
	return page, len(all) > skip+limit
}

// Keys lists the conversations of an account, or of all with an empty one, in a stable order.
func (w *World) Keys(account string) []Key {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make([]Key, 0, len(w.conversations))
	for k := range w.conversations {
		if account == "" || k.Account == account {
			out = append(out, k)
		}
	}
	slices.SortFunc(out, func(a, b Key) int {
		if a.Account != b.Account {
			return compare(a.Account, b.Account)
		}
		return compare(a.Customer, b.Customer)
	})
	return out
}

func compare(a, b string) int {
	switch {
	case len(a) != len(b): // ids are numbers without leading zeros
		return len(a) - len(b)
	case a < b:
		return -1
	case a > b:
		return 1
	default:
		return 0
	}
}
