package telemetry

import (
	"context"
	"encoding/json"
	"net/http"
	"sort"
	"sync"
	"time"
)

// checkTimeout bounds one readiness check; a check that takes longer has failed.
const checkTimeout = 2 * time.Second

// Check says whether a dependency can be used now, with an error that an operator understands.
type Check func(ctx context.Context) error

// Health is the list of a process's dependencies.
type Health struct {
	mu     sync.Mutex
	prefix string
	parent *Health
	checks map[string]Check
}

// For is the part of the list that belongs to one service; its names carry the service's in front.
func (h *Health) For(service string) *Health { return &Health{prefix: service + ".", parent: h} }

// Add names a dependency and how to check it. Adding a name again replaces its check.
func (h *Health) Add(name string, check Check) {
	if h.parent != nil {
		h.parent.Add(h.prefix+name, check)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.checks == nil {
		h.checks = map[string]Check{}
	}
	h.checks[name] = check
}

// Result is what one check said.
type Result struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	// Error is why not.
	Error string `json:"error,omitempty"`
}

// Run checks every dependency at once and returns the results by name.
func (h *Health) Run(ctx context.Context) (results []Result, ready bool) {
	h.mu.Lock()
	checks := make(map[string]Check, len(h.checks))
	for name, check := range h.checks {
		checks[name] = check
	}
	h.mu.Unlock()

	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	out := make(chan Result, len(checks))
	for name, check := range checks {
		go func() {
			r := Result{Name: name, OK: true}
			if err := check(ctx); err != nil {
				r.OK, r.Error = false, err.Error()
			}
			out <- r
		}()
	}
	ready = true
	for range len(checks) { // counted first: answers are taken out of the map
		select {
		case r := <-out:
			results = append(results, r)
			ready = ready && r.OK
			delete(checks, r.Name)
		case <-ctx.Done():
			for name := range checks {
				results = append(results, Result{Name: name, Error: "no answer within " + checkTimeout.String()})
			}
			ready = false
			sort.Slice(results, func(i, j int) bool { return results[i].Name < results[j].Name })
			return results, ready
		}
	}
	sort.Slice(results, func(i, j int) bool { return results[i].Name < results[j].Name })
	return results, ready
}

// ServeHTTP answers /readyz: 200 when every dependency can be used, 503 otherwise, each of them named.
func (h *Health) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	results, ready := h.Run(r.Context())
	body := struct {
		Status string   `json:"status"`
		Checks []Result `json:"checks"`
	}{Status: "ready", Checks: results}
	status := http.StatusOK
	if !ready {
		body.Status, status = "not ready", http.StatusServiceUnavailable
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
