package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() { os.Exit(execute(os.Args[1:])) }

// execute runs a mode and returns the exit code: 0 for a good verdict.
func execute(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	good, err := run(ctx, args)
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "chaos:", err)
	}
	if err != nil || !good {
		return 1
	}
	return 0
}

func run(ctx context.Context, args []string) (bool, error) {
	flags := flag.NewFlagSet("chaos bus", flag.ContinueOnError)
	var o busOptions
	flags.IntVar(&o.customers, "customers", 2000, "simulated customers")
	flags.IntVar(&o.messages, "messages", 10, "messages of each")
	flags.Float64Var(&o.rate, "rate", 500, "messages a second; 0 for as fast as they are taken")
	flags.Uint64Var(&o.seed, "seed", 1, "decides the pauses of the schedule")
	keep := flags.Bool("keep", false, "keep the folder with the logs")
	if len(args) == 0 || args[0] != "bus" {
		return false, errors.New("expected a mode: bus (see chaos bus -h)")
	}
	if err := flags.Parse(args[1:]); err != nil {
		return false, err
	}
	root, err := repository()
	if err != nil {
		return false, err
	}
	w, err := newWorld(ctx, root, os.Stdout)
	if err != nil {
		return false, err
	}
	good, err := runBus(ctx, w, o)
	w.close(*keep || err != nil || !good)
	return good, err
}

// repository is the folder with go.work.
func repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("run it inside the repository: no go.work found")
		}
	}
}

func cutAddr(addr string) (host, port string, err error) { return net.SplitHostPort(addr) }
