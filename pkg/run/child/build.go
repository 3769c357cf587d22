package child

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
)

// Program is a main package of the repository or of a module that it requires.
type Program struct {
	// Module is the folder of the module that is built in, relative to the repository; Package is the main package.
	Module, Package string
}

// Repository is the folder with go.work that dir is in.
func Repository(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.work found: run it inside the repository")
		}
		dir = parent
	}
}

// Build builds programs of a repository into a folder, each under its name.
func Build(ctx context.Context, repository, into string, programs map[string]Program) error {
	for name, p := range programs {
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", filepath.Join(into, name), p.Package) //nolint:gosec // our own programs
		cmd.Dir = filepath.Join(repository, p.Module)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w: %s", name, err, out)
		}
	}
	return nil
}

// FreeAddr finds a loopback address that nobody listens on now, for a child that is told where to listen.
func FreeAddr(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}
