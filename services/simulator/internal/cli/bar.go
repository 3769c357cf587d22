package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/parley-dm/parley/services/simulator/internal/load"
)

// bar shows progress: one line that is written over on a terminal, a line every few seconds elsewhere.
type bar struct {
	w        io.Writer
	terminal bool
	last     time.Time
	drawn    bool
}

const (
	barWidth = 24
	logEvery = 5 * time.Second
)

func newBar(w io.Writer) *bar {
	b := &bar{w: w}
	if f, ok := w.(*os.File); ok {
		info, err := f.Stat()
		b.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return b
}

func (b *bar) show(p load.Progress) {
	if !b.terminal && p.Phase != load.PhaseDone && time.Since(b.last) < logEvery {
		return
	}
	b.last = time.Now()
	line := fmt.Sprintf("%s %5.1fs  %-8s sent %d  accepted %d  replies %d", draw(share(p)), time.Duration(p.Elapsed).Seconds(), p.Phase, p.Sent, p.Accepted, p.Replies)
	if p.Refused > 0 {
		line += fmt.Sprintf("  refused %d", p.Refused)
	}
	if b.terminal {
		_, _ = fmt.Fprintf(b.w, "\r\x1b[K%s", line)
		b.drawn = true
		return
	}
	_, _ = fmt.Fprintln(b.w, line)
}

func (b *bar) end() {
	if b.drawn {
		_, _ = fmt.Fprintln(b.w)
	}
}

// share is how much of the run is done: replies of all there will be, or the time.
func share(p load.Progress) float64 {
	switch {
	case p.Phase == load.PhaseDone:
		return 1
	case p.Total > 0:
		return float64(p.Replies) / float64(p.Total)
	case p.For > 0:
		return float64(p.Elapsed) / float64(p.For)
	default:
		return 0
	}
}

func draw(share float64) string {
	full := int(min(max(share, 0), 1) * barWidth)
	return "[" + strings.Repeat("█", full) + strings.Repeat("·", barWidth-full) + "]"
}
