package pglocal

import (
	"errors"
	"syscall"
)

type account struct{}

func unprivileged() (*account, error) {
	return nil, errors.New("a private PostgreSQL is not supported on Windows: use a server that runs already, by its URL")
}

func (a *account) attributes() *syscall.SysProcAttr { return nil }
func (a *account) own(string) error                 { return nil }
func (a *account) reach(string) error               { return nil }
