package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/parley-dm/parley/pkg/run/child"
)

// The signals that stall a process and let it go on.
const (
	standStill = syscall.SIGSTOP
	goOn       = syscall.SIGCONT
)

// member is one process of the installation, under a supervisor as systemd or Kubernetes is one: what ends by itself is
// started again.
type member struct {
	*child.Child

	mu   sync.Mutex
	down bool // on purpose
	stop chan struct{}
	done chan struct{}
}

// again is how long a supervisor waits before it starts what ended by itself.
const again = time.Second

// supervise starts the supervisor.
func (m *member) supervise(w *world) {
	m.stop, m.done = make(chan struct{}), make(chan struct{})
	go func() {
		defer close(m.done)
		for {
			select {
			case <-m.stop:
				return
			case <-time.After(again):
			}
			m.revive(w)
		}
	}()
}

func (m *member) revive(w *world) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down || m.Running() {
		return
	}
	w.note("%s ended by itself with exit code %d and is started again; it said last: %s", m.Name, m.ExitCode(), m.last())
	if err := m.Start(); err != nil {
		w.crash("%v", err)
	}
}

// dismiss ends the supervisor.
func (m *member) dismiss() {
	if m.stop != nil {
		close(m.stop)
		<-m.done
		m.stop = nil
	}
}

// takeDown says that the member is down on purpose, or up again.
func (m *member) takeDown(down bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = down
}

// ready waits until the member can do its work.
func (m *member) ready(ctx context.Context) error {
	if m.Admin == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	return m.Ready(ctx)
}

// last is the last line of its log.
func (m *member) last() string {
	b, _ := os.ReadFile(m.Log)
	b = bytes.TrimSpace(b)
	line := string(b[bytes.LastIndexByte(b, '\n')+1:])
	return line[:min(len(line), 500)]
}

// panics lists what must never be in a log.
func (m *member) panics() []string {
	b, _ := os.ReadFile(m.Log)
	var out []string
	for line := range strings.Lines(string(b)) {
		for _, bad := range []string{"panic:", "fatal error:", "WARNING: DATA RACE"} {
			if strings.HasPrefix(line, bad) {
				out = append(out, fmt.Sprintf("%s: %s", m.Name, strings.TrimSpace(line)))
			}
		}
	}
	return out
}
