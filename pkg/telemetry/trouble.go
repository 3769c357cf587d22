package telemetry

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// maxTroubles bounds what is remembered of each process's errors.
const maxTroubles = 20

// Trouble is an ERROR line that was logged, for those who look at a process from elsewhere. Lines that say the same of the same account
// are one.
type Trouble struct {
	// Service and Message are the line's; Error and Account its facts of these names.
	Service string    `json:"service"`
	Message string    `json:"message"`
	Error   string    `json:"error,omitempty"`
	Account string    `json:"account_id,omitempty"`
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
	Count   int       `json:"count"`
}

// maxErrorText bounds what is kept of an error's text.
const maxErrorText = 500

// troubles remembers the newest.
type troubles struct {
	mu   sync.Mutex
	kept []Trouble // the newest last
}

func (t *troubles) add(n Trouble) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.IndexFunc(t.kept, func(k Trouble) bool {
		return k.Service == n.Service && k.Message == n.Message && k.Account == n.Account
	})
	if i >= 0 {
		n.First, n.Count = t.kept[i].First, t.kept[i].Count
		t.kept = slices.Delete(t.kept, i, i+1)
	} else if len(t.kept) >= maxTroubles {
		t.kept = slices.Delete(t.kept, 0, 1)
	}
	n.Count++
	t.kept = append(t.kept, n)
}

// of are the newest of one service, the newest first.
func (t *troubles) of(service string) []Trouble {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []Trouble
	for _, k := range slices.Backward(t.kept) {
		if k.Service == service {
			out = append(out, k)
		}
	}
	return out
}

// troubled is a log handler that remembers what is an error.
type troubled struct {
	slog.Handler
	into  *troubles
	facts Trouble // those of the logger
}

// Handle implements slog.Handler.
func (h troubled) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError {
		n := h.facts
		n.Message, n.First, n.Last = r.Message, r.Time, r.Time
		r.Attrs(func(a slog.Attr) bool {
			n.note(a)
			return true
		})
		h.into.add(n)
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h troubled) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		h.facts.note(a)
	}
	h.Handler = h.Handler.WithAttrs(attrs)
	return h
}

// WithGroup implements slog.Handler.
func (h troubled) WithGroup(name string) slog.Handler {
	h.Handler = h.Handler.WithGroup(name)
	return h
}

func (n *Trouble) note(a slog.Attr) {
	switch a.Key {
	case "service":
		n.Service = a.Value.String()
	case KeyAccount:
		n.Account = a.Value.String()
	case KeyError:
		n.Error = a.Value.String()
		if len(n.Error) > maxErrorText {
			n.Error = n.Error[:maxErrorText] + " …"
		}
	}
}

// Troubles are the newest errors that this service has logged, the newest first.
func (t *Telemetry) Troubles() []Trouble {
	if t.troubles == nil {
		return nil
	}
	return t.troubles.of(t.service)
}
