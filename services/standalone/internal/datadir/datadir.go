// Package datadir is the folder in which one process keeps everything: one at a time, which a lock sees to.
package datadir

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/parley-dm/parley/pkg/run/lock"
)

// Dir is a folder that is ours until Close.
type Dir struct {
	path      string
	lock      *os.File
	temporary bool
}

// Open makes the folder, if it is missing, and takes it for this process. The kernel gives it back when the process ends,
// however that ends.
func Open(path string) (*Dir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("DATA_DIR: %w", err)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("DATA_DIR: %w", err)
	}
	name := filepath.Join(path, "lock")
	held, err := lock.Take(name)
	if errors.Is(err, lock.ErrHeld) {
		return nil, fmt.Errorf("DATA_DIR %s is in use by another parley%s: stop that one, or give this one a folder of its own with DATA_DIR", path, holder(name))
	}
	if err != nil {
		return nil, fmt.Errorf("lock DATA_DIR: %w", err)
	}
	if err := errors.Join(held.Truncate(0), writePID(held)); err != nil {
		return nil, errors.Join(fmt.Errorf("write %s: %w", name, err), held.Close())
	}
	return &Dir{path: path, lock: held}, nil
}

// Temporary makes a folder that Close removes.
func Temporary() (*Dir, error) {
	path, err := os.MkdirTemp("", "parley-demo-")
	if err != nil {
		return nil, fmt.Errorf("make a temporary folder: %w", err)
	}
	d, err := Open(path)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(path))
	}
	d.temporary = true
	return d, nil
}

// Path is the folder's absolute path.
func (d *Dir) Path() string { return d.path }

// IsTemporary says whether Close removes the folder.
func (d *Dir) IsTemporary() bool { return d.temporary }

// Join is a path inside the folder.
func (d *Dir) Join(elements ...string) string {
	return filepath.Join(append([]string{d.path}, elements...)...)
}

// Member is a name for the process that holds the folder, the same one at every start: no two processes can have it at
// once, so that one that was killed finds its leases its own when it comes back.
func (d *Dir) Member() (string, error) {
	name := d.Join("member")
	content, err := os.ReadFile(name) //nolint:gosec // a file in the folder that the operator names
	if member := strings.TrimSpace(string(content)); err == nil && validMember(member) {
		return member, nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("read the member's name: %w", err)
	}
	member := "parley-" + strings.ToLower(rand.Text()[:12])
	if err := os.WriteFile(name, []byte(member+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("keep the member's name: %w", err)
	}
	return member, nil
}

// Close gives the folder back, and removes it if it is temporary.
func (d *Dir) Close() error {
	err := d.lock.Close() // first: Windows removes no file that is open
	if d.temporary {
		err = errors.Join(err, os.RemoveAll(d.path))
	}
	return err
}

// validMember accepts what Member writes and nothing that would not do as a key on the bus.
func validMember(s string) bool {
	return strings.HasPrefix(s, "parley-") && len(s) < 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

func writePID(held *os.File) error {
	_, err := fmt.Fprintf(held, "%d\n", os.Getpid())
	return err
}

// holder says which process has the lock, where it can be read.
func holder(name string) string {
	content, err := os.ReadFile(name) //nolint:gosec // a file in the folder that the operator names
	if pid := strings.TrimSpace(string(content)); err == nil && pid != "" {
		return " (process " + pid + ")"
	}
	return ""
}
