// Package machine tells what the machine did during a measure: how much of its CPU was ours and how much foreign, and how
// much memory a process has. It reads /proc; where there is none it says that it does not know.
package machine

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Meter measures from its making on.
type Meter struct{ begin sample }

// Use is the share of all CPUs' time, 0 to 1, that our processes and that others used.
type Use struct {
	Own, Foreign float64
	// Known is false where the system does not tell.
	Known bool
}

// sample counts clock ticks since boot.
type sample struct {
	all, busy, own int64
	ok             bool
}

// Start begins to measure.
func Start() Meter { return Meter{begin: take()} }

// Stop says what was used since Start.
func (m Meter) Stop() Use {
	end := take()
	all := float64(end.all - m.begin.all)
	if !m.begin.ok || !end.ok || all <= 0 {
		return Use{}
	}
	own := float64(end.own-m.begin.own) / all
	busy := float64(end.busy-m.begin.busy) / all
	return Use{Own: own, Foreign: max(busy-own, 0), Known: true}
}

// tick is the unit of /proc: USER_HZ is 100 on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// Spent is the CPU time that processes, and all that are below them, have used so far. What it grows by under a load is a
// figure that others on the machine disturb less than they do a rate.
func Spent(pids ...int) time.Duration {
	var sum time.Duration
	for _, pid := range pids {
		if ticks, err := treeTicks(pid); err == nil {
			sum += time.Duration(ticks) * tick
		}
	}
	return sum
}

// Own is the time that this process alone has used so far.
func Own() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Parent is a process's parent.
func Parent(pid int) (int, error) {
	p, err := readProcess(fmt.Sprintf("/proc/%d/stat", pid))
	return p.parent, err
}

func take() sample {
	var s sample
	content, err := os.ReadFile("/proc/stat")
	if err != nil {
		return s
	}
	first, _, _ := strings.Cut(string(content), "\n")
	fields := strings.Fields(first)
	const idle, iowait, guest = 4, 5, 9 // columns of proc(5); guest time is in user time too
	if len(fields) <= iowait || fields[0] != "cpu" {
		return s
	}
	for i := 1; i < min(len(fields), guest); i++ {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return s
		}
		s.all += n
		if i != idle && i != iowait {
			s.busy += n
		}
	}
	s.own, err = treeTicks(os.Getpid())
	s.ok = err == nil
	return s
}

// process is one line of /proc/<pid>/stat.
type process struct {
	pid, parent int
	ticks       int64 // its own and those of its children that have ended
}

// treeTicks sums what a process and all below it have used.
func treeTicks(root int) (int64, error) {
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	children := map[int][]process{}
	var all int64
	found := false
	for _, path := range paths {
		p, err := readProcess(path)
		if err != nil {
			continue // it has ended; its parent has its ticks
		}
		children[p.parent] = append(children[p.parent], p)
		if p.pid == root {
			all, found = p.ticks, true
		}
	}
	if !found {
		return 0, errors.New("this process is not in /proc")
	}
	for queue := []int{root}; len(queue) > 0; queue = queue[1:] {
		for _, p := range children[queue[0]] {
			all += p.ticks
			queue = append(queue, p.pid)
		}
	}
	return all, nil
}

func readProcess(path string) (process, error) {
	content, err := os.ReadFile(path) //nolint:gosec // a file of the kernel's
	if err != nil {
		return process{}, err
	}
	pid, rest, _ := bytes.Cut(content, []byte(" "))
	// The name, in brackets, may have blanks and brackets in it.
	fields := strings.Fields(string(rest[bytes.LastIndexByte(rest, ')')+1:]))
	const parent, user, endedSystem = 1, 11, 14 // counted from the state, which is field 3 of proc(5)
	if len(fields) <= endedSystem {
		return process{}, fmt.Errorf("%s: too few fields", path)
	}
	var p process
	if p.pid, err = strconv.Atoi(string(pid)); err != nil {
		return p, err
	}
	if p.parent, err = strconv.Atoi(fields[parent]); err != nil {
		return p, err
	}
	for _, f := range fields[user : endedSystem+1] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return p, err
		}
		p.ticks += n
	}
	return p, nil
}
