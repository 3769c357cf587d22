package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/parley-dm/parley/pkg/run/child"
)

// startNATS starts one nats-server, or a cluster, on ports that they keep when they are restarted.
func (w *world) startNATS(ctx context.Context) error {
	var clients, routes []string
	for range w.o.nodes {
		client, err := freeAddr(ctx)
		if err != nil {
			return err
		}
		route, err := freeAddr(ctx)
		if err != nil {
			return err
		}
		clients, routes = append(clients, client), append(routes, "nats://"+route)
	}
	for n, addr := range clients {
		name := fmt.Sprintf("nats-%d", n+1)
		args := []string{"-a", "127.0.0.1", "-p", portOf(addr), "-js", "-sd", filepath.Join(w.dir, "data", name), "--server_name", name}
		if w.o.nodes > 1 {
			args = append(args, "--cluster_name", "chaos", "--cluster", routes[n], "--routes", strings.Join(routes, ","))
		}
		m := w.add(child.Spec{Name: name, Path: "nats-server", Args: args, Env: child.Environ()})
		if err := m.Start(); err != nil {
			return err
		}
	}
	w.natsURL = "nats://" + strings.Join(clients, ",nats://")
	for _, addr := range clients {
		if err := listens(ctx, addr); err != nil {
			return err
		}
	}
	return nil
}

func isNATS(name string) bool { return strings.HasPrefix(name, "nats-") }

// kindOf is the target that a process belongs to: nats of nats-1, sender of sender-2.
func kindOf(name string) string {
	kind, _, _ := strings.Cut(name, "-")
	return kind
}

// listens waits until somebody takes connections.
func listens(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err == nil {
			return conn.Close()
		}
		if !wait(ctx, 50*time.Millisecond) {
			return fmt.Errorf("nothing listens on %s: %w", addr, err)
		}
	}
}

// ports are given out in turn, so that none is given to two members that are not both up yet.
var ports = func() *atomic.Int32 {
	var first atomic.Int32
	first.Store(rand.Int32N(10_000)) //nolint:gosec // any port will do
	return &first
}()

// freeAddr finds a loopback address below the ports that systems give to outgoing connections: while a server is down its
// clients try again and again, and on such a port one of them would in the end be connected to itself and keep it.
func freeAddr(ctx context.Context) (string, error) {
	var last error
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", 20_000+ports.Add(1)%10_000)
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
		if err == nil {
			return addr, l.Close()
		}
		last = err
	}
	return "", fmt.Errorf("find a free port: %w", last)
}

func hostOf(addr string) string { host, _, _ := net.SplitHostPort(addr); return host }
func portOf(addr string) string { _, port, _ := net.SplitHostPort(addr); return port }
