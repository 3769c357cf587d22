package holds

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/parley-dm/parley/pkg/dm"
)

// version is that of the records that this code writes. Members may be added to a version; a newer one is not read.
const version = 1

// Record is what the bucket has of one conversation. A person and another app hold it independently of each other: that an
// app passes the thread back does not take the conversation from a person. Of each the last change is kept, also once it is
// over: what comes late, and is older, must not undo it.
type Record struct {
	Version      int      `json:"version"`
	Conversation string   `json:"conversation"`
	Person       *dm.Hold `json:"person,omitempty"`
	App          *dm.Hold `json:"app,omitempty"`
}

// At is who else than the bot has the conversation at a time.
func (r Record) At(at time.Time) (dm.Hold, bool) {
	for _, h := range [...]*dm.Hold{r.App, r.Person} {
		if h != nil && h.Holds(at) {
			return *h, true
		}
	}
	return dm.Hold{}, false
}

// lasting is the part of a hold's time by which another one must outlast it to be worth a change: a person who writes on
// does not write the record each time.
const lasting = 100

// verdict is what became of a change.
type verdict int

const (
	idle    verdict = iota // it changes nothing
	again                  // it is what the record says already
	changed                // the record is another one
)

// with is the record after a change. It is pure. What an operator says always holds; what happened by itself never
// shortens a hold, nor changes what is newer.
func (r Record) with(h dm.Hold) (Record, verdict) {
	switch {
	case h.Holder != dm.HolderBot:
		slot := r.Person
		if h.Holder == dm.HolderApp {
			slot = r.App
		}
		v := compare(slot, h)
		if v == changed {
			r = r.set(h.Holder, h)
		}
		return r, v
	case h.Reason == dm.HoldOperator:
		v := idle
		for holder, slot := range r.slots() {
			if slot != nil && slot.Holder != dm.HolderBot {
				r, v = r.set(holder, h), changed
			} else if slot != nil && slot.Cause == h.Cause && h.Cause != "" {
				v = max(v, again)
			}
		}
		return r, v
	case h.Reason == dm.HoldOurs:
		return r.giveBack(dm.HolderPerson, r.Person, h, r.Person != nil && r.Person.MID == h.MID && h.MID != "")
	default:
		return r.giveBack(dm.HolderApp, r.App, h, r.App != nil && !h.At.Before(r.App.At))
	}
}

// giveBack ends one holder's hold, if it is the one that is meant.
func (r Record) giveBack(holder dm.Holder, slot *dm.Hold, h dm.Hold, meant bool) (Record, verdict) {
	switch {
	case slot != nil && slot.Holder == dm.HolderBot && slot.Cause == h.Cause && slot.Reason == h.Reason:
		return r, again
	case slot == nil || slot.Holder == dm.HolderBot || !meant:
		return r, idle
	default:
		return r.set(holder, h), changed
	}
}

// compare says what a hold makes of the one that is there.
func compare(slot *dm.Hold, h dm.Hold) verdict {
	switch {
	case slot == nil:
		return changed
	case slot.Cause == h.Cause && h.Cause != "":
		return again
	case h.Reason == dm.HoldOperator:
		return changed
	case slot.Holder == dm.HolderBot && slot.Reason == dm.HoldOurs:
		return changed // it was never held: what is older than our mistake may hold it
	case slot.Holder == dm.HolderBot:
		return only(h.At.After(slot.At))
	case slot.Until.IsZero():
		return idle
	case h.Until.IsZero():
		return changed
	default:
		return only(h.Until.Sub(slot.Until) > h.Until.Sub(h.At)/lasting)
	}
}

func only(is bool) verdict {
	if is {
		return changed
	}
	return idle
}

func (r Record) set(holder dm.Holder, h dm.Hold) Record {
	if holder == dm.HolderApp {
		r.App = &h
	} else {
		r.Person = &h
	}
	return r
}

func (r Record) slots() map[dm.Holder]*dm.Hold {
	return map[dm.Holder]*dm.Hold{dm.HolderPerson: r.Person, dm.HolderApp: r.App}
}

// How long a record is kept when nothing holds the conversation any more: a reply that waited through its messaging window
// is still measured by it, and a webhook that Meta delivers again for 36 hours finds that it was dealt with.
const (
	keepEnded = 24 * time.Hour
	keepGiven = 48 * time.Hour
)

// ttl is how long the record is to be kept from now on; 0 is for ever.
func (r Record) ttl(now time.Time) time.Duration {
	keep := time.Minute // the server takes no less than a second
	for _, h := range [...]*dm.Hold{r.Person, r.App} {
		switch {
		case h == nil:
		case h.Holder == dm.HolderBot:
			keep = max(keep, h.At.Add(keepGiven).Sub(now))
		case h.Until.IsZero():
			return 0
		default:
			keep = max(keep, h.Until.Add(keepEnded).Sub(now))
		}
	}
	return keep.Truncate(time.Second)
}

// errNewer is a record that another version wrote.
var errNewer = errors.New("it was written by a newer version of Parley")

func decode(key string, value []byte) (Record, error) {
	var r Record
	if err := json.Unmarshal(value, &r); err != nil {
		return r, fmt.Errorf("record %s: %w", key, err)
	}
	if r.Version > version {
		return r, fmt.Errorf("record %s: version %d, expected %d: %w", key, r.Version, version, errNewer)
	}
	return r, nil
}
