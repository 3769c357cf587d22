//go:build linux || darwin || freebsd

package doctor

import "syscall"

// diskFree is what may still be written to the disk of a folder, or -1 when that cannot be known.
func diskFree(dir string) int64 {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return -1
	}
	return int64(fs.Bavail) * int64(fs.Bsize) //nolint:gosec,unconvert // beyond 2^63 bytes there is no disk; the types differ by system
}
