// Package mediastore is where the attachments of messages are kept: a folder, or a bucket of any service that speaks S3.
//
// Archivers have a [Store], which puts and removes. The console has a [Library], which only reads, and changes nothing even where
// nothing is yet. What a file is, and who may see it, is in the table media; here a file is its key.
package mediastore

import (
	"context"
	"os"
)

// Info is what is known of a file.
type Info struct {
	// ContentType is what it is by its content. Bytes is its size, SHA256 that of its content in hexadecimal.
	ContentType string
	Bytes       int64
	SHA256      string
}

// Draft is a file that nobody sees yet. Discard ends it, whatever came of it.
type Draft struct {
	*os.File
	discard func()
}

// Discard closes it and removes what was not kept.
func (d *Draft) Discard() {
	_ = d.Close()
	d.discard()
}

// Store keeps files.
type Store interface {
	// Name tells the store from every other.
	Name() string
	// Draft begins a file.
	Draft() (*Draft, error)
	// Keep makes it the file of a key, whole or not at all; one that was there is replaced.
	Keep(ctx context.Context, d *Draft, key string, about Info) error
	// Remove removes the file of a key; that there is none is no error.
	Remove(ctx context.Context, key string) error
	Close() error
}
