package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/parley-dm/parley/bench/internal/measure"
	"github.com/parley-dm/parley/bench/internal/report"
	"github.com/parley-dm/parley/bench/internal/site"
	"github.com/parley-dm/parley/bench/internal/traffic"
	"github.com/parley-dm/parley/pkg/run/child"
)

func main() { os.Exit(bench()) }

func bench() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	args := os.Args[1:]
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		return play(ctx, args)
	}
	if err := measureAll(ctx, args, os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		_, _ = fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	return 0
}

// onlyAsked are the subsets that take too long to be measured unasked.
var onlyAsked = []string{"away", "soak"}

// The subsets, in the order in which they run.
var subsets = []struct {
	name     string
	programs []string
	measure  func(*measure.Bench, context.Context) error
}{
	{"webhooks", []string{site.ProgramNATS, "ingress"}, (*measure.Bench).Webhooks},
	{"one", []string{site.ProgramParley}, (*measure.Bench).One},
	{"separate", []string{site.ProgramNATS, "ingress", "responder", "sender", "archiver"}, (*measure.Bench).Separate},
	{"archive", []string{site.ProgramNATS, "archiver"}, (*measure.Bench).Archive},
	{"away", []string{site.ProgramParley}, (*measure.Bench).Away},
	{"soak", []string{site.ProgramParley, site.ProgramSimulator}, (*measure.Bench).Soak},
}

// settings are what the flags say.
type settings struct {
	measure.Options
	only, set []string
	budget    time.Duration
}

// programs are those that the subsets need. With profiles, this program plays parley.
func (s settings) programs() []string {
	var out []string
	for _, subset := range subsets {
		if !slices.Contains(s.only, subset.name) {
			continue
		}
		for _, p := range subset.programs {
			if !slices.Contains(out, p) && (p != site.ProgramParley || s.ProfileDir == "") {
				out = append(out, p)
			}
		}
	}
	return out
}

func parse(args []string, out io.Writer) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.DurationVar(&s.Each, "each", 6*time.Second, "how long each load lasts")
	flags.DurationVar(&s.Steady, "steady", 20*time.Second, "how long the load lasts that memory is watched under; from 20m on it is judged")
	flags.DurationVar(&s.budget, "budget", 150*time.Second, "when figures are no longer taken again because others worked on the machine")
	flags.IntVar(&s.Tries, "tries", 2, "how often a figure is taken at most, when others work on the machine")
	flags.IntVar(&s.Connections, "connections", 64, "connections that webhooks come on")
	flags.StringVar(&s.ProfileDir, "profile", "", "folder for CPU and allocation profiles of the one process; its figures are a little lower then")
	flags.BoolVar(&s.Brief, "brief", false, "of the replies, only how many a second with a Send API that answers at once")
	flags.Func("set", "NAME=value to set for the services, to compare; may be repeated", func(v string) error {
		s.set = append(s.set, v)
		return nil
	})
	names := make([]string, len(subsets))
	for i, subset := range subsets {
		names[i] = subset.name
	}
	flags.DurationVar(&s.Away, "away", 3*time.Minute, "how long PostgreSQL is away, with -only away")
	flags.DurationVar(&s.Soak, "soak", time.Hour, "how long customers write, with -only soak; from 20m on it is judged")
	unasked := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(onlyAsked, name) })
	only := flags.String("only", strings.Join(unasked, ","), "what to measure, also "+strings.Join(onlyAsked, " and "))
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	s.only = strings.Split(*only, ",")
	var errs []error
	for _, name := range s.only {
		if !slices.Contains(names, name) {
			errs = append(errs, fmt.Errorf("-only: got %q, expected some of %s", name, strings.Join(names, ", ")))
		}
	}
	if s.Each < time.Second || s.Away < time.Second || s.Steady < 4*time.Second || s.Soak < time.Minute {
		errs = append(errs, errors.New("-each, -away, -steady, -soak: expected at least 1s, 1s, 4s and 1m"))
	}
	if s.Tries < 1 || s.Connections < 1 {
		errs = append(errs, errors.New("-tries, -connections: expected 1 or more"))
	}
	if len(flags.Args()) > 0 {
		errs = append(errs, fmt.Errorf("got %q, expected flags only", flags.Args()))
	}
	return s, errors.Join(errs...)
}

// measureAll takes the figures. What was taken is printed even when something failed.
func measureAll(ctx context.Context, args []string, out, progress io.Writer) (err error) {
	s, err := parse(args, progress)
	if err != nil {
		return err
	}
	root, err := child.Repository(".")
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if s.ProfileDir != "" {
		if err := os.MkdirAll(s.ProfileDir, 0o755); err != nil { //nolint:gosec // profiles are no secret
			return err
		}
	}
	_, _ = fmt.Fprintln(progress, "building the programs and starting PostgreSQL")
	place, err := site.Open(ctx, site.Options{Repository: root, Self: self, Programs: s.programs(), Settings: s.set})
	if err != nil {
		return err
	}
	defer func() {
		// What was interrupted is nobody's fault; what is broken after an hour should not have to be broken again to be understood.
		keep := err != nil && ctx.Err() == nil
		if keep {
			_, _ = fmt.Fprintln(progress, "logs and data are in", place.Dir())
		}
		err = errors.Join(err, place.Close(keep))
	}()
	stub, err := traffic.NewStub(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stub.Close()) }()
	s.Progress, s.Until = progress, time.Now().Add(s.budget)
	b := measure.New(place, stub, s.Options)
	for _, subset := range subsets {
		if err == nil && slices.Contains(s.only, subset.name) {
			err = subset.measure(b, ctx)
		}
	}
	return errors.Join(err, report.Write(out, b.Rows()), broken(b.Rows()))
}

// broken is an error when a figure is worth nothing.
func broken(rows []report.Row) error {
	var names []string
	for _, r := range rows {
		if r.Broken != "" {
			names = append(names, r.Measure)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return fmt.Errorf("broken: %s", strings.Join(names, ", "))
}
