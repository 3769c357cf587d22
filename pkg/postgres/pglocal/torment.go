//go:build unix

package pglocal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Crash kills the server and all of its processes at once, as a crash of the machine's memory would, and returns when they
// are gone. What was committed is on the disk; [Server.Restart] finds it.
func (s *Server) Crash(ctx context.Context) error {
	made, err := s.signal(ctx, syscall.SIGKILL)
	if err != nil {
		return err
	}
	<-s.process.done
	return ended(ctx, made)
}

// ended waits until processes are gone: the data, and the memory that they share, are theirs until then, and a server that is started
// meanwhile refuses.
func ended(ctx context.Context, pids []int) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		list, err := processes(ctx)
		if err != nil {
			return fmt.Errorf("list the processes of PostgreSQL: %w", err)
		}
		if !slices.ContainsFunc(pids, func(pid int) bool { _, there := list[pid]; return there }) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for the end of PostgreSQL's processes: %w", context.Cause(ctx))
		}
	}
}

// Stall has every process of the server stand still, or go on again.
func (s *Server) Stall(ctx context.Context, still bool) error {
	sig := syscall.SIGCONT
	if still {
		sig = syscall.SIGSTOP
	}
	_, err := s.signal(ctx, sig)
	return err
}

// Restart starts the server again where it was, after a [Server.Crash] or while it runs: then it is stopped in order first.
// Its URLs stay the same. It must not be called at once with itself, Stop or Crash.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.process.stop(); err != nil {
		return fmt.Errorf("restart PostgreSQL: %w", err)
	}
	if err := s.launch(ctx); err != nil {
		return fmt.Errorf("restart PostgreSQL: %w", err)
	}
	return nil
}

// signal signals the first process, so that it makes no more of them, and then those that it made, which it tells.
func (s *Server) signal(ctx context.Context, sig syscall.Signal) (made []int, err error) {
	first := s.process.cmd.Process.Pid
	if made, err = children(ctx, first); err != nil {
		return nil, err
	}
	err = syscall.Kill(first, sig)
	if later, again := children(ctx, first); again == nil {
		made = append(made, slices.DeleteFunc(later, func(pid int) bool { return slices.Contains(made, pid) })...)
	}
	for _, pid := range made {
		if e := syscall.Kill(pid, sig); !errors.Is(e, syscall.ESRCH) { // else it has ended by itself
			err = errors.Join(err, e)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s to PostgreSQL: %w", sig, err)
	}
	return made, nil
}

// children lists the processes that a process made: from /proc, or where there is none from ps.
func children(ctx context.Context, parent int) ([]int, error) {
	list, err := processes(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the processes of PostgreSQL: %w", err)
	}
	var out []int
	for pid, of := range list {
		if of == parent {
			out = append(out, pid)
		}
	}
	return out, nil
}

// processes gives each process's parent, but of those that have ended and whose parents did not ask yet.
func processes(ctx context.Context) (map[int]int, error) {
	out := map[int]int{}
	entries, err := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue // it has ended
		}
		// pid (name) state parent …; the name may hold anything.
		_, rest, _ := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')')+1:]), " ")
		if fields := strings.Fields(rest); len(fields) > 1 && !over(fields[0]) {
			out[pid], _ = strconv.Atoi(fields[1])
		}
	}
	if len(out) > 0 || err == nil {
		return out, nil
	}
	lines, err := exec.CommandContext(ctx, "ps", "-A", "-o", "pid=,ppid=,stat=").Output()
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(lines)) {
		if fields := strings.Fields(line); len(fields) == 3 && !over(fields[2]) {
			pid, _ := strconv.Atoi(fields[0])
			out[pid], _ = strconv.Atoi(fields[1])
		}
	}
	return out, nil
}

// over says whether a process in such a state has ended.
func over(state string) bool { return strings.HasPrefix(state, "Z") || strings.HasPrefix(state, "X") }
