package repository

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/parley-dm/parley/pkg/rules"
)

// MemoryRules keeps rules in memory, as [Rules] does in PostgreSQL.
type MemoryRules struct{ m *Memory }

// Active is [Rules.Active].
func (r *MemoryRules) Active(ctx context.Context) ([]rules.Rule, []rules.Problem, error) {
	all, err := r.List(ctx)
	if err != nil {
		return nil, nil, err
	}
	ready, broken := split(all)
	return ready, broken, nil
}

// List is [Rules.List].
func (r *MemoryRules) List(ctx context.Context) (all []Rule, err error) {
	err = r.m.locked(ctx, func() error {
		all = r.list()
		return nil
	})
	return all, err
}

func (r *MemoryRules) list() []Rule {
	out := make([]Rule, 0, len(r.m.rules))
	for _, rule := range r.m.rules {
		out = append(out, copyOf(rule))
	}
	slices.SortFunc(out, asked)
	return out
}

// Get is [Rules.Get].
func (r *MemoryRules) Get(ctx context.Context, id string) (rule Rule, err error) {
	err = r.m.locked(ctx, func() error {
		rule, err = r.get(id)
		return err
	})
	return rule, err
}

func (r *MemoryRules) get(id string) (Rule, error) {
	rule, ok := r.m.rules[id]
	if !ok {
		return Rule{}, missing(id)
	}
	return copyOf(rule), nil
}

// Create is [Rules.Create].
func (r *MemoryRules) Create(ctx context.Context, rule Rule, by string) (stored Rule, err error) {
	err = r.m.locked(ctx, func() error {
		stored, err = r.insert(rule, by)
		return err
	})
	return stored, err
}

// Update is [Rules.Update].
func (r *MemoryRules) Update(ctx context.Context, rule Rule, by string) (stored Rule, err error) {
	err = r.m.locked(ctx, func() error {
		stored, err = r.update(rule, nil, by)
		return err
	})
	return stored, err
}

// Delete is [Rules.Delete].
func (r *MemoryRules) Delete(ctx context.Context, id string, version int, by string) error {
	return r.m.locked(ctx, func() error {
		current, err := r.get(id)
		if err != nil {
			return err
		}
		if version != 0 && version != current.Version {
			return &ConflictError{Expected: version, Current: current}
		}
		r.remove(current, by)
		return nil
	})
}

// Reorder is [Rules.Reorder].
func (r *MemoryRules) Reorder(ctx context.Context, ids []string, by string) error {
	return r.m.locked(ctx, func() error {
		wanted, err := arrange(r.list(), ids)
		if err != nil {
			return err
		}
		changed, err := reorder(wanted)
		if err != nil {
			return err
		}
		for _, rule := range changed {
			if _, err := r.update(rule, nil, by); err != nil {
				return err
			}
		}
		return nil
	})
}

// History is [Rules.History].
func (r *MemoryRules) History(ctx context.Context, q HistoryQuery) (out []RuleVersion, err error) {
	err = r.m.locked(ctx, func() error {
		for id, versions := range r.m.versions {
			if q.RuleID == "" || q.RuleID == id {
				out = append(out, versions...)
			}
		}
		slices.SortFunc(out, newestFirst)
		if q.RuleID != "" { // the clock may stand still
			slices.SortFunc(out, func(a, b RuleVersion) int { return b.Version - a.Version })
		}
		if q.Before != nil {
			out = slices.DeleteFunc(out, func(v RuleVersion) bool {
				if q.RuleID != "" {
					return v.Version >= q.Before.Version
				}
				return newestFirst(*q.Before, v) >= 0
			})
		}
		out = out[:min(len(out), pageSize(q.Limit))]
		for i := range out {
			out[i].Rule = copyOf(out[i].Rule)
		}
		return nil
	})
	return out, err
}

// Restore is [Rules.Restore].
func (r *MemoryRules) Restore(ctx context.Context, id string, version int, by string) (restored Rule, err error) {
	err = r.m.locked(ctx, func() error {
		i := slices.IndexFunc(r.m.versions[id], func(v RuleVersion) bool { return v.Version == version })
		if i < 0 {
			return fmt.Errorf("version %d of rule %s: %w", version, id, ErrNotFound)
		}
		old := copyOf(r.m.versions[id][i].Rule)
		if now, ok := r.m.rules[id]; ok {
			old.Version = now.Version
			restored, err = r.update(old, &old.CreatedAt, by)
		} else {
			restored, err = r.insert(old, by)
		}
		return err
	})
	return restored, err
}

