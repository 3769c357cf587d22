// Package run is how a service's process lives: its flags, its signals, its exit code, and groups of goroutines that
// stop together.
//
// A service's own Run function blocks until its context ends, reads no environment and handles no signals; this package
// gives it both.
package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/parley-dm/parley/pkg/config"
	"github.com/parley-dm/parley/pkg/run/memory"
)

// Exit codes of every program.
const (
	ExitOK     = 0
	ExitFailed = 1
	ExitUsage  = 2 // wrong flags or a wrong configuration; nothing was opened
)

// Service is one program: what --help says of it and its Run function.
type Service[C config.Settings] struct {
	Name, Summary string
	Run           func(ctx context.Context, cfg C) error
}

// Main runs a service with the process's arguments, environment and signals, and returns its exit code. The first
// SIGTERM or SIGINT ends the context; a second one ends the process at once.
func Main[C config.Settings](s Service[C]) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	context.AfterFunc(ctx, stop)
	memory.Tune(os.Environ())
	return s.Execute(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
}

// Execute is Main without the process: what tests call.
func (s Service[C]) Execute(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	check, endpoint := false, ""
	for _, a := range args {
		switch a {
		case "--help", "-h", "-help", "help":
			return s.help(stdout)
		case "--check-config", "-check-config":
			check = true
		case "--probe", "-probe", "--probe=ready":
			endpoint = ProbeReady
		case "--probe=live":
			endpoint = ProbeLive
		default:
			_, _ = fmt.Fprintf(stderr, "%s: unknown argument %q; it takes --help, --check-config and --probe, and its settings from the environment\n", s.Name, a)
			return ExitUsage
		}
	}
	if endpoint != "" {
		return Probe(ctx, endpoint, environ, stderr)
	}
	cfg, err := config.Load[C](environ)
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "%s: %v\n", s.Name, err)
		return ExitUsage
	}
	if check {
		_, _ = fmt.Fprintf(stdout, "%s: configuration is valid\n", s.Name)
		return ExitOK
	}
	if err := s.Run(ctx, cfg); err != nil && !errors.Is(err, context.Canceled) {
		_, _ = fmt.Fprintf(stderr, "%s: %v\n", s.Name, err)
		return ExitFailed
	}
	return ExitOK
}

func (s Service[C]) help(w io.Writer) int {
	_, _ = fmt.Fprintf(w, "%s: %s\n\n"+
		"Usage: %s [--help | --check-config | --probe | --probe=live]\n\n"+
		"  --help          says this\n"+
		"  --check-config  checks the settings, names every problem and ends\n"+
		"  --probe         asks the running process, at ADMIN_ADDR, whether it is ready: exit 0 or 1\n"+
		"  --probe=live    asks it whether it lives\n\n"+
		"Settings, from the environment (NAME_FILE reads NAME's value from a file):\n", s.Name, s.Summary, s.Name)
	if err := config.WriteHelp(w, config.Variables[C]()); err != nil {
		return ExitFailed
	}
	return ExitOK
}
