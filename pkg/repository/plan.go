package repository

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Import is a set of rules that is to be stored as one. A rule of it takes the place of the stored one with its id, else of
// the stored one with its name. Among rules of one priority the order of the set counts.
type Import struct {
	Rules []Rule
	// Replace removes the stored rules that the set does not have.
	Replace bool
	// DryRun only plans.
	DryRun bool
	// By is who imports.
	By string
}

// Plan is what an import does, or did. Each rule is as it is afterwards, but for those that are removed.
type Plan struct {
	Created, Changed, Unchanged, Removed []Rule
	// Kept are those that the set does not have and that stay all the same.
	Kept []Rule
}

// plan compares a set with the stored rules. Of several stored rules with one name the first that is asked is replaced; the
// others are as if the set did not have them.
func (i *Import) plan(stored []Rule, now time.Time) (Plan, error) {
	var p Plan
	if err := i.check(); err != nil {
		return p, err
	}
	ordered := slices.SortedFunc(slices.Values(stored), asked)
	replaced := i.match(ordered)
	places := placing{now: now, newest: map[rank]time.Time{}}
	taken := make(map[string]bool, len(i.Rules))
	for n, r := range i.Rules {
		_ = prepare(&r) // checked above
		old := replaced[n]
		if old == nil {
			r.CreatedAt = places.next(&r, time.Time{})
			p.Created = append(p.Created, r)
			continue
		}
		taken[old.ID] = true
		r.ID, r.Version, r.CreatedAt = old.ID, old.Version, places.next(&r, old.CreatedAt)
		if same(old, &r) {
			p.Unchanged = append(p.Unchanged, *old)
		} else {
			p.Changed = append(p.Changed, r)
		}
	}
	for _, r := range ordered {
		switch {
		case taken[r.ID]:
		case i.Replace:
			p.Removed = append(p.Removed, r)
		default:
			p.Kept = append(p.Kept, r)
		}
	}
	return p, nil
}

// check finds what cannot be stored.
func (i *Import) check() error {
	names, ids := make(map[string]bool, len(i.Rules)), make(map[string]bool, len(i.Rules))
	for _, r := range i.Rules {
		if err := prepare(&r); err != nil {
			return err
		}
		if _, err := encodeSpec(&r); err != nil {
			return err
		}
		if err := checkID(r.ID); err != nil {
			return err
		}
		if names[r.Name] {
			return invalid("name", "got %q twice, expected each once", r.Name)
		}
		if r.ID != "" && ids[r.ID] {
			return invalid("id", "got %q twice, expected each once", r.ID)
		}
		names[r.Name], ids[r.ID] = true, true
	}
	return nil
}

// match finds for each rule of the set the stored one that it replaces: by its id first, so that a rule can be renamed.
func (i *Import) match(ordered []Rule) []*Rule {
	out := make([]*Rule, len(i.Rules))
	byID, byName := make(map[string]*Rule, len(ordered)), make(map[string]*Rule, len(ordered))
	for n := range slices.Backward(ordered) {
		byID[ordered[n].ID], byName[ordered[n].Name] = &ordered[n], &ordered[n]
	}
	taken := map[string]bool{}
	for n, r := range i.Rules {
		if old := byID[r.ID]; old != nil {
			out[n], taken[old.ID] = old, true
		}
	}
	for n, r := range i.Rules {
		if old := byName[r.Name]; out[n] == nil && old != nil && !taken[old.ID] {
			out[n], taken[old.ID] = old, true
		}
	}
	return out
}

// rank is what is asked before the age of rules.
type rank struct {
	priority  int
	otherwise bool
}

// placing gives rules of one rank times of creation that rise as they stand in the set: among equals the oldest is asked
// first. A rule that has one that will do keeps it.
type placing struct {
	now    time.Time
	newest map[rank]time.Time
}

func (p *placing) next(r *Rule, at time.Time) time.Time {
	if at.IsZero() {
		at = p.now
	}
	k := rank{r.Priority, r.When.Otherwise}
	if last, ok := p.newest[k]; ok && !at.After(last) {
		at = last.Add(time.Microsecond)
	}
	p.newest[k] = at
	return at
}

// reorder gives rules, in the order in which they are to be asked, priorities that make it so, and returns the few whose
// priority changes. Rules are asked by priority first, so each gets one of its own.
func reorder(wanted []Rule) ([]Rule, error) {
	up := climb(wanted)
	down := descend(wanted)
	if len(down) < len(up) {
		up = down
	}
	for _, r := range up {
		if r.Priority > math.MaxInt32 || r.Priority < math.MinInt32 {
			return nil, invalid("priority", "got %d, expected at most %d", r.Priority, math.MaxInt32)
		}
	}
	return up, nil
}

// climb keeps the last rules and raises what stands above them.
func climb(wanted []Rule) []Rule {
	var changed []Rule
	floor := math.MinInt
	for _, r := range slices.Backward(wanted) {
		if r.Priority <= floor {
			r.Priority = floor + 1
			changed = append(changed, r)
		}
		floor = r.Priority
	}
	return changed
}

// descend keeps the first rules and lowers what stands below them.
func descend(wanted []Rule) []Rule {
	var changed []Rule
	ceiling := math.MaxInt
	for _, r := range wanted {
		if r.Priority >= ceiling {
			r.Priority = ceiling - 1
			changed = append(changed, r)
		}
		ceiling = r.Priority
	}
	return changed
}

// arrange puts the stored rules into an order of ids, which must name each of them once.
func arrange(stored []Rule, ids []string) ([]Rule, error) {
	byID := make(map[string]Rule, len(stored))
	for _, r := range stored {
		byID[r.ID] = r
	}
	out := make([]Rule, 0, len(ids))
	for _, id := range ids {
		r, ok := byID[id]
		if !ok {
			return nil, missing(id)
		}
		delete(byID, id)
		out = append(out, r)
	}
	if len(byID) > 0 {
		return nil, stale(len(ids), len(stored))
	}
	return out, nil
}

// newestFirst is the order of a history.
func newestFirst(a, b RuleVersion) int {
	return cmp.Or(b.At.Compare(a.At), cmp.Compare(b.RuleID, a.RuleID), cmp.Compare(b.Version, a.Version))
}
