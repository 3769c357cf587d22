package pglocal

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
)

// ErrNotInstalled says that the machine has no PostgreSQL server, and how to get one.
var ErrNotInstalled = errors.New(`PostgreSQL is not installed: found no initdb and postgres in PATH, /usr/lib/postgresql/*/bin, /usr/pgsql-*/bin or Homebrew's folders. Install it with
  apt-get install postgresql         (Debian, Ubuntu)
  dnf install postgresql-server      (Fedora, RHEL)
  apk add postgresql                 (Alpine)
  brew install postgresql@17         (macOS)
or use a server that runs already, by its URL`)

// places are where packages put the server's programs, beside PATH.
var places = []string{
	"/usr/lib/postgresql/*/bin",
	"/usr/pgsql-*/bin",
	"/usr/libexec/postgresql*",
	"/opt/homebrew/opt/postgresql@*/bin",
	"/opt/homebrew/opt/postgresql/bin",
	"/usr/local/opt/postgresql@*/bin",
	"/usr/local/opt/postgresql/bin",
	"/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
	"/Applications/Postgres.app/Contents/Versions/*/bin",
	"/usr/local/pgsql/bin",
}

// binaries are the programs of one installation.
type binaries struct {
	initdb, postgres string
	major            int
}

// findBinaries finds the installation in PATH, else the newest one.
func findBinaries() (binaries, error) {
	all := installations()
	if len(all) == 0 {
		return binaries{}, ErrNotInstalled
	}
	return all[0], nil
}

// forData is the installation that can open the data: its major version must be the data's.
func (b binaries) forData(data string) (binaries, error) {
	content, err := os.ReadFile(filepath.Join(data, "PG_VERSION"))
	if errors.Is(err, os.ErrNotExist) {
		return b, nil
	}
	if err != nil {
		return b, fmt.Errorf("read the version of the data: %w", err)
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		return b, fmt.Errorf("the version of the data in %s: %w", data, err)
	}
	for _, candidate := range installations() {
		if candidate.major == major {
			return candidate, nil
		}
	}
	return b, fmt.Errorf("the data in %s was written by PostgreSQL %d, but version %d is installed: install that version, or use another folder", data, major, b.major)
}

// installations lists what the machine has, the one in PATH first, then the newest first.
func installations() []binaries {
	var dirs []string
	for _, pattern := range places {
		found, _ := filepath.Glob(pattern) // fails on a bad pattern only
		dirs = append(dirs, found...)
	}
	var out []binaries
	for _, dir := range dirs {
		if b, ok := installation(dir); ok {
			out = append(out, b)
		}
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].major > out[j].major })
	if path, err := exec.LookPath("initdb"); err == nil {
		if target, err := filepath.EvalSymlinks(path); err == nil {
			path = target
		}
		if b, ok := installation(filepath.Dir(path)); ok {
			out = append([]binaries{b}, out...)
		}
	}
	return out
}

// installation asks the programs in a folder for their version.
func installation(dir string) (binaries, bool) {
	b := binaries{initdb: filepath.Join(dir, "initdb"), postgres: filepath.Join(dir, "postgres")}
	if _, err := os.Stat(b.initdb); err != nil {
		return b, false
	}
	out, err := exec.Command(b.postgres, "--version").Output() //nolint:noctx // a program of the list above that prints one line
	if err != nil {
		return b, false
	}
	// "postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)", "postgres (PostgreSQL) 18beta1"
	_, version, _ := strings.Cut(string(out), "(PostgreSQL) ")
	digits := strings.IndexFunc(version, func(r rune) bool { return r < '0' || r > '9' })
	if digits <= 0 {
		return b, false
	}
	b.major, err = strconv.Atoi(version[:digits])
	return b, err == nil
}
