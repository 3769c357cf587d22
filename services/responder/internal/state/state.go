// Package state is what deciding has to remember of a conversation: what rules did there and when, its labels, the last fallback,
// when the customer was told that a bot answers.
//
// It is kept in a bucket, one JSON value for each conversation, and in the memory of the partition's owner, who alone writes it.
// Nothing is kept of conversations of which nothing has to be remembered, which are nearly all of them.
//
// An event changes it once, however often it comes: the latest changes are kept in a journal by the event that they come from, and a
// decision sees what was known before its event. So an event that comes again, to this owner or the next, is decided as it was.
package state

import (
	"maps"
	"slices"
	"time"

	"github.com/parley-dm/parley/pkg/rules"
)

const (
	version = 1
	// maxJournal is how many events can come again in any order and still be decided as they were: more than a conversation has
	// unacknowledged. Older ones are folded into the rest.
	maxJournal = 16
	// missedWithin is how long after one message without an answer the next counts as in a row with it.
	missedWithin = 24 * time.Hour
	// maxRules and maxLabels bound what is remembered; the rules that were silent for longest and the labels that changed first go.
	maxRules, maxLabels = 128, 64
)

// Record is what is remembered of one conversation. It is never changed: a change makes another one.
type Record struct {
	Version      int    `json:"version"`
	Conversation string `json:"conversation"`
	Known
	Journal []Entry `json:"journal,omitempty"`

	revision uint64 // of the bucket's value; 0: there is none
}

// Known is what the events say together that are not in the journal any more.
type Known struct {
	// FirstContact is when the customer first wrote, as far as somebody had to know; LastContact when last.
	FirstContact time.Time `json:"first_contact,omitzero"`
	LastContact  time.Time `json:"last_contact,omitzero"`
	// LastReply and LastFallback are when they were decided, Disclosed when the customer was last told that a bot answers.
	LastReply    time.Time `json:"last_reply,omitzero"`
	LastFallback time.Time `json:"last_fallback,omitzero"`
	Disclosed    time.Time `json:"disclosed,omitzero"`
	// Missed counts the messages in a row that nobody but the fallback had an answer to; LastMissed is when the last was decided.
	Missed     int       `json:"missed,omitempty"`
	LastMissed time.Time `json:"last_missed,omitzero"`
	// Person is when a person last had the conversation.
	Person time.Time `json:"person,omitzero"`
	// Language is that of the last message whose language somebody asked for.
	Language string           `json:"language,omitempty"`
	Rules    map[string]Past  `json:"rules,omitempty"`
	Labels   map[string]Label `json:"labels,omitempty"`
}

// Past is what one rule did.
type Past struct {
	Last  time.Time `json:"last"`
	Times int       `json:"times"`
}

// Label is the last change of one label.
type Label struct {
	At  time.Time `json:"at"`
	Off bool      `json:"off,omitempty"`
}

// Entry is what one event changed.
type Entry struct {
	// Event is the event's id, At when it was decided.
	Event string    `json:"event"`
	At    time.Time `json:"at"`
	// Contact: the customer wrote, then. Known and Answered: the archive knew of earlier messages and of earlier replies.
	Contact  time.Time `json:"contact,omitzero"`
	Known    bool      `json:"known,omitempty"`
	Answered bool      `json:"answered,omitempty"`
	// Rule is the one that answered. Replied: something was said; Fallback: that was it; Disclosed: also that a bot says it.
	Rule      string `json:"rule,omitempty"`
	Replied   bool   `json:"replied,omitempty"`
	Fallback  bool   `json:"fallback,omitempty"`
	Disclosed bool   `json:"disclosed,omitempty"`
	Language  string `json:"language,omitempty"`
	// Missed: nobody but the fallback had an answer, where somebody counts that. Met ends the row of those.
	Missed bool `json:"missed,omitempty"`
	Met    bool `json:"met,omitempty"`
	// Person: a person took the conversation.
	Person bool `json:"person,omitempty"`
	// Added and Removed are labels.
	Added   []string `json:"added,omitempty"`
	Removed []string `json:"removed,omitempty"`
	// Burst is when the messages began of which this one is not the last: it is answered with the next.
	Burst time.Time `json:"burst,omitzero"`
	// Last: it was the last of such messages, and was answered for all.
	Last bool `json:"last,omitempty"`
}

// Empty says whether an entry changes nothing.
func (e *Entry) Empty() bool {
	return e.Contact.IsZero() && !e.Known && !e.Answered && e.Rule == "" && !e.Replied && !e.Fallback && !e.Disclosed && e.Language == "" &&
		!e.Missed && !e.Met && !e.Person && len(e.Added)+len(e.Removed) == 0 && e.Burst.IsZero() && !e.Last
}

// Entry is what an event has changed already.
func (r *Record) Entry(event string) (Entry, bool) {
	i := r.index(event)
	if i < 0 {
		return Entry{}, false
	}
	return r.Journal[i], true
}

func (r *Record) index(event string) int {
	return slices.IndexFunc(r.Journal, func(e Entry) bool { return e.Event == event })
}

