package telemetry

import (
	"io"
	"log/slog"

	"github.com/parley-dm/parley/pkg/config"
)

// The keys of facts in log lines; every line uses these names.
const (
	KeyAccount      = "account_id"
	KeyConversation = "conversation_id"
	KeyEvent        = "event_id"
	KeyIntent       = "intent_id"
	KeyAttempt      = "attempt"
	KeyDuration     = "duration_ms"
	KeyOutcome      = "outcome"
	KeyRequest      = "request_id"
	KeyError        = "error"
)

// NewLogger builds the process's logger: lines of text for people, JSON for machines.
func NewLogger(w io.Writer, c config.Common) *slog.Logger {
	opts := &slog.HandlerOptions{Level: c.Level()}
	var h slog.Handler
	if c.JSONLogs() {
		h = slog.NewJSONHandler(w, opts)
	} else {
		h = slog.NewTextHandler(w, opts)
	}
	return slog.New(h).With("app", c.AppName)
}
