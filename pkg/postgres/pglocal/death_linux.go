package pglocal

import "syscall"

// dieWithParent has the kernel stop the child, as Stop does, when we are gone.
func dieWithParent(attr *syscall.SysProcAttr) *syscall.SysProcAttr {
	attr.Pdeathsig = syscall.SIGINT
	return attr
}
