// Package memory sets how the garbage collector trades memory for speed, where the operator has not.
package memory

import (
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

const (
	// Headroom is what a small heap may grow by between two collections: a part of the memory, within bounds. Collecting at
	// twice a live heap of ten megabytes, as Go does by default, takes a fifth of the throughput, and with the least headroom
	// a tenth; a multiple of it large enough for that heap is far too large for the hundred megabytes and more of JetStream's
	// buffers, which cost the collector nothing, in parley under load.
	headroomShare, leastHeadroom, mostHeadroom = 32, 32 << 20, 96 << 20
	// The limit is soft: close to it the collector works harder. Half of what the machine or container has leaves room for
	// PostgreSQL and the kernel's cache of JetStream's files, which matters more for speed than a larger heap.
	share, lowest, highest = 2, 192 << 20, 1 << 30
	// plenty is what huge pages are asked for from: each is taken as a whole, however little of it is used.
	plenty = 2 << 30
)

// ballast makes the live heap larger than it is, so that twice of it leaves headroom. Nobody touches it: it takes addresses
// and no memory.
var ballast []byte

// Tune sets both, each only where the environment does not say otherwise, and asks for huge pages where there is plenty of memory.
func Tune(environ []string) {
	memory := available("/proc/meminfo", "/sys/fs/cgroup/memory.max")
	extra := int64(0)
	if !has(environ, "GOGC") {
		ballast = make([]byte, headroom(memory))
		extra = int64(len(ballast)) // the limit counts it
	}
	// After the ballast: what Go hands out again it zeroes first, and a ballast in that room would be memory that is taken.
	if memory >= plenty && !has(environ, "GOMEMLIMIT") {
		askForHugePages()
	}
	if !has(environ, "GOMEMLIMIT") {
		debug.SetMemoryLimit(limit(memory) + extra)
	}
}

func headroom(available int64) int64 {
	return min(max(available/headroomShare, leastHeadroom), mostHeadroom)
}

func limit(available int64) int64 {
	if available <= 0 {
		return highest
	}
	return min(max(available/share, lowest), highest)
}

func has(environ []string, name string) bool {
	for _, kv := range environ {
		if k, v, _ := strings.Cut(kv, "="); k == name && v != "" {
			return true
		}
	}
	return false
}

// available is the machine's memory or the container's bound on it, whichever is less; 0 when neither can be read.
func available(meminfo, cgroup string) int64 {
	var total int64
	if content, err := os.ReadFile(meminfo); err == nil { //nolint:gosec // a file of the kernel's
		for line := range strings.Lines(string(content)) {
			fields := strings.Fields(line)
			if len(fields) >= 2 && fields[0] == "MemTotal:" {
				kb, _ := strconv.ParseInt(fields[1], 10, 64)
				total = kb << 10
			}
		}
	}
	if content, err := os.ReadFile(cgroup); err == nil { //nolint:gosec // a file of the kernel's
		// "max" where there is no bound.
		if bound, err := strconv.ParseInt(strings.TrimSpace(string(content)), 10, 64); err == nil && bound > 0 && (total == 0 || bound < total) {
			total = bound
		}
	}
	return total
}
