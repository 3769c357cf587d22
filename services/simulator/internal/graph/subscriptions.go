package graph

import "sync"

// subscriptions remembers which webhook fields each account asked for. Webhooks are sent all the same: the simulator's
// page must work before anything is subscribed.
type subscriptions struct {
	mu     sync.Mutex
	fields map[string][]string
}

func (s *subscriptions) get(account string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fields[account]
}

func (s *subscriptions) set(account string, fields []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fields == nil {
		s.fields = map[string][]string{}
	}
	s.fields[account] = fields
}
