package machine

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Resident is the memory that a process has in RAM, in bytes.
func Resident(pid int) (int64, error) {
	path := fmt.Sprintf("/proc/%d/status", pid)
	content, err := os.ReadFile(path) //nolint:gosec // a file of the kernel's
	if err != nil {
		return 0, fmt.Errorf("read a process's memory: %w", err)
	}
	for line := range strings.Lines(string(content)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "VmRSS:" {
			kilobytes, err := strconv.ParseInt(fields[1], 10, 64)
			return kilobytes << 10, err
		}
	}
	return 0, fmt.Errorf("%s names no VmRSS", path)
}

// samplePeriod is how often a Sampler looks.
const samplePeriod = 200 * time.Millisecond

// Sampler watches a process's memory.
type Sampler struct {
	stop context.CancelFunc
	wg   sync.WaitGroup
	seen []int64
}

// Watch begins to watch.
func Watch(ctx context.Context, pid int) *Sampler {
	ctx, cancel := context.WithCancel(ctx)
	s := &Sampler{stop: cancel}
	s.wg.Go(func() {
		tick := time.NewTicker(samplePeriod)
		defer tick.Stop()
		for {
			if n, err := Resident(pid); err == nil {
				s.seen = append(s.seen, n)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
	return s
}

// Stop ends the watch and gives what was seen, evenly spaced in time.
func (s *Sampler) Stop() []int64 {
	s.stop()
	s.wg.Wait()
	return s.seen
}
