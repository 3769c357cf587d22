//go:build !linux

package child

import "syscall"

// terminate is what asks a program to stop.
const terminate = syscall.SIGTERM

// dieWithParent can promise nothing here: a child whose parent was killed has to be ended by hand.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
