package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"time"

	"github.com/parley-dm/parley/pkg/run/memory"
)

// options are the flags.
type options struct {
	messages, slow, million, rounds, tries int
	dirty                                  float64
	only                                   string
}

func main() {
	var o options
	flag.IntVar(&o.messages, "messages", 200_000, "messages for each fast measure")
	flag.IntVar(&o.slow, "slow", 20_000, "messages for each measure of watermill-nats")
	flag.IntVar(&o.million, "memory", 1_000_000, "messages through one subscriber to see whether memory stays flat; 0 leaves it out")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds; each measure's median counts")
	flag.IntVar(&o.tries, "tries", 2, "runs, while they are dirty")
	flag.Float64Var(&o.dirty, "dirty", 0.15, "share of foreign CPU above which a run is dirty")
	flag.StringVar(&o.only, "only", "", "measure only what has this in its name, for profiling with -cpuprofile")
	profile := flag.String("cpuprofile", "", "write a CPU profile there")
	flag.Parse()
	memory.Tune(os.Environ()) //nolint:forbidigo // a main function; as every process of Parley's does, for all that is measured
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := profiled(*profile, func() error { return run(ctx, os.Stdout, o) })
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run measures until a run is clean, or often enough.
func run(ctx context.Context, w io.Writer, o options) error {
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }
	say("%s, %d CPUs, %s/%s, nats-server as a process of its own, file storage, 500-byte messages with Nats-Msg-Id\n",
		runtime.Version(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH)
	for try := 1; ; try++ {
		begin := time.Now()
		b, err := measureAll(ctx, o)
		if err != nil {
			return err
		}
		b.print(w)
		foreign := b.foreign()
		say("\n%s; others had %.0f %% of the CPU\n", time.Since(begin).Round(time.Second), foreign*100)
		if foreign <= o.dirty || o.only != "" {
			return nil
		}
		if try >= o.tries {
			say("DIRTY: the figures above are not to be compared with others: more than %.0f %% in each of %d run(s)\n", o.dirty*100, try)
			return nil
		}
		say("dirty: done again\n\n")
	}
}
