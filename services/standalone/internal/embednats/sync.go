package embednats

import (
	"errors"
	"time"
)

// Sync says when JetStream's files are flushed to the disk. A process that dies loses nothing either way, for the kernel
// has what was written; a power cut loses what was not flushed yet.
type Sync struct {
	Always   bool
	Interval time.Duration
}

// ParseSync reads "always" or a duration.
func ParseSync(s string) (Sync, error) {
	if s == "always" {
		return Sync{Always: true, Interval: 2 * time.Minute}, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 100*time.Millisecond {
		return Sync{}, errors.New(`expected always, or a duration of 100ms or more such as 1s`)
	}
	return Sync{Interval: d}, nil
}
