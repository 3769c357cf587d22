package mediastore

import (
	"errors"
	"net/http"
)

// Library reads what archivers keep. A folder is opened for every look: it may be mounted after whoever reads it has started, or
// be another one by then.
type Library struct {
	folder string
	bucket *S3 // nil for a folder
}

// Name is the store's, as archivers note it with every file.
func (l *Library) Name() (string, error) {
	if l.bucket != nil {
		return l.bucket.Name(), nil
	}
	d, err := findDir(l.folder)
	if err != nil {
		return "", err
	}
	return d.Name(), d.Close()
}

// Serve answers a request with the file of a key: all of it, or the range that is asked for. The headers that say what it is are
// the caller's. It fails only before anything was written, with fs.ErrNotExist where there is no such file; what breaks later
// leaves an answer that is shorter than it says.
func (l *Library) Serve(w http.ResponseWriter, r *http.Request, key string) (err error) {
	if l.bucket != nil {
		return l.bucket.Serve(w, r, key)
	}
	d, err := findDir(l.folder)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	return d.Serve(w, r, key)
}

// Close ends idle connections, if there can be any.
func (l *Library) Close() error {
	if l == nil || l.bucket == nil {
		return nil
	}
	return l.bucket.Close()
}