// Before is what was known before an event; all that is known if it has changed nothing yet.
func (r *Record) Before(event string) View {
	if i := r.index(event); i >= 0 {
		return View{known: &r.Known, journal: r.Journal[:i]}
	}
	return View{known: &r.Known, journal: r.Journal}
}

// with adds an entry, unless its event has one.
func (r *Record) with(e Entry) *Record {
	if r.index(e.Event) >= 0 {
		return r
	}
	out := *r
	out.Version = version
	out.Journal = append(slices.Clone(r.Journal), e)
	if surplus := len(out.Journal) - maxJournal; surplus > 0 {
		out.Known = r.fold(out.Journal[:surplus])
		out.Journal = out.Journal[surplus:]
	}
	return &out
}

// fold adds entries to what is known.
func (r *Record) fold(entries []Entry) Known {
	out := r.Known
	out.Rules, out.Labels = maps.Clone(r.Rules), maps.Clone(r.Labels)
	if out.Rules == nil {
		out.Rules = map[string]Past{}
	}
	if out.Labels == nil {
		out.Labels = map[string]Label{}
	}
	for i := range entries {
		out.take(&entries[i])
	}
	trim(out.Rules, maxRules, func(p Past) time.Time { return p.Last })
	trim(out.Labels, maxLabels, func(l Label) time.Time { return l.At })
	return out
}

func (k *Known) take(e *Entry) {
	if !e.Contact.IsZero() {
		if k.FirstContact.IsZero() {
			k.FirstContact = e.Contact
		}
		k.LastContact = e.Contact
	}
	for _, set := range []struct {
		on bool
		at *time.Time
	}{{e.Replied || e.Answered, &k.LastReply}, {e.Fallback, &k.LastFallback}, {e.Disclosed, &k.Disclosed}, {e.Person, &k.Person}} {
		if set.on && e.At.After(*set.at) {
			*set.at = e.At
		}
	}
	switch {
	case e.Met:
		k.Missed = 0
	case e.Missed && e.At.Sub(k.LastMissed) > missedWithin:
		k.Missed, k.LastMissed = 1, e.At
	case e.Missed:
		k.Missed, k.LastMissed = k.Missed+1, e.At
	}
	if e.Language != "" {
		k.Language = e.Language
	}
	if e.Rule != "" {
		k.Rules[e.Rule] = Past{Last: e.At, Times: k.Rules[e.Rule].Times + 1}
	}
	label(k.Labels, e)
}

// label applies an entry's labels; the newest change of each counts.
func label(all map[string]Label, e *Entry) {
	for _, names := range []struct {
		names []string
		off   bool
	}{{e.Removed, true}, {e.Added, false}} {
		for _, name := range names.names {
			if old, ok := all[name]; !ok || !e.At.Before(old.At) {
				all[name] = Label{At: e.At, Off: names.off}
			}
		}
	}
}

// trim leaves the newest.
func trim[T any](all map[string]T, most int, at func(T) time.Time) {
	if len(all) <= most {
		return
	}
	names := slices.SortedFunc(maps.Keys(all), func(a, b string) int { return at(all[a]).Compare(at(all[b])) })
	for _, name := range names[:len(names)-most] {
		delete(all, name)
	}
}

// View is what was known before an event. Its zero value is a conversation of which nothing is known.
type View struct {
	known   *Known
	journal []Entry
}

// Rule says what a rule did in the conversation.
func (v View) Rule(id string) rules.Past {
	var out rules.Past
	if v.known != nil {
		p := v.known.Rules[id]
		out = rules.Past{Last: p.Last, Times: p.Times}
	}
	for i := range v.journal {
		if v.journal[i].Rule == id {
			out = rules.Past{Last: v.journal[i].At, Times: out.Times + 1}
		}
	}
	return out
}

// Labels are those that the conversation has, in order.
func (v View) Labels() []string {
	all := map[string]Label{}
	if v.known != nil {
		maps.Copy(all, v.known.Labels)
	}
	for i := range v.journal {
		label(all, &v.journal[i])
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !all[name].Off {
			out = append(out, name)
		}
	}
	return out
}

// Facts are what is known but for rules and labels.
func (v View) Facts() Known {
	var k Known
	if v.known != nil {
		k = *v.known
	}
	k.Rules, k.Labels = nil, nil
	for i := range v.journal {
		e := v.journal[i]
		e.Rule, e.Added, e.Removed = "", nil, nil
		k.take(&e)
	}
	return k
}

// MissedBefore is how many messages in a row, up to a time, nobody but the fallback had an answer to.
func (v View) MissedBefore(at time.Time) int {
	k := v.Facts()
	if at.Sub(k.LastMissed) > missedWithin {
		return 0
	}
	return k.Missed
}

// Contacted says whether it is known that the customer wrote before, or that the archive knew nothing of it.
func (v View) Contacted() bool { return !v.Facts().FirstContact.IsZero() }

// Answered says whether there was a reply before.
func (v View) Answered() bool { return !v.Facts().LastReply.IsZero() }

// Burst is when the messages began that are answered with the next one; zero if there are none.
func (v View) Burst() time.Time {
	for i := len(v.journal) - 1; i >= 0; i-- {
		if e := &v.journal[i]; e.Last || !e.Burst.IsZero() {
			return e.Burst
		}
	}
	return time.Time{}
}
