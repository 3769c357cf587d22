package child

import "syscall"

// terminate is what asks a program to stop.
const terminate = syscall.SIGTERM

// dieWithParent has the kernel kill the child when this process ends, however that is.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
