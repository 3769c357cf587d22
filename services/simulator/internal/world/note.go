package world

import (
	"fmt"
	"strconv"
	"time"
)

// maxNotes bounds what is kept of a conversation beside its messages, maxComments the comments that may be replied to.
const (
	maxNotes    = 100
	maxComments = 10_000
)

// KindNote is something that happened beside the messages: a comment, a referral, another app taking the thread.
const KindNote Kind = "note"

// Note records something beside the messages of a conversation, for the phone to show. away says, where not nil, whether
// another app owns the thread from now on.
func (w *World) Note(k Key, text string, show bool, away *bool) (Message, error) {
	if _, err := w.Account(k.Account); err != nil {
		return Message{}, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.conversation(k)
	if c == nil {
		var err error
		if c, err = w.create(k); err != nil {
			return Message{}, err
		}
	}
	c.known = true
	if show {
		w.show(c)
	}
	if away != nil {
		c.away = *away
	}
	w.noted++
	m := Message{MID: "note-" + strconv.Itoa(w.noted), Key: k, Kind: KindNote, Text: text, At: w.opts.Now(), LatencyMS: -1, Quiet: true}
	if c.notes = append(c.notes, m); len(c.notes) > maxNotes {
		c.notes = append(c.notes[:0:0], c.notes[len(c.notes)-maxNotes:]...)
	}
	w.tell(c, Update{Type: UpdateMessage, Message: &m})
	return m, nil
}

// Comment is a customer's comment on a post or a live video, to which one private reply may be sent.
type Comment struct {
	ID string
	Key
	At   time.Time
	Live bool
	// Replied: it has had its private reply.
	Replied bool
}

// Comment records a comment.
func (w *World) Comment(c Comment) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.comments[c.ID] = &c
	if w.commentOrder = append(w.commentOrder, c.ID); len(w.commentOrder) > maxComments {
		delete(w.comments, w.commentOrder[0])
		w.commentOrder = w.commentOrder[1:]
	}
}

// FindComment looks a comment of an account up.
func (w *World) FindComment(account, id string) (Comment, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c, ok := w.comments[id]
	if !ok || c.Account != account {
		return Comment{}, false
	}
	return *c, true
}

// TakeComment uses a comment's one private reply up.
func (w *World) TakeComment(account, id string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	c, ok := w.comments[id]
	if !ok || c.Account != account || c.Replied {
		return fmt.Errorf("comment %q: %w", id, ErrUnknown)
	}
	c.Replied = true
	return nil
}
