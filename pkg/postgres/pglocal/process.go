package pglocal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// guard waits until its input ends. A line before the end means that everything was stopped in order. No line means that
// the process that started the server is gone, killed perhaps: the guard then stops the server and removes what is
// temporary. It works on every Unix; on Linux the kernel's own signal at the parent's death comes first.
const guard = `trap '' INT TERM HUP
pid=$1; shift
if read -r _; then exit 0; fi
kill -INT "$pid" 2>/dev/null
n=0
while kill -0 "$pid" 2>/dev/null; do
  n=$((n + 1)); [ $n -gt 300 ] && kill -QUIT "$pid" 2>/dev/null
  sleep 0.1
done
[ $# -gt 0 ] && rm -rf "$@"
exit 0`

type launchSpec struct {
	data, logFile string
	remove        []string
}

// process is the server's first process and its guard.
type process struct {
	cmd   *exec.Cmd
	done  chan struct{}
	err   error
	guard *exec.Cmd
	alive io.WriteCloser
}

func launch(bin binaries, user *account, spec launchSpec) (*process, error) {
	log, err := os.OpenFile(spec.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the server's log: %w", err)
	}
	defer func() { _ = log.Close() }()
	p := &process{done: make(chan struct{})}
	p.cmd = exec.Command(bin.postgres, "-D", spec.data) //nolint:noctx // it outlives the context of its start
	p.cmd.Dir, p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = spec.data, environment(), log, log
	p.cmd.SysProcAttr = dieWithParent(user.attributes())

	started := make(chan error, 1)
	go func() {
		// The kernel's signal at the parent's death is tied to the thread that made the child: keep that one.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.done)
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.err = p.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("run %s: %w", bin.postgres, err)
	}
	err = p.watch(user, spec.remove)
	return p, err
}

// watch starts the guard.
func (p *process) watch(user *account, remove []string) error {
	args := append([]string{"-c", guard, "guard", strconv.Itoa(p.cmd.Process.Pid)}, remove...)
	p.guard = exec.Command("/bin/sh", args...) //nolint:noctx // our own script; it outlives the context of the start
	p.guard.Dir, p.guard.Env, p.guard.SysProcAttr = "/", environment(), user.attributes()
	var err error
	if p.alive, err = p.guard.StdinPipe(); err != nil {
		return err
	}
	if err := p.guard.Start(); err != nil {
		return fmt.Errorf("run the server's guard: %w", err)
	}
	return nil
}

// stop ends the server as "pg_ctl stop -m fast" does, by force when that takes too long, then the guard.
func (p *process) stop() error {
	err := p.end()
	if p.alive != nil {
		_, _ = io.WriteString(p.alive, "stopped\n")
		_ = p.alive.Close()
		_ = p.guard.Wait()
	}
	return err
}

func (p *process) end() error {
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGKILL} {
		if err := p.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("stop the private PostgreSQL: %w", err)
		}
		timer := time.NewTimer(stopTimeout)
		select {
		case <-p.done:
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
	return errors.New("stop the private PostgreSQL: it does not end")
}

func freePort(ctx context.Context) (int, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err := errors.Join(err, l.Close()); err != nil {
		return 0, err
	}
	return strconv.Atoi(port)
}

// parents lists the folders above dir, the nearest first.
func parents(dir string) []string {
	var out []string
	for p := filepath.Dir(dir); ; p = filepath.Dir(p) {
		out = append(out, p)
		if p == filepath.Dir(p) {
			return out
		}
	}
}
