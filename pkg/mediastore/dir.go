package mediastore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path"
	"strings"
	"time"
)

const (
	// drafts is where files are that are not whole yet.
	drafts = ".incoming"
	// mark is the file that names a folder, so that another one at the same path is known for another one.
	mark = ".parley-media"
	// stale is how old a draft is that nobody writes any more: its process died.
	stale = time.Hour
	// Only who runs it reads what customers sent, and the group that it is given to.
	folderMode, fileMode = 0o750, 0o640
)

// Dir keeps files in a folder. Several archivers may share it, if all of them see the same one.
type Dir struct {
	root *os.Root
	id   string
}

// OpenDir opens a folder, and makes it if it is missing.
func OpenDir(path string) (*Dir, error) {
	if err := os.MkdirAll(path, folderMode); err != nil {
		return nil, fmt.Errorf("MEDIA_DIR: %w", err)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("MEDIA_DIR: %w", err)
	}
	d := &Dir{root: root}
	if err := d.prepare(); err != nil {
		return nil, errors.Join(fmt.Errorf("MEDIA_DIR: %w", err), root.Close())
	}
	return d, nil
}

func (d *Dir) prepare() error {
	if err := d.root.MkdirAll(drafts, folderMode); err != nil {
		return err
	}
	if err := d.tidy(); err != nil {
		return err
	}
	if _, err := d.root.Stat(mark); errors.Is(err, fs.ErrNotExist) {
		// By way of a whole file: whoever is as quick finds one name, never half of it.
		own := drafts + "/" + rand.Text()
		if err := d.root.WriteFile(own, []byte(rand.Text()+"\n"), fileMode); err != nil {
			return err
		}
		err := d.root.Link(own, mark)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return errors.Join(err, d.root.Remove(own))
		}
		if err := d.root.Remove(own); err != nil {
			return err
		}
	}
	return d.identify()
}

// findDir opens a folder that an archiver has opened before, to read.
func findDir(path string) (*Dir, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("MEDIA_DIR: %w", err)
	}
	d := &Dir{root: root}
	if err := d.identify(); err != nil {
		return nil, errors.Join(fmt.Errorf("MEDIA_DIR: no archiver's folder: %w", err), root.Close())
	}
	return d, nil
}

// identify reads the folder's name.
func (d *Dir) identify() error {
	name, err := d.root.ReadFile(mark)
	if err != nil {
		return err
	}
	if d.id = strings.TrimSpace(string(name)); d.id == "" {
		return fmt.Errorf("%s is empty", mark)
	}
	return nil
}

// tidy removes what died half written.
func (d *Dir) tidy() error {
	folder, err := d.root.Open(drafts)
	if err != nil {
		return err
	}
	defer func() { _ = folder.Close() }()
	all, err := folder.Readdir(-1)
	if err != nil {
		return err
	}
	for _, f := range all {
		if time.Since(f.ModTime()) > stale {
			if err := d.root.Remove(drafts + "/" + f.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// Name is the folder's, wherever it is.
func (d *Dir) Name() string { return "dir:" + d.id }

// Close closes the folder.
func (d *Dir) Close() error { return d.root.Close() }

// Draft begins a file on the same disk.
func (d *Dir) Draft() (*Draft, error) {
	name := drafts + "/" + rand.Text()
	f, err := d.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return nil, err
	}
	return &Draft{File: f, discard: func() { _ = d.root.Remove(name) }}, nil
}

// Keep gives a file its name when all of it is on the disk.
func (d *Dir) Keep(_ context.Context, draft *Draft, key string, _ Info) error {
	if err := draft.Sync(); err != nil {
		return err
	}
	folder := path.Dir(key)
	if err := d.root.MkdirAll(folder, folderMode); err != nil {
		return err
	}
	if err := d.root.Rename(drafts+"/"+path.Base(draft.Name()), key); err != nil {
		return err
	}
	return d.sync(folder)
}

// Serve answers with a file; see [Library.Serve].
func (d *Dir) Serve(w http.ResponseWriter, r *http.Request, key string) error {
	f, err := d.root.Open(key)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: %w", key, fs.ErrNotExist)
	}
	http.ServeContent(w, r, "", time.Time{}, f)
	return nil
}

// Remove removes a file.
func (d *Dir) Remove(_ context.Context, key string) error {
	err := d.root.Remove(key)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	return d.sync(path.Dir(key))
}

// sync has a folder's names on the disk.
func (d *Dir) sync(folder string) error {
	f, err := d.root.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
