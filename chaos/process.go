package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// process is one program of the run. Its output goes to a file of its name.
type process struct {
	name, binary, log string
	args, env         []string
	admin             string // ADMIN_ADDR, empty when it has none

	cmd    *exec.Cmd
	exited chan struct{}
}

// start runs the program. A program that was ended may be started again.
func (p *process) start() error {
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	defer out.Close() //nolint:errcheck // the child has its own
	// Not tied to a context: the schedule ends processes, by signals.
	p.cmd = exec.Command(p.binary, p.args...)               //nolint:gosec,noctx // our own binaries
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = p.env, out, out // and nothing of ours
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	p.exited = make(chan struct{})
	go func(cmd *exec.Cmd, exited chan struct{}) {
		_ = cmd.Wait()
		close(exited)
	}(p.cmd, p.exited)
	return nil
}

// ready waits until /readyz says so.
func (p *process) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var last error
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.admin+"/readyz", nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
			err = errors.New(resp.Status)
		}
		last = err
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w (see %s)", p.name, last, p.log)
		case <-p.exited:
			return fmt.Errorf("%s ended at its start (see %s)", p.name, p.log)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (p *process) signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("%s to %s: %w", s, p.name, err)
	}
	return nil
}

// kill ends the process at once and waits until it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Signal(syscall.SIGKILL)
	<-p.exited
}

// terminate asks the process to stop and says how long it took; after a while it is killed, which is an error.
func (p *process) terminate(within time.Duration) (time.Duration, error) {
	begin := time.Now()
	if err := p.signal(syscall.SIGTERM); err != nil {
		return 0, err
	}
	select {
	case <-p.exited:
	case <-time.After(within):
		p.kill()
		return time.Since(begin), fmt.Errorf("%s did not stop within %s", p.name, within)
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		return time.Since(begin), fmt.Errorf("%s stopped with exit code %d (see %s)", p.name, code, p.log)
	}
	return time.Since(begin), nil
}

func (p *process) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// build makes the binaries of the run.
func build(ctx context.Context, root, dir string, targets map[string]string) error {
	for name, pkg := range targets {
		module, _, _ := strings.Cut(pkg, " ")
		cmd := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(dir, name), strings.TrimPrefix(pkg, module+" ")) //nolint:gosec // our own packages
		cmd.Dir = filepath.Join(root, module)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w: %s", name, err, out)
		}
	}
	return nil
}

// freeAddr finds a loopback address to listen on.
func freeAddr(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}