// Import is [Rules.Import].
func (r *MemoryRules) Import(ctx context.Context, i Import) (p Plan, err error) {
	err = r.m.locked(ctx, func() error {
		if p, err = i.plan(r.list(), r.m.time()); err != nil || i.DryRun {
			return err
		}
		// All that could fail was checked by the plan.
		for n := range p.Created {
			if p.Created[n], err = r.insert(p.Created[n], i.By); err != nil {
				return err
			}
		}
		for n := range p.Changed {
			if p.Changed[n], err = r.update(p.Changed[n], &p.Changed[n].CreatedAt, i.By); err != nil {
				return err
			}
		}
		for _, gone := range p.Removed {
			r.remove(gone, i.By)
		}
		return nil
	})
	return p, err
}

func (r *MemoryRules) insert(rule Rule, by string) (Rule, error) {
	if err := checkID(rule.ID); err != nil {
		return Rule{}, err
	}
	rule, err := stored(rule)
	if err != nil {
		return Rule{}, err
	}
	if rule.ID == "" {
		rule.ID = newID()
	}
	if _, ok := r.m.rules[rule.ID]; ok {
		return Rule{}, fmt.Errorf("rule %s: %w: there is one already", rule.ID, ErrConflict)
	}
	now := r.m.time()
	if rule.CreatedAt.IsZero() {
		rule.CreatedAt = now
	}
	rule.Version = 1
	if past := r.m.versions[rule.ID]; len(past) > 0 {
		rule.Version = past[len(past)-1].Version + 1
	}
	r.keep(rule, Created, now, by)
	return copyOf(r.m.rules[rule.ID]), nil
}

func (r *MemoryRules) update(rule Rule, created *time.Time, by string) (Rule, error) {
	rule, err := stored(rule)
	if err != nil {
		return Rule{}, err
	}
	current, err := r.get(rule.ID)
	switch {
	case err != nil:
		return Rule{}, err
	case current.Version != rule.Version:
		return Rule{}, &ConflictError{Expected: rule.Version, Current: current}
	}
	rule.CreatedAt = current.CreatedAt
	if created != nil {
		rule.CreatedAt = *created
	}
	if same(&current, &rule) {
		return current, nil
	}
	rule.Version++
	r.keep(rule, Updated, r.m.time(), by)
	return copyOf(r.m.rules[rule.ID]), nil
}

func (r *MemoryRules) keep(rule Rule, change Change, now time.Time, by string) {
	rule.UpdatedAt, rule.UpdatedBy = now, by
	r.m.rules[rule.ID] = rule
	r.m.versions[rule.ID] = append(r.m.versions[rule.ID], RuleVersion{RuleID: rule.ID, Version: rule.Version, Change: change, At: now, By: by, Rule: copyOf(rule)})
}

func (r *MemoryRules) remove(rule Rule, by string) {
	delete(r.m.rules, rule.ID)
	v := RuleVersion{RuleID: rule.ID, Version: rule.Version + 1, Change: Deleted, At: r.m.time(), By: by, Rule: rule}
	r.m.versions[rule.ID] = append(r.m.versions[rule.ID], v)
}

// stored is a rule as it would come back from a table.
func stored(rule Rule) (Rule, error) {
	if err := prepare(&rule); err != nil {
		return Rule{}, err
	}
	s, err := encodeSpec(&rule)
	if err != nil {
		return Rule{}, err
	}
	rule.Keywords, rule.When, rule.Then, rule.Limits = slices.Clone(rule.Keywords), rules.When{}, rules.Then{}, rules.Limits{}
	rule.Broken = decodeSpec(s, &rule.Rule)
	return rule, nil
}

// copyOf shares nothing with the rule.
func copyOf(rule Rule) Rule {
	out, err := stored(rule)
	if err != nil {
		return rule // it was stored, so it can be
	}
	return out
}
