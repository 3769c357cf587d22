package world

import "fmt"

// Change is something done to a message after it was sent.
type Change struct {
	// Delete unsends it; Text, where not nil, is its new text; Reaction, where not nil, the emoji on it, "" for none.
	Delete   bool
	Text     *string
	Reaction *string
}

// Change changes a message of a conversation and returns it as it is then.
func (w *World) Change(k Key, mid string, change Change) (Message, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c, m := w.find(mid)
	if m == nil || c.key != k {
		return Message{}, fmt.Errorf("message of customer %q: %w", k.Customer, ErrUnknown)
	}
	if change.Delete {
		m.Deleted, m.Text, m.Content = true, "", nil
	}
	if change.Text != nil && !m.Deleted {
		m.Text = *change.Text
		m.Edits++
	}
	if change.Reaction != nil {
		m.Reaction = *change.Reaction
	}
	copied := *m
	w.tell(c, Update{Type: UpdateDelivery, Message: &copied})
	return copied, nil
}
