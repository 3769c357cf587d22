//go:build !linux

package memory

// askForHugePages does nothing: elsewhere the system decides.
func askForHugePages() {}
