package repository

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/parley-dm/parley/pkg/rules"
)

// RuleRepository is all that can be done with rules. Who uses rules needs a few of its methods and declares those.
type RuleRepository interface {
	Active(ctx context.Context) ([]rules.Rule, []rules.Problem, error)
	List(ctx context.Context) ([]Rule, error)
	Get(ctx context.Context, id string) (Rule, error)
	Create(ctx context.Context, rule Rule, by string) (Rule, error)
	Update(ctx context.Context, rule Rule, by string) (Rule, error)
	Delete(ctx context.Context, id string, version int, by string) error
	Reorder(ctx context.Context, ids []string, by string) error
	History(ctx context.Context, q HistoryQuery) ([]RuleVersion, error)
	Restore(ctx context.Context, id string, version int, by string) (Rule, error)
	Import(ctx context.Context, i Import) (Plan, error)
}

// Cache is a repository of rules that remembers the active ones for a time: whoever asks for them sees no difference, but
// what another program changes is seen when the time is over or [Cache.Forget] was called. What is changed through it is
// seen at once. Everything else goes through to the repository that it stands before.
type Cache struct {
	RuleRepository
	keep time.Duration
	now  func() time.Time

	mu     sync.Mutex
	ready  []rules.Rule
	broken []rules.Problem
	until  time.Time
	// forgotten counts the times that what was read before became old, so that a reading that began before a change does
	// not outlive it.
	forgotten int
}

// NewCache stands before a repository and remembers what it read for a time. now is its clock.
func NewCache(inner RuleRepository, keep time.Duration, now func() time.Time) *Cache {
	return &Cache{RuleRepository: inner, keep: keep, now: now}
}

// Active is the repository's, at most so old as the cache keeps it. An error is not remembered.
func (c *Cache) Active(ctx context.Context) ([]rules.Rule, []rules.Problem, error) {
	c.mu.Lock()
	if c.now().Before(c.until) {
		defer c.mu.Unlock()
		return slices.Clone(c.ready), slices.Clone(c.broken), nil
	}
	began := c.forgotten
	c.mu.Unlock()
	ready, broken, err := c.RuleRepository.Active(ctx)
	if err != nil {
		return nil, nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.forgotten == began {
		c.ready, c.broken, c.until = slices.Clone(ready), slices.Clone(broken), c.now().Add(c.keep)
	}
	return ready, broken, nil
}

// Forget has the rules read anew the next time that somebody asks.
func (c *Cache) Forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgotten++
	c.ready, c.broken, c.until = nil, nil, time.Time{}
}

// Create is the repository's. What is remembered is forgotten whether it succeeded or not: a failed call may have changed
// something all the same.
func (c *Cache) Create(ctx context.Context, rule Rule, by string) (Rule, error) {
	defer c.Forget()
	return c.RuleRepository.Create(ctx, rule, by)
}

// Update is the repository's.
func (c *Cache) Update(ctx context.Context, rule Rule, by string) (Rule, error) {
	defer c.Forget()
	return c.RuleRepository.Update(ctx, rule, by)
}

// Delete is the repository's.
func (c *Cache) Delete(ctx context.Context, id string, version int, by string) error {
	defer c.Forget()
	return c.RuleRepository.Delete(ctx, id, version, by)
}

// Reorder is the repository's.
func (c *Cache) Reorder(ctx context.Context, ids []string, by string) error {
	defer c.Forget()
	return c.RuleRepository.Reorder(ctx, ids, by)
}

// Restore is the repository's.
func (c *Cache) Restore(ctx context.Context, id string, version int, by string) (Rule, error) {
	defer c.Forget()
	return c.RuleRepository.Restore(ctx, id, version, by)
}

// Import is the repository's.
func (c *Cache) Import(ctx context.Context, i Import) (Plan, error) {
	defer c.Forget()
	return c.RuleRepository.Import(ctx, i)
}
