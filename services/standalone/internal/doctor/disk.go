package doctor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// The bounds of free space.
const (
	freeWarning = 1 << 30
	freeProblem = 100 << 20
)

func disk(r *report, d *Disk) {
	if d == nil {
		return
	}
	for _, f := range d.Folders {
		f.examine(r)
	}
}

// examine looks at a folder, or at the one that it will be made in.
func (f Folder) examine(r *report) {
	path, err := filepath.Abs(f.Path)
	if err != nil {
		r.problem(f.Variable, "name a folder", "%v", err)
		return
	}
	exists := path
	for {
		info, err := os.Stat(exists)
		if err == nil && !info.IsDir() {
			r.problem(f.Variable, "name a folder that is none yet, or remove the file", "%s is a file", exists)
			return
		}
		if err == nil {
			break
		}
		if parent := filepath.Dir(exists); errors.Is(err, os.ErrNotExist) && parent != exists {
			exists = parent
			continue
		}
		r.problem(f.Variable, "give the user that Parley runs as the right to enter it", "%v", err)
		return
	}
	if err := writable(exists); err != nil {
		r.problem(f.Variable, "give the user that Parley runs as the right to write there, or name another folder", "%v", err)
		return
	}
	what := path + " can be written to"
	if exists != path {
		what = path + " can be made"
	}
	switch free := diskFree(exists); {
	case free < 0:
		r.ok(f.Variable, "%s", what)
	case free < freeProblem:
		r.problem(f.Variable, "make room: on a full disk webhooks are refused", "%s, and its disk has %s left", what, size(free))
	case free < freeWarning:
		r.warn(f.Variable, "make room: on a full disk webhooks are refused", "%s, and its disk has %s left", what, size(free))
	case free < f.Needs:
		r.warn(f.Variable, "make room, or watch it: the streams' bounds are more than the disk has", "%s, and its disk has %s left; what is kept there may come to %s", what, size(free), size(f.Needs))
	default:
		r.ok(f.Variable, "%s, and its disk has %s left", what, size(free))
	}
}

// writable writes a file, to the disk itself, and removes it.
func writable(dir string) error {
	f, err := os.CreateTemp(dir, ".parley-doctor-")
	if err != nil {
		return err
	}
	_, err = f.WriteString("written by parley doctor; may be removed\n")
	return errors.Join(err, f.Sync(), f.Close(), os.Remove(f.Name()))
}

func size(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	default:
		return fmt.Sprintf("%d bytes", n)
	}
}
