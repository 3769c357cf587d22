// Package ports finds out, before anything slow starts, whether the ports of a process are free, and says of those that
// are not which variable moves them.
package ports

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
)

// Port is an address that the process will listen on.
type Port struct {
	// What is what listens there, for people; Variable is what moves it.
	What, Variable, Addr string
	// PortOnly: the variable holds the port alone.
	PortOnly bool
}

// Check tries to listen on all of them at once, so that two of ours on one port are found too, and names every one that
// is not free.
func Check(ctx context.Context, all []Port) error {
	var errs []error
	var bound []net.Listener
	defer func() {
		for _, l := range bound {
			_ = l.Close()
		}
	}()
	ours := map[string]string{}
	for _, p := range all {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", p.Addr)
		if err != nil {
			errs = append(errs, p.explain(err, ours))
			continue
		}
		bound = append(bound, l)
		if _, port, err := net.SplitHostPort(l.Addr().String()); err == nil {
			ours[port] = p.Variable
		}
	}
	return errors.Join(errs...)
}

// Free says whether one can listen on an address.
func Free(ctx context.Context, addr string) bool {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return false
	}
	return l.Close() == nil
}

func (p Port) explain(err error, ours map[string]string) error {
	host, port, splitErr := net.SplitHostPort(p.Addr)
	if splitErr != nil {
		return fmt.Errorf("%s: %w", p.Variable, err)
	}
	switch {
	case ours[port] != "" && errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("port %s is wanted twice, by %s and %s: choose another one, as in %s", port, ours[port], p.Variable, p.example(host, port))
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("port %s, for %s (%s), is taken by another program: stop that one or choose another port, as in %s", port, p.What, p.Addr, p.example(host, port))
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("port %s, for %s, may not be used by this user: choose one above 1023, as in %s", port, p.What, p.example(host, "8000"))
	default:
		return fmt.Errorf("listen on %s for %s (%s): %w", p.Addr, p.What, p.Variable, err)
	}
}

func (p Port) example(host, port string) string {
	next := "8800"
	if n, err := strconv.Atoi(port); err == nil && n < 55536 {
		next = strconv.Itoa(n + 10000)
	}
	if p.PortOnly {
		return p.Variable + "=" + next
	}
	return p.Variable + "=" + net.JoinHostPort(host, next)
}
