//go:build !linux

package pglocal

import "syscall"

// dieWithParent does nothing here: the guard alone stops the server when we are gone.
func dieWithParent(attr *syscall.SysProcAttr) *syscall.SysProcAttr { return attr }
