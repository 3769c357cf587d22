package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
)

// server is nats-server as a process of its own, so that its CPU time and memory are its own too.
type server struct {
	dir, url string
	cmd      *exec.Cmd
}

func startServer(ctx context.Context) (*server, error) {
	dir, err := os.MkdirTemp("", "bench-bus-")
	if err != nil {
		return nil, err
	}
	s := &server{dir: dir}
	if err := s.start(ctx); err != nil {
		s.stop()
		return nil, fmt.Errorf("start nats-server: %w", err)
	}
	return s, nil
}

func (s *server) start(ctx context.Context) error {
	binary := filepath.Join(s.dir, "nats-server")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "github.com/nats-io/nats-server/v2") //nolint:gosec // in our own folder
	build.Dir, build.Stderr = sourceDir(), os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build: %w", err)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return err
	}
	if err := l.Close(); err != nil {
		return err
	}
	s.url = "nats://127.0.0.1:" + port
	s.cmd = exec.Command(binary, "-a", "127.0.0.1", "-p", port, "-js", "-sd", filepath.Join(s.dir, "js")) //nolint:gosec,noctx // ended by stop, gracefully
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		nc, err := nats.Connect(s.url)
		if err == nil {
			nc.Close()
			return nil
		}
		if time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// sourceDir is where this module is: the folder that the program was started in, or below it.
func sourceDir() string {
	for _, dir := range []string{"pkg/bus/bench", "bus/bench", "bench"} {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
	}
	return "."
}

func (s *server) pid() int { return s.cmd.Process.Pid }

// rss is the server's resident memory in MiB.
func (s *server) rss() int {
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", s.pid()))
	if err != nil {
		return 0
	}
	var size, resident int
	if _, err := fmt.Sscanf(string(statm), "%d %d", &size, &resident); err != nil {
		return 0
	}
	return resident * os.Getpagesize() >> 20
}

func (s *server) stop() {
	if s.cmd != nil && s.cmd.Process != nil {
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
		_ = s.cmd.Wait()
	}
	_ = os.RemoveAll(s.dir)
}

func lane(i int) string { return "lane-" + strconv.Itoa(i%lanes) }
