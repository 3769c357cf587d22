// Parley answers a business's Instagram direct messages: all services in one process.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/parley-dm/parley/services/standalone"
)

func main() { os.Exit(parley()) }

// parley ends in order at the first signal, and at once at a second one.
func parley() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	context.AfterFunc(ctx, stop)
	return standalone.Execute(ctx, standalone.Invocation{Args: os.Args[1:], Environ: os.Environ(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr})
}
