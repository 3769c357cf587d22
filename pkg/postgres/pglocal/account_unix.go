//go:build unix

package pglocal

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// account is the user that the server runs as; nil is the process's own.
type account struct {
	name     string
	uid, gid int
}

// unprivileged is nil, but for root: PostgreSQL refuses to run as root, so it gets the user of the system's PostgreSQL
// or else nobody.
func unprivileged() (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.Atoi(u.Uid)
		gid, err2 := strconv.Atoi(u.Gid)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("user %s: %w", name, err)
		}
		return &account{name: name, uid: uid, gid: gid}, nil
	}
	return nil, errors.New("PostgreSQL does not run as root, and there is no user postgres or nobody to run it as: start this as another user")
}

// attributes makes a child run as the account, in a process group of its own so that Ctrl-C at the terminal reaches only
// us: we stop the server when we are ready to.
func (a *account) attributes() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if a != nil {
		attr.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
	}
	return attr
}

// own gives a folder, and all in it that is not the account's yet, to the account and closes it to others.
func (a *account) own(dir string) error {
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("close the folder %s to others: %w", dir, err)
	}
	if a == nil {
		return nil
	}
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		if s, ok := info.Sys().(*syscall.Stat_t); ok && int(s.Uid) == a.uid {
			return nil
		}
		return os.Lchown(path, a.uid, a.gid)
	})
	if err != nil {
		return fmt.Errorf("give the folder %s to user %s: %w", dir, a.name, err)
	}
	return nil
}

// reach makes sure that the account can pass through the folders above dir. Those under the temporary folder that root
// closed to others are opened for passing, not for listing; elsewhere the operator decides.
func (a *account) reach(dir string) error {
	if a == nil {
		return nil
	}
	temp := filepath.Clean(os.TempDir()) + string(filepath.Separator)
	for _, p := range parents(dir) {
		info, err := os.Stat(p)
		if err != nil {
			return err
		}
		if a.passes(info) {
			continue
		}
		if !strings.HasPrefix(p, temp) {
			return fmt.Errorf("PostgreSQL runs as user %s, not as root, and user %s may not enter %s: use a folder elsewhere (DATA_DIR), or start this as another user", a.name, a.name, p)
		}
		if err := os.Chmod(p, info.Mode().Perm()|0o011); err != nil {
			return fmt.Errorf("let user %s pass through %s: %w", a.name, p, err)
		}
	}
	return nil
}

func (a *account) passes(info os.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return true
	}
	mode := info.Mode().Perm()
	switch {
	case int(s.Uid) == a.uid:
		return mode&0o100 != 0
	case int(s.Gid) == a.gid:
		return mode&0o010 != 0
	default:
		return mode&0o001 != 0
	}
}
