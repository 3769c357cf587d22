package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of /proc: USER_HZ is 100 on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// usage is a look at the CPUs: the time that all had, that was used, and that our two processes used.
type usage struct{ all, busy, own time.Duration }

func (u usage) minus(v usage) usage { return usage{u.all - v.all, u.busy - v.busy, u.own - v.own} }

func (u usage) plus(v usage) usage { return usage{u.all + v.all, u.busy + v.busy, u.own + v.own} }

// foreign is the share of all CPU time that others used.
func (u usage) foreign() float64 {
	if u.all <= 0 {
		return 0
	}
	return max(float64(u.busy-u.own)/float64(u.all), 0)
}

func look(pids ...int) (usage, error) {
	var u usage
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return u, fmt.Errorf("look at the CPUs: %w", err)
	}
	line, _, _ := strings.Cut(string(stat), "\n")
	for i, field := range strings.Fields(line)[1:9] { // guest time is in user time too
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return u, fmt.Errorf("look at the CPUs: %w", err)
		}
		u.all += time.Duration(n) * tick
		if i != 3 && i != 4 { // idle, iowait
			u.busy += time.Duration(n) * tick
		}
	}
	for _, pid := range pids {
		spent, err := spentBy(pid)
		if err != nil {
			return u, err
		}
		u.own += spent
	}
	return u, nil
}

func spentBy(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("look at process %d: %w", pid, err)
	}
	// The name, in brackets, may have blanks and brackets in it. Then the state is field 3 of proc(5), utime 14, stime 15.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	var sum time.Duration
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("look at process %d: %w", pid, err)
		}
		sum += time.Duration(n) * tick
	}
	return sum, nil
}

// profiled runs f with a CPU profile written to a file, if one is named.
func profiled(path string, f func() error) (err error) {
	if path == "" {
		return f()
	}
	file, err := os.Create(path) //nolint:gosec // named by who runs the benchmark
	if err != nil {
		return err
	}
	defer func() {
		pprof.StopCPUProfile()
		if cerr := file.Close(); err == nil {
			err = cerr
		}
	}()
	if err := pprof.StartCPUProfile(file); err != nil {
		return err
	}
	return f()
}
