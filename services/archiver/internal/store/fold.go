package store

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/parley-dm/parley/pkg/dm"
	"github.com/parley-dm/parley/services/archiver/internal/record"
)

// midKey names a message as Meta does.
type midKey struct{ account, mid string }

// slot gathers all that is known of one message: from the batch, from the table, from changes that came before it.
type slot struct {
	message record.Message
	ids     []record.ID
	mids    []midKey
	// rows are those that exist, pending whether changes wait in message_changes.
	rows    []record.ID
	pending bool
}

// conversation is one that the batch touches or whose message it changes, and what the table says of it.
type conversation struct {
	record.Conversation
	id     record.ID
	readAt time.Time
}

// fold is the state of one transaction.
type fold struct {
	conversations map[dm.Conversation]*conversation
	// ofRow has the same by their row's id, and those of stored messages.
	ofRow  map[record.ID]*conversation
	byID   map[record.ID]*slot
	byMID  map[midKey]*slot
	events map[string]*record.Event
	// contacts has the latest of each customer.
	contacts map[dm.Conversation]*record.Contact
	// alone: no other writer is at work, so that changes of messages that are not there may be left for them.
	alone bool
	// early are those changes, where others are at work.
	early []record.Facts
	// keepsMedia: attachments are to be fetched; media are those that this transaction tells of.
	keepsMedia bool
	media      mediaColumns
}

func newFold(facts []record.Facts) *fold {
	f := &fold{
		conversations: make(map[dm.Conversation]*conversation, len(facts)), ofRow: make(map[record.ID]*conversation, len(facts)),
		byID: make(map[record.ID]*slot), byMID: make(map[midKey]*slot, len(facts)), events: map[string]*record.Event{},
		contacts: map[dm.Conversation]*record.Contact{},
	}
	for i := range facts {
		fact := &facts[i]
		if c := fact.Conversation; c != nil {
			if known, ok := f.conversations[c.Key]; ok {
				known.Merge(c)
			} else {
				f.conversations[c.Key] = &conversation{Conversation: *c}
			}
		}
		for n := range fact.Messages {
			f.add(&fact.Messages[n])
		}
		if c := fact.Contact; c != nil {
			f.addContact(c)
		}
		if e := fact.Event; e != nil {
			if known, ok := f.events[e.ID]; !ok || e.ReceivedAt.Before(known.ReceivedAt) {
				f.events[e.ID] = e
			}
		}
	}
	return f
}

// add merges a message into the slot that has one of its keys. A message that has keys of two slots makes them one: a
// delivery ties a message of ours to the mid that Meta gave it.
func (f *fold) add(m *record.Message) *slot {
	var s *slot
	key := midKey{m.Conversation.Account, m.MID}
	if m.MID != "" {
		s = f.byMID[key]
	}
	for _, id := range [2]record.ID{m.Outbound, m.ID} {
		if id != (record.ID{}) {
			s = f.join(s, f.byID[id])
		}
	}
	if s == nil {
		s = &slot{message: *m}
	} else {
		s.message.Merge(m)
	}
	if m.MID != "" && f.byMID[key] != s {
		f.byMID[key] = s
		s.mids = append(s.mids, key)
	}
	for _, id := range [2]record.ID{m.Outbound, m.ID} {
		if id != (record.ID{}) && f.byID[id] != s {
			f.byID[id] = s
			s.ids = append(s.ids, id)
		}
	}
	return s
}

func (f *fold) join(a, b *slot) *slot {
	switch {
	case a == nil || a == b:
		return b
	case b == nil:
		return a
	}
	a.message.Merge(&b.message)
	a.rows, a.pending = append(a.rows, b.rows...), a.pending || b.pending
	a.ids, a.mids = append(a.ids, b.ids...), append(a.mids, b.mids...)
	for _, id := range b.ids {
		f.byID[id] = a
	}
	for _, key := range b.mids {
		f.byMID[key] = a
	}
	return a
}

// sortedConversations is the order in which conversations are locked: the same for every writer, so that two that share
// some wait for each other instead of deadlocking.
func (f *fold) sortedConversations() []*conversation {
	return slices.SortedFunc(maps.Values(f.conversations), func(a, b *conversation) int {
		return cmp.Or(cmp.Compare(a.Key.Channel, b.Key.Channel), cmp.Compare(a.Key.Account, b.Key.Account), cmp.Compare(a.Key.Customer, b.Key.Customer))
	})
}

// slots lists every slot once.
func (f *fold) slots() []*slot {
	out := make([]*slot, 0, len(f.byMID)+len(f.byID))
	for key, s := range f.byMID {
		if s.mids[0] == key {
			out = append(out, s)
		}
	}
	for id, s := range f.byID {
		if len(s.mids) == 0 && s.ids[0] == id {
			out = append(out, s)
		}
	}
	return out
}
