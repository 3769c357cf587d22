package telemetry

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"
)

// checkTimeout bounds one readiness check; a check that takes longer has failed.
const checkTimeout = 2 * time.Second

// Check says whether a dependency can be used now, with an error that an operator understands.
type Check func(ctx context.Context) error

// Note says how something is without which the process can do its work for a while, with a detail for people.
type Note func(ctx context.Context) (detail string, err error)

// Health is the list of a process's dependencies.
type Health struct {
	mu     sync.Mutex
	prefix string
	parent *Health
	checks map[string]check
}

// check is one entry of the list. One that is not needed is shown and does not decide.
type check struct {
	ask    Note
	needed bool
}

// For is the part of the list that belongs to one service; its names carry the service's in front.
func (h *Health) For(service string) *Health { return &Health{prefix: service + ".", parent: h} }

// Add names a dependency and how to check it. Adding a name again replaces its check.
func (h *Health) Add(name string, ask Check) {
	h.add(name, check{needed: true, ask: func(ctx context.Context) (string, error) { return "", ask(ctx) }})
}

// AddNote names what is shown and does not decide whether the process is ready.
func (h *Health) AddNote(name string, ask Note) { h.add(name, check{ask: ask}) }

func (h *Health) add(name string, c check) {
	if h.parent != nil {
		h.parent.add(h.prefix+name, c)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.checks == nil {
		h.checks = map[string]check{}
	}
	h.checks[name] = c
}

// Result is what one check said.
type Result struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	// Error is why not, Detail what there is to say besides.
	Error  string `json:"error,omitempty"`
	Detail string `json:"detail,omitempty"`
}

// own are the checks of the list, or of the part of it, by their full names.
func (h *Health) own() map[string]check {
	if h.parent != nil {
		all := h.parent.own()
		maps.DeleteFunc(all, func(name string, _ check) bool { return !strings.HasPrefix(name, h.prefix) })
		return all
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.checks)
}

// Run checks every dependency at once and returns the results by name; of a part of the list, only its own. It is ready when
// all that are needed can be used.
func (h *Health) Run(ctx context.Context) (results []Result, ready bool) {
	waiting := h.own()

	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	out := make(chan Result, len(waiting))
	for name, c := range waiting {
		go func() {
			r := Result{Name: name, OK: true}
			var err error
			if r.Detail, err = c.ask(ctx); err != nil {
				r.OK, r.Error = false, err.Error()
			}
			out <- r
		}()
	}
	ready = true
	take := func(r Result) {
		results = append(results, r)
		ready = ready && (r.OK || !waiting[r.Name].needed)
		delete(waiting, r.Name)
	}
	for len(waiting) > 0 {
		select {
		case r := <-out:
			take(r)
		case <-ctx.Done():
			for name := range maps.Clone(waiting) {
				take(Result{Name: name, Error: "no answer within " + checkTimeout.String()})
			}
		}
	}
	sort.Slice(results, func(i, j int) bool { return results[i].Name < results[j].Name })
	return results, ready
}

// ServeHTTP answers /readyz: 200 when every dependency that is needed can be used, 503 otherwise, each of them named.
func (h *Health) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	results, ready := h.Run(r.Context())
	body := struct {
		Status string   `json:"status"`
		Checks []Result `json:"checks"`
	}{Status: "ready", Checks: results}
	status := http.StatusOK
	switch {
	case !ready:
		body.Status, status = "not ready", http.StatusServiceUnavailable
	case slices.ContainsFunc(results, func(r Result) bool { return !r.OK }):
		body.Status = "degraded"
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
