// Package lock lets one process at a time have something on this machine, such as a folder. The kernel takes the lock back when
// its process ends, however that ends.
package lock

import (
	"errors"
	"os"
)

// ErrHeld is what [Take] returns when another process has the lock.
var ErrHeld = errors.New("held by another process")

// Take makes the file, if it is missing, and locks it for as long as it is open.
func Take(name string) (*os.File, error) { return take(name) }
