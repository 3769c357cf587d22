package embednats

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
)

// logger hands the server's lines to slog. What the server calls fatal would end a process of its own; here it is kept
// for whoever started it.
type logger struct {
	log *slog.Logger

	mu    sync.Mutex
	fatal error
}

func newLogger(log *slog.Logger) *logger {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &logger{log: log}
}

// Noticef is for a server that is run by itself: that it starts, that it stops. Here it is for debugging.
func (l *logger) Noticef(format string, v ...any) {
	l.log.Debug("nats.server", "detail", fmt.Sprintf(format, v...))
}
func (l *logger) Warnf(format string, v ...any) {
	l.log.Warn("nats.server", "detail", fmt.Sprintf(format, v...))
}
func (l *logger) Errorf(format string, v ...any) {
	l.log.Error("nats.server", "detail", fmt.Sprintf(format, v...))
}

// Debugf and Tracef are switched off at the server: they tell of every message.
func (l *logger) Debugf(string, ...any) {}
func (l *logger) Tracef(string, ...any) {}

func (l *logger) Fatalf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	l.log.Error("nats.server", "detail", text)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fatal == nil {
		l.fatal = errors.New(text)
	}
}

func (l *logger) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fatal
}
