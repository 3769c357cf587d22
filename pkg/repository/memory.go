package repository

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"github.com/parley-dm/parley/pkg/dm"
)

// Memory keeps everything in memory: for tests, and for trying rules where there is no database. It forgets when the
// process ends. What it hands out are copies.
type Memory struct {
	now func() time.Time

	mu       sync.Mutex
	rules    map[string]Rule
	versions map[string][]RuleVersion

	conversations map[dm.Conversation]Conversation
	messages      map[string]Message
}

// NewMemory makes an empty one. now is its clock.
func NewMemory(now func() time.Time) *Memory {
	return &Memory{
		now: now, rules: map[string]Rule{}, versions: map[string][]RuleVersion{},
		conversations: map[dm.Conversation]Conversation{}, messages: map[string]Message{},
	}
}

// Rules are the rules in it.
func (m *Memory) Rules() *MemoryRules { return &MemoryRules{m} }

func (m *Memory) locked(ctx context.Context, f func() error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("look in memory: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return f()
}

// time is now in PostgreSQL's precision.
func (m *Memory) time() time.Time { return m.now().UTC().Truncate(time.Microsecond) }

// newID is a random UUID (version 4), as gen_random_uuid() makes them.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return uuid(b)
}
