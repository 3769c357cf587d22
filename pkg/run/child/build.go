package child

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

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

// Build builds main packages, of the repository or of modules that it requires, into a folder, each under the name of its
// own folder. One call for all of them builds what they share once.
func Build(ctx context.Context, repository, into string, packages ...string) error {
	// The slash says that it is a folder, even for one package.
	args := append([]string{"build", "-trimpath", "-o", into + string(filepath.Separator)}, packages...)
	cmd := exec.CommandContext(ctx, "go", args...) //nolint:gosec // our own programs
	cmd.Dir = repository
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w: %s", strings.Join(packages, ", "), err, out)
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
