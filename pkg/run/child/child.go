// Package child starts programs and signals them, for programs that measure or torment a whole installation: benchmarks and
// chaos runs.
//
// A child ends with the process that started it, however that ends. Nothing is started again by itself, and nothing is
// signalled that was not started here.
package child

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"
)

// readyPoll is how often a child that starts is asked whether it is ready.
const readyPoll = 20 * time.Millisecond

// ErrNotRunning is returned for a signal to a child that has ended, or was never started.
var ErrNotRunning = errors.New("not running")

// Spec says what to run.
type Spec struct {
	Name string
	Path string
	Args []string
	// Env is the whole environment; [Environ] has what most programs need beside their settings.
	Env []string
	// Log is the file that the output is appended to; it goes nowhere if empty.
	Log string
	// Admin is the host:port that /readyz is served on, for [Child.Ready]; empty if it is not.
	Admin string
}

// Child is one program. It may be started again after it has ended. It is safe for concurrent use.
type Child struct {
	Spec

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{}
}

// New prepares a child.
func New(s Spec) *Child { return &Child{Spec: s} }

// Environ is the part of this process's environment that programs need to run at all, and none of its settings.
func Environ() []string {
	var out []string
	for _, name := range []string{"PATH", "HOME", "TMPDIR"} {
		if v, ok := os.LookupEnv(name); ok { //nolint:forbidigo // handed on, not a setting
			out = append(out, name+"="+v)
		}
	}
	return out
}

// Start starts the program; it fails when it runs already.
func (c *Child) Start() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running() {
		return fmt.Errorf("start %s: it is running", c.Name)
	}
	// It outlives every context: whoever started it ends it, by a signal.
	cmd := exec.Command(c.Path, c.Args...) //nolint:gosec,noctx // the caller's own programs
	cmd.Env = c.Env
	if cmd.Env == nil {
		cmd.Env = []string{} // nil would be ours
	}
	cmd.SysProcAttr = dieWithParent()
	if c.Log != "" {
		out, err := os.OpenFile(c.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("start %s: open its log: %w", c.Name, err)
		}
		defer func() { _ = out.Close() }() // the child has its own
		cmd.Stdout, cmd.Stderr = out, out
	}
	started, done := make(chan error, 1), make(chan struct{})
	go func() {
		// The kernel's signal at the parent's death is tied to the thread that made the child: keep that one.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // its exit code is in ProcessState
			close(done)
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", c.Name, err)
	}
	c.cmd, c.done = cmd, done
	return nil
}

// Ready waits until /readyz answers 200, the child ends, or ctx does.
func (c *Child) Ready(ctx context.Context) error {
	done := c.Done()
	if done == nil {
		return fmt.Errorf("wait for %s: %w", c.Name, ErrNotRunning)
	}
	// A transport of its own: the default one would obey HTTP_PROXY.
	transport := &http.Transport{DisableKeepAlives: true}
	for {
		err := ask(ctx, transport, "http://"+c.Admin+"/readyz")
		if err == nil {
			return nil
		}
		timer := time.NewTimer(readyPoll)
		select {
		case <-timer.C:
		case <-done:
			timer.Stop()
			return fmt.Errorf("%s ended before it was ready%s", c.Name, c.logTail())
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%s is not ready: %w%s", c.Name, err, c.logTail())
		}
	}
}

func ask(ctx context.Context, transport http.RoundTripper, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s: %s", url, resp.Status, bytes.TrimSpace(body))
	}
	return nil
}

// Signal sends a signal.
func (c *Child) Signal(s os.Signal) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.running() {
		return fmt.Errorf("%v to %s: %w", s, c.Name, ErrNotRunning)
	}
	if err := c.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("%v to %s: %w", s, c.Name, err)
	}
	return nil
}

// Kill ends the child at once, whatever it does, and returns when it is gone. It does nothing when it is.
func (c *Child) Kill() error {
	if err := c.Signal(os.Kill); err != nil {
		if errors.Is(err, ErrNotRunning) || errors.Is(err, os.ErrProcessDone) {
			return nil
		}
		return err
	}
	<-c.Done()
	return nil
}

// Terminate asks the child to stop and says how long that took. It is an error when it must be killed because it takes too
// long, and when its exit code is not 0.
func (c *Child) Terminate(within time.Duration) (time.Duration, error) {
	begin := time.Now()
	if err := c.Signal(terminate); err != nil {
		return 0, err
	}
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-c.Done():
	case <-timer.C:
		return time.Since(begin), errors.Join(fmt.Errorf("%s did not stop within %s%s", c.Name, within, c.logTail()), c.Kill())
	}
	if code := c.ExitCode(); code != 0 {
		return time.Since(begin), fmt.Errorf("%s stopped with exit code %d%s", c.Name, code, c.logTail())
	}
	return time.Since(begin), nil
}

// Running says whether the child runs.
func (c *Child) Running() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.running()
}

func (c *Child) running() bool {
	if c.done == nil {
		return false
	}
	select {
	case <-c.done:
		return false
	default:
		return true
	}
}

// Done is closed when the child that was started last has ended; nil before the first start.
func (c *Child) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.done
}

// PID is the process id of the child that was started last; 0 before the first start.
func (c *Child) PID() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cmd == nil {
		return 0
	}
	return c.cmd.Process.Pid
}

// ExitCode is that of the child that has ended; -1 when it runs, or a signal ended it.
func (c *Child) ExitCode() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cmd == nil || c.running() {
		return -1
	}
	return c.cmd.ProcessState.ExitCode()
}

// logTail is the end of the child's log, for error messages.
func (c *Child) logTail() string {
	const most = 2000
	b, err := os.ReadFile(c.Log)
	if err != nil || len(b) == 0 {
		return ""
	}
	return fmt.Sprintf("; %s ends with:\n%s", c.Log, b[max(0, len(b)-most):])
}
