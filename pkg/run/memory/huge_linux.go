package memory

import (
	"runtime"
	"syscall"
)

// hugeRoom is how much of the heap's address space is asked to be backed by huge pages: more than the heap grows to.
const hugeRoom = 256 << 20

// askForHugePages has the kernel back the heap's growth two megabytes at a time where it lets programs choose ("madvise", most
// distributions' default), which Go does not ask for. What the heap grows by is touched for the first time once, and a page of
// four kilobytes at a time that costs more than what is then written on it, above all in virtual machines. The address range is
// taken and given back untouched: the heap grows into it, because Go takes the lowest addresses first.
func askForHugePages() {
	room := make([]byte, hugeRoom)
	_ = syscall.Madvise(room, syscall.MADV_HUGEPAGE) // a kernel without them refuses, and nothing changes
	runtime.KeepAlive(room)
	room = nil //nolint:ineffassign,wastedassign // or it might be held yet
	runtime.GC()
}
